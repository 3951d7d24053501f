import { readFileSync, readlinkSync, statfsSync } from 'node:fs';
import { basename } from 'node:path';
import { ElfError } from './bounded-file.js';
import type { ElfFile } from './elf.js';
import { ElfStore } from './elf-store.js';

const OVERLAY_FILE_SYSTEM = 0x794c7630;
export const DELETED_SUFFIX = ' (deleted)';

/** A file mapping as the target saw it. */
export interface MappedFile {
  start: number;
  end: number;
  /** Without " (deleted)". */
  path: string;
  deleted: boolean;
  isProgram: boolean;
  /** 0 or absent where unknown. */
  inode?: number;
}

export interface OpenedFile {
  /** Null where no ELF file could be opened; `problem` says why. */
  elf: ElfFile | null;
  deleted: boolean;
  /** Why `elf` may be another file than the one mapped: its names would mislead. Else null. */
  stale: string | null;
  problem: string | null;
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
  /** Share one among the processes of a collector. */
  store?: ElfStore;
}

/**
 * Opens files as one process sees them: by its map_files (right even for deleted files, but privileged), through its
 * root directory (another mount namespace), and by the plain path, all that is left once it is dead.
 */
export class ProcessFiles implements ModuleFiles {
  readonly #store: ElfStore;

  constructor(private readonly options: ProcessFilesOptions) {
    this.#store = options.store ?? new ElfStore();
  }

  programPath(): string | null {
    const target = this.#lives() ? readLink(`/proc/${this.options.pid}/exe`) : null;
    return target?.replace(DELETED_SUFFIX, '') ?? null;
  }

  open(mapped: MappedFile): OpenedFile {
    const { pid } = this.options;
    const lives = this.#lives();
    const exact = `/proc/${pid}/map_files/${mapped.start.toString(16)}-${mapped.end.toString(16)}`;
    // Reading the link needs no privilege and tells whether the path still leads to what is mapped; following it does.
    // Whoever hears of a mapping late may find another library there by now.
    const link = lives ? readLink(exact) : null;
    const isThere = link !== null && isFileOf(link, mapped.path);
    const deleted = mapped.deleted || (isThere && link.endsWith(DELETED_SUFFIX));

    const ofProgram = mapped.isProgram && lives ? [`/proc/${pid}/exe`] : [];
    const certain = [...(isThere ? [exact] : []), ...ofProgram];
    const byPath = [...(lives ? [`/proc/${pid}/root${mapped.path}`] : []), mapped.path];
    let problem: ElfError | null = null;
    for (const path of [...certain, ...byPath]) {
      try {
        const elf = this.#store.open(path);
        if (path === exact && readLink(exact) !== link) continue;
        const isCertain = certain.includes(path) || (isThere && !deleted);
        return { elf, deleted, stale: isCertain ? null : staleness(mapped, deleted, elf), problem: null };
      } catch (error) {
        if (!(error instanceof ElfError)) throw error;
        // What was opened and is no ELF file says more than what could not be opened.
        if (problem === null || problem.code === 'elf/unreadable') problem = error;
      }
    }
    return { elf: null, deleted, stale: null, problem: problem?.message ?? null };
  }

  #lives(): boolean {
    const { pid, startTicks } = this.options;
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
      if (startTicks === undefined) return true;
      // The command name may hold spaces and parentheses; fields count from behind its last one.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return Number(fields[19]) === startTicks;
    } catch {
      return false;
    }
  }
}

/** Whether a link of map_files leads to the file of a path. Another mount namespace shows other folders. */
function isFileOf(link: string, path: string): boolean {
  return basename(link.replace(DELETED_SUFFIX, '')) === basename(path);
}

function staleness({ path, inode }: MappedFile, deleted: boolean, elf: ElfFile): string | null {
  if (deleted) return `${path} was deleted or replaced after it was mapped`;
  if (!inode || elf.file.inode === inode) return null;
  // An overlay shows other inodes in maps than to stat.
  if (isOnOverlay(elf.file.path)) return null;
  return `${path} is another file (inode ${elf.file.inode}) than the one that was mapped (inode ${inode})`;
}

function isOnOverlay(path: string): boolean {
  try {
    return statfsSync(path).type === OVERLAY_FILE_SYSTEM;
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
