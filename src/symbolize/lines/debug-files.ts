import { existsSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { BoundedFile, ElfError } from '../../modules/bounded-file.js';
import type { ByteSource } from '../../modules/byte-source.js';
import { ElfFile } from '../../modules/elf.js';
import { type ElfSection, SHT_NOBITS } from '../../modules/elf-sections.js';
import { fullTable } from '../symbol-source.js';
import type { LinesRequest } from './worker-message.js';

/** Where a module's debug information is. */
export interface DebugSource {
  elf: ElfFile;
  /** What dwz has moved out of it. */
  alternate: LinesRequest['alternate'];
}

export interface FoundDebugFile {
  source: DebugSource | null;
  /** What was found and refused, or is missing, in one line; null where nothing was. */
  problem: string | null;
}

const MOST_LINK_BYTES = 4096;
const CRC_CHUNK_BYTES = 4 << 20;
/** What is read to its end, for a checksum, while somebody waits for names. */
const MOST_CHECKED_BYTES = 64 << 20;
const FOLDERS_KNOWN_MS = 1000;
const DEBUG_FOLDER = '/usr/lib/debug';

/**
 * Finds the debug information of a module: in its own file, or in a separate one where distributions and strip put them,
 * as the target sees them first. A separate file counts only if it belongs to the same build: by build-id, or by the
 * checksum of .gnu_debuglink.
 */
export class DebugFiles {
  /** Whether they were there, a moment ago. */
  readonly #folders = new Map<string, boolean>();
  #foldersSinceMs = Number.NEGATIVE_INFINITY;

  constructor(private readonly debugFolder = DEBUG_FOLDER) {}

  /** `path`: as the target sees the module. */
  find(elf: ElfFile, path: string): FoundDebugFile {
    // What is known of by the process's memory alone has its debug information elsewhere, if at all.
    if (elf.file.sharedPath !== null && hasDebugInformation(elf)) return this.#withAlternate(elf, path);
    const link = debugLink(elf);
    const problems: string[] = [];
    for (const [folder, name] of this.#candidates(elf, path, link?.name ?? null)) {
      const candidate = `${folder}/${name}`;
      const found = open(candidate);
      if (found === null || found.file.identity === elf.file.identity) continue;
      if (!hasDebugInformation(found)) continue;
      if (belongsTogether(elf, found, link?.crc ?? null)) return this.#withAlternate(found, path, elf);
      problems.push(`${candidate} belongs to another build of it`);
    }
    return { source: null, problem: problems[0] ?? null };
  }

  /**
   * The separate file that holds the symbols which strip has removed from `elf`; null where there is none of the same
   * build. `link`: what the file's .gnu_debuglink says.
   */
  findSymbols(elf: ElfFile, path: string, link: string | null): ElfFile | null {
    for (const [folder, name] of this.#candidates(elf, path, link)) {
      if (!this.#isFolder(folder)) continue;
      const candidate = `${folder}/${name}`;
      if (!existsSync(candidate)) continue;
      const found = open(candidate);
      if (found === null || found.file.identity === elf.file.identity || fullTable(found) === null) continue;
      const crc = found.file.bytes > MOST_CHECKED_BYTES ? null : (debugLink(elf)?.crc ?? null);
      if (belongsTogether(elf, found, crc)) return found;
    }
    return null;
  }

  /** Most folders are not there, which is then known for all of their files. */
  #isFolder(folder: string): boolean {
    if (performance.now() - this.#foldersSinceMs > FOLDERS_KNOWN_MS) {
      this.#folders.clear();
      this.#foldersSinceMs = performance.now();
    }
    let isFolder = this.#folders.get(folder);
    if (isFolder === undefined) {
      isFolder = existsSync(folder);
      this.#folders.set(folder, isFolder);
    }
    return isFolder;
  }

  /** A file that somebody else has found for a module of this build-id. */
  accept(elf: ElfFile, path: string, file: string): FoundDebugFile {
    const found = open(file);
    if (found === null || !hasDebugInformation(found)) {
      return { source: null, problem: `${file} has no debug information` };
    }
    if (!belongsTogether(elf, found, null)) {
      return { source: null, problem: `${file} belongs to another build of it` };
    }
    return this.#withAlternate(found, path, elf);
  }

  *#candidates(
    { buildId, file }: ElfFile,
    path: string,
    link: string | null,
  ): Generator<[folder: string, name: string]> {
    const folder = dirname(path);
    for (const root of rootsOf(file)) {
      const own = `${root}${this.debugFolder}`;
      if (buildId !== null) {
        yield [`${own}/.build-id/${buildId.slice(0, 2)}`, `${buildId.slice(2)}.debug`];
      }
      if (link === null) continue;
      yield [`${root}${folder}`, link];
      yield [`${root}${folder}/.debug`, link];
      yield [`${own}${folder}`, link];
    }
  }

  /** dwz moves what several files have in common into one more file. */
  #withAlternate(elf: ElfFile, path: string, module = elf): FoundDebugFile {
    const source: DebugSource = { elf, alternate: null };
    const link = alternateLink(elf);
    if (link === null) return { source, problem: null };
    const { name, buildId } = link;
    for (const root of rootsOf(module.file)) {
      const own = `${root}${this.debugFolder}`;
      const candidates = [
        isAbsolute(name) ? `${root}${name}` : join(dirname(elf.file.path), name),
        `${own}/.build-id/${buildId.slice(0, 2)}/${buildId.slice(2)}.debug`,
        join(`${own}${dirname(path)}`, name),
      ];
      for (const candidate of candidates) {
        const found = open(candidate);
        if (found === null || buildIdOf(found) !== buildId) continue;
        source.alternate = { name, path: candidate, identity: found.file.identity };
        return { source, problem: null };
      }
    }
    return { source, problem: `${name}, which holds a part of its debug information, is not there` };
  }
}

