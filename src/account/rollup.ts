import { OffheapError } from '../wire/error.js';
import { readProcessFile } from './process-file.js';

/** Resident and swapped bytes of a whole process, as the kernel counts them. */
export interface MemoryTotals {
  /** The sum of the next three. */
  totalBytes: number;
  anonymousBytes: number;
  fileBytes: number;
  sharedBytes: number;
  swapBytes: number;
}

const PAGE_BYTES = 4096;

/** Resident bytes, in some microseconds: for what runs all the time. */
export function residentBytes(pid: number): number {
  return Number(readProcessFile(pid, 'statm').split(' ')[1]) * PAGE_BYTES;
}

/** Bytes of all areas, whether resident or not; 0 when the process has ended but was not waited for. As cheap. */
export function mappedBytes(pid: number): number {
  return Number(readProcessFile(pid, 'statm').split(' ')[0]) * PAGE_BYTES;
}

/** Bytes of the main stack's area; 0 when the process has ended. Throws `PROCESS_MISSING`. */
export function mainStackBytes(pid: number): number {
  return bytesOf(readProcessFile(pid, 'status'), 'VmStk');
}

/**
 * Totals from /proc/PID/status: some ten microseconds, where smaps_rollup walks all page tables for milliseconds. All
 * are 0 when the process has ended but was not waited for.
 */
export function memoryTotals(pid: number): MemoryTotals {
  return parseStatus(readProcessFile(pid, 'status'));
}

/** The bytes of a line "Name:   12 kB", 0 where there is none. */
function bytesOf(text: string, name: string): number {
  const at = text.indexOf(`\n${name}:`);
  return at < 0 ? 0 : Number.parseInt(text.slice(at + name.length + 2, at + name.length + 40), 10) * 1024;
}

/**
 * Totals by the kernel's own walk of the page tables, exact on all kernels. It does not tell files from shared memory: of
 * those, `status` says how much is shared. Undefined where the process is gone or may not be examined.
 */
export function rollupTotals(pid: number, status: MemoryTotals): MemoryTotals | undefined {
  let text: string;
  try {
    text = readProcessFile(pid, 'smaps_rollup');
  } catch (error) {
    if (error instanceof OffheapError) return undefined;
    throw error;
  }
  const totalBytes = bytesOf(text, 'Rss');
  if (totalBytes === 0) return undefined;
  const anonymousBytes = bytesOf(text, 'Anonymous');
  const sharedBytes = Math.min(status.sharedBytes, totalBytes - anonymousBytes);
  return {
    totalBytes,
    anonymousBytes,
    fileBytes: totalBytes - anonymousBytes - sharedBytes,
    sharedBytes,
    // Here swapped shared memory is counted too, which belongs to no process.
    swapBytes: status.swapBytes,
  };
}

/** Pages that are in memory and all the same not like others. */
export interface SpecialPages {
  /** Given up by MADV_FREE: they go when memory runs short, and count as resident until then. */
  lazilyFreedBytes: number;
  /** One page for several of the same content (KSM); null where the kernel does not tell (before Linux 6.7). */
  mergedBytes: number | null;
  /** In transparent huge pages, of any kind: also where the pages themselves don't tell (before Linux 6.7). */
  hugePageBytes: number;
  /** Kept from being swapped. */
  lockedBytes: number;
  /** Shared memory in swap, which is no process's and not part of its totals. */
  sharedSwapBytes: number;
}

/** Asks for them, by the kernel's walk of the page tables; undefined where the process is gone or may not be examined. */
export function specialPages(pid: number, { swapBytes }: MemoryTotals): SpecialPages | undefined {
  let text: string;
  try {
    text = readProcessFile(pid, 'smaps_rollup');
  } catch (error) {
    if (error instanceof OffheapError) return undefined;
    throw error;
  }
  return {
    lazilyFreedBytes: bytesOf(text, 'LazyFree'),
    mergedBytes: text.includes('\nKSM:') ? bytesOf(text, 'KSM') : null,
    hugePageBytes:
      bytesOf(text, 'AnonHugePages') + bytesOf(text, 'ShmemPmdMapped') + bytesOf(text, 'FilePmdMapped'),
    lockedBytes: bytesOf(text, 'Locked'),
    sharedSwapBytes: Math.max(0, bytesOf(text, 'Swap') - swapBytes),
  };
}

export function parseStatus(text: string): MemoryTotals {
  const bytes = (name: string) => bytesOf(text, name);
  const anonymousBytes = bytes('RssAnon');
  const fileBytes = bytes('RssFile');
  const sharedBytes = bytes('RssShmem');
  return {
    totalBytes: anonymousBytes + fileBytes + sharedBytes,
    anonymousBytes,
    fileBytes,
    sharedBytes,
    swapBytes: bytes('VmSwap'),
  };
}
