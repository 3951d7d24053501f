import { pageBytes } from '../wire/addon.js';
import { asked } from './process-file.js';

/** How the kernel is asked for pages; entries are there on every kernel. */
export type PagesWay = 'scan' | 'entries';

/** What of the bytes at an index of a list of ranges is in memory, and as what the kernel counts it. */
export interface PageColumns {
  /** `[anonymous, file, swap, huge, …]`, see `PAGE_COLUMNS`. */
  bytes: Float64Array;
  betweenBytes: number;
}

/** Where a sort of page stands among those of its range. */
export const ANONYMOUS = 0;
export const FILE = 1;
export const SWAP = 2;
export const HUGE = 3;
export const PAGE_COLUMNS = 4;

/**
 * Asks the kernel's page tables about ranges that are sorted and apart from one another. Throws `PROCESS_MISSING` or
 * `PROCESS_REFUSED`; a process that ends meanwhile has nothing resident.
 */
export function readPages(pid: number, bounds: Float64Array, way: PagesWay = 'scan'): PageColumns {
  return asked(pid, () => pageBytes(pid, bounds, way === 'entries'));
}
