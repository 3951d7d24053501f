import { readlinkSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { liveness, processStatus } from '../drain/process-identity.js';
import { ElfError, type ElfErrorCode } from './bounded-file.js';
import type { ElfFile } from './elf.js';
import { ElfStore } from './elf-store.js';
import { MappedImages } from './mapped-images.js';
import { DELETED_SUFFIX, type MapsLine, ProcessMaps, withoutDeleted } from './process-maps.js';
import { readProcessMemory } from './process-memory.js';
import { doubt, writtenAfter } from './same-file.js';

/** A file mapping as the target saw it. */
export interface MappedFile {
  start: number;
  end: number;
  fileOffset: number;
  /** Without " (deleted)". */
  path: string;
  deleted: boolean;
  isProgram: boolean;
  /** 0 or absent where unknown. */
  inode?: number;
  /** When it was mapped, from the recording's start; 0 where unknown. */
  timeNs?: number;
}

export interface OpenedFile {
  /** Null where no ELF file could be opened; `problem` says why. */
  elf: ElfFile | null;
  deleted: boolean;
  /** Why `elf` may be another file than the one mapped: its names would mislead. Else null. */
  stale: string | null;
  problem: string | null;
  /** The sort of `problem`. */
  problemCode?: ElfErrorCode | null;
}

/** Where a module table gets its files; tests give others. */
export interface ModuleFiles {
  open(mapped: MappedFile): OpenedFile;
  /** The program's file, or null where unknown. */
  programPath(): string | null;
}

export interface ProcessFilesOptions {
  pid: number;
  /** Field 22 of /proc/PID/stat: tells this process from a later one with its PID. */
  startTicks?: number;
  /** When the recording began, milliseconds since 1970: a file that was written to later than mapped is another one. */
  startedMs?: number;
  /** Share one among the processes of a collector. */
  store?: ElfStore;
  /** Whether to try map_files, which takes a privilege. */
  followMapFiles?: boolean;
}

/** What is mapped where a file was said to be. */
interface Present {
  /** The file itself, whatever has its path now. */
  isThere: boolean;
  deleted: boolean;
  /** 0 where unknown. */
  inode: number;
}

/**
 * Opens files as one process sees them: by its map_files (right even for deleted files, but privileged), through its
 * root directory (another mount namespace), from its memory, which holds the names that the file exports, and by the
 * plain path, all that is left once it is dead. A file that can't be shown to be the one that was mapped is stale.
 */
export class ProcessFiles implements ModuleFiles {
  readonly #store: ElfStore;
  readonly #maps: ProcessMaps;
  readonly #images: MappedImages;
  /** The paths of the process lead elsewhere than ours (a container, chroot). */
  readonly #isElsewhere: boolean;
  readonly #startTicks: number;
  /** It doesn't come back. */
  #isGone = false;

  constructor(private readonly options: ProcessFilesOptions) {
    this.#store = options.store ?? new ElfStore();
    this.#startTicks = options.startTicks ?? processStatus(options.pid)?.startTicks ?? 0;
    this.#maps = new ProcessMaps(options.pid);
    this.#images = new MappedImages(options.pid);
    this.#isElsewhere = this.#lives() && seesOtherFiles(options.pid);
  }

  programPath(): string | null {
    const target = this.#lives() ? readLink(`/proc/${this.options.pid}/exe`) : null;
    return target?.replace(DELETED_SUFFIX, '') ?? null;
  }

  open(mapped: MappedFile): OpenedFile {
    const lives = this.#lives();
    if (!mapped.path.startsWith('/')) {
      const image = this.#images.ofKernel(mapped, lives);
      return { elf: image, deleted: false, stale: null, problem: null };
    }
    const { pid, followMapFiles = true } = this.options;
    const exact = `/proc/${pid}/map_files/${mapped.start.toString(16)}-${mapped.end.toString(16)}`;
    const link = lives ? readLink(exact) : null;
    const isLinked = link !== null && isFileOf(link, mapped.path);
    const present = lives ? this.#present(mapped, link) : { isThere: false, deleted: false, inode: 0 };
    const deleted = mapped.deleted || present.deleted;

    let found: OpenedFile | null = null;
    let problem: ElfError | null = null;
    const candidates = this.#candidates(mapped, lives, isLinked && followMapFiles ? exact : null);
    for (const { path, isCertain } of candidates) {
      try {
        const elf = this.#store.open(path);
        // Whoever hears of a mapping late may find another library there by now.
        if (path === exact && readLink(exact) !== link) continue;
        const stale = isCertain ? null : this.#doubt(mapped, elf, deleted, present);
        found ??= { elf, deleted, stale, problem: null };
        if (stale !== null) continue;
        // What took a deleted file's place is younger, and was found to be the same.
        const isYoung = deleted && !isCertain;
        const written = isYoung ? null : writtenAfter(elf, this.#mappedMs(mapped), mapped.path);
        return { elf, deleted, stale: written, problem: null };
      } catch (error) {
        if (!(error instanceof ElfError)) throw error;
        // What was opened and is no ELF file says more than what could not be opened.
        if (problem === null || isUnopened(problem)) problem = error;
      }
    }
    const image = present.isThere ? this.#images.at(mapped, this.#maps) : null;
    if (image !== null) return { elf: image, deleted, stale: null, problem: null };
    if (found !== null) return found;
    problem ??= new ElfError('elf/gone', `${mapped.path} lay in another mount namespace, which is gone`);
    return { elf: null, deleted, stale: null, problem: problem.message, problemCode: problem.code };
  }

  #candidates(
    { path, isProgram }: MappedFile,
    lives: boolean,
    exact: string | null,
  ): { path: string; isCertain: boolean }[] {
    const { pid } = this.options;
    const plain = this.#isElsewhere ? [] : [{ path, isCertain: false }];
    if (!lives) return plain;
    return [
      ...(exact === null ? [] : [{ path: exact, isCertain: true }]),
      ...(isProgram ? [{ path: `/proc/${pid}/exe`, isCertain: true }] : []),
      { path: `/proc/${pid}/root${path}`, isCertain: false },
      ...plain,
    ];
  }

  #doubt(mapped: MappedFile, elf: ElfFile, deleted: boolean, present: Present): string | null {
    const { path, inode = 0 } = mapped;
    const read = (address: number, length: number) => readProcessMemory(this.options.pid, address, length);
    return doubt(elf, {
      path,
      deleted,
      inode: inode || present.inode,
      memory: present.isThere ? { read, start: mapped.start, fileOffset: mapped.fileOffset } : null,
    });
  }

  /** Reading the link needs no privilege and is cheap; maps are read where a mapping has been cut since. */
  #present(mapped: MappedFile, link: string | null): Present {
    if (link !== null) {
      const isThere = isFileOf(link, mapped.path);
      return { isThere, deleted: isThere && link.endsWith(DELETED_SUFFIX), inode: 0 };
    }
    const isSame = (line: MapsLine | null) =>
      line !== null &&
      basename(line.path) === basename(mapped.path) &&
      line.start - line.offset === mapped.start - mapped.fileOffset;
    let line = this.#maps.at(mapped.start);
    if (isSame(line)) line = this.#maps.at(mapped.start, true);
    if (line === null || !isSame(line)) return { isThere: false, deleted: false, inode: 0 };
    return { isThere: true, deleted: line.deleted, inode: line.inode };
  }

  #mappedMs({ timeNs = 0 }: MappedFile): number | null {
    const { startedMs } = this.options;
    return startedMs === undefined || timeNs === 0 ? null : startedMs + timeNs / 1e6;
  }

  #lives(): boolean {
    this.#isGone ||= liveness(this.options.pid, this.#startTicks) === 'gone';
    return !this.#isGone;
  }
}

/** Whether a link of map_files leads to the file of a path. Another mount namespace shows other folders. */
function isFileOf(link: string, path: string): boolean {
  return basename(withoutDeleted(link)) === basename(path);
}

function isUnopened({ code }: ElfError): boolean {
  return code === 'elf/unreadable' || code === 'elf/gone';
}

/** Where it can't be told, as of another user's process, paths are taken for the same. */
function seesOtherFiles(pid: number): boolean {
  const namespace = readLink(`/proc/${pid}/ns/mnt`);
  if (namespace !== null && namespace !== readLink('/proc/self/ns/mnt')) return true;
  try {
    const theirs = statSync(`/proc/${pid}/root/`);
    const ours = statSync('/');
    return theirs.dev !== ours.dev || theirs.ino !== ours.ino;
  } catch {
    return false;
  }
}

function readLink(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null;
  }
}
