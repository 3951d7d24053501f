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

/**
 * Totals from /proc/PID/status: some ten microseconds, where smaps_rollup walks all page tables for milliseconds. All
 * are 0 when the process has ended but was not waited for.
 */
export function memoryTotals(pid: number): MemoryTotals {
  return parseStatus(readProcessFile(pid, 'status'));
}

export function parseStatus(text: string): MemoryTotals {
  const bytes = (name: string): number => {
    const at = text.indexOf(`\n${name}:`);
    return at < 0 ? 0 : Number.parseInt(text.slice(at + name.length + 2, at + name.length + 40), 10) * 1024;
  };
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
