import { statfsSync } from 'node:fs';
import { BoundedFile } from './bounded-file.js';
import type { ElfFile } from './elf.js';
import { PAGE_BYTES, PT_LOAD, PT_NOTE } from './elf-headers.js';
import type { ReadMemory } from './process-memory.js';

const OVERLAY_FILE_SYSTEM = 0x794c7630;

/** What is known of a mapping whose file was opened by its path. */
export interface MappingEvidence {
  path: string;
  deleted: boolean;
  /** 0 where unknown. */
  inode: number;
  /** Null where the mapping is gone. */
  memory: { read: ReadMemory; start: number; fileOffset: number } | null;
}

/**
 * Why a file that was opened by its path may be another one than the one that was mapped; null where nothing speaks
 * against it. The file's beginning in the process's memory decides, where it can be read.
 */
export function doubt(elf: ElfFile, evidence: MappingEvidence): string | null {
  const { path, deleted, inode, memory } = evidence;
  if (!deleted && inode !== 0 && elf.file.inode === inode) return null;
  const isSame = memory && hasItsBeginning(elf, memory);
  if (isSame === true) return null;
  if (deleted) return `${path} was deleted or replaced after it was mapped`;
  if (isSame === false) return `${path} is another file than the one that was mapped`;
  // An overlay shows other inodes in maps than to stat.
  if (inode === 0 || isOnOverlay(elf.file.path)) return null;
  return `${path} is another file (inode ${elf.file.inode}) than the one that was mapped (inode ${inode})`;
}

/**
 * Why a file has changed since it was mapped; null where it hasn't, or nothing is known. Pages that are read from it
 * show the new bytes in the process too, so only the time tells.
 */
export function writtenAfter({ file }: ElfFile, mappedMs: number | null, path: string): string | null {
  if (mappedMs === null || !(file instanceof BoundedFile)) return null;
  // A date in the future was set by somebody and says nothing.
  if (file.modifiedMs <= mappedMs || file.modifiedMs > Date.now()) return null;
  return `${path} was written to after it was mapped`;
}

/** Whether build-id and headers in memory are those of the file; null where they can't be compared. */
function hasItsBeginning(
  elf: ElfFile,
  { read, start, fileOffset }: NonNullable<MappingEvidence['memory']>,
): boolean | null {
  const address = elf.addressOf(fileOffset);
  const first = elf.segments.find(({ type, offset }) => type === PT_LOAD && offset === 0);
  // An offset that is in no executable part of the file is in none of the one that was mapped there.
  if (address === null || first === undefined) return false;
  const bias = start - address;
  const compare = (offset: number, length: number) =>
    read(bias + first.address + offset, length)?.equals(elf.file.readUpTo(offset, length)) ?? null;
  // A build-id says it all; without one the first page must do, unless somebody has patched code there.
  const notes = elf.buildId === null ? [] : elf.segments.filter(({ type }) => type === PT_NOTE);
  const parts = notes.filter(({ offset, fileBytes }) => offset + fileBytes <= first.fileBytes);
  const pieces = parts.length > 0 ? parts : [{ offset: 0, fileBytes: Math.min(PAGE_BYTES, first.fileBytes) }];
  const results = pieces.map(({ offset, fileBytes }) => compare(offset, Math.min(fileBytes, PAGE_BYTES)));
  return results.includes(false) ? false : results.includes(null) ? null : true;
}

function isOnOverlay(path: string): boolean {
  try {
    return statfsSync(path).type === OVERLAY_FILE_SYSTEM;
  } catch {
    return false;
  }
}