/** Whether a file has the sections that tell lines; files that point to separate debug files have not. */
export function hasDebugInformation(elf: ElfFile): boolean {
  return elf.sections.some(
    ({ name, type }) => (name === '.debug_info' || name === '.zdebug_info') && type !== SHT_NOBITS,
  );
}

/** The root folders in which a module's companions may lie: the target's, while it lives, then ours. */
function rootsOf({ path }: ByteSource): string[] {
  const process = /^\/proc\/\d+\//.exec(path)?.[0];
  return process === undefined ? [''] : [`${process}root`, ''];
}

/** Null where there is no such file, or none that is sound. Its descriptor is given back. */
function open(path: string): ElfFile | null {
  try {
    const file = new BoundedFile(path);
    try {
      return new ElfFile(file);
    } finally {
      file.park();
    }
  } catch (error) {
    if (error instanceof ElfError) return null;
    throw error;
  }
}

function belongsTogether(module: ElfFile, debug: ElfFile, crc: number | null): boolean {
  const [wanted, found] = [buildIdOf(module), buildIdOf(debug)];
  if (wanted !== null && found !== null) return wanted === found;
  return crc !== null && checksum(debug.file) === crc;
}

function checksum(file: ByteSource): number | null {
  try {
    let sum = 0;
    for (let at = 0; at < file.bytes; at += CRC_CHUNK_BYTES) {
      sum = crc32(file.readUpTo(at, CRC_CHUNK_BYTES), sum);
    }
    return sum;
  } catch (error) {
    if (error instanceof ElfError) return null;
    throw error;
  }
}

/** Separate debug files may lack the segments that lead to their notes. */
function buildIdOf(elf: ElfFile): string | null {
  if (elf.buildId !== null) return elf.buildId;
  const note = contentOf(elf, '.note.gnu.build-id');
  if (note === null || note.length < 16 || note.readUInt32LE(0) !== 4) return null;
  return note.toString('hex', 16, 16 + note.readUInt32LE(4)) || null;
}

export function debugLink(elf: ElfFile): { name: string; crc: number } | null {
  const link = contentOf(elf, '.gnu_debuglink');
  const end = link?.indexOf(0) ?? -1;
  if (link === null || end <= 0) return null;
  const name = link.toString('utf8', 0, end);
  const crcAt = Math.ceil((end + 1) / 4) * 4;
  // It is a name, not a way to some other place.
  if (name.includes('/') || name === '..' || crcAt + 4 > link.length) return null;
  return { name, crc: link.readUInt32LE(crcAt) };
}

function alternateLink(elf: ElfFile): { name: string; buildId: string } | null {
  const link = contentOf(elf, '.gnu_debugaltlink');
  const end = link?.indexOf(0) ?? -1;
  if (link === null || end <= 0) return null;
  return { name: link.toString('utf8', 0, end), buildId: link.toString('hex', end + 1) };
}

function contentOf(elf: ElfFile, name: string): Buffer | null {
  const section: ElfSection | undefined = elf.section(name);
  if (section === undefined || section.type === SHT_NOBITS || section.bytes > MOST_LINK_BYTES) return null;
  try {
    return elf.file.read(section.offset, section.bytes);
  } catch (error) {
    if (error instanceof ElfError) return null;
    throw error;
  }
}
