import { residency } from '../wire/addon.js';
import type { Range } from './maps.js';
import { asked } from './process-file.js';

/** What of a range is in memory and what is in swap. Shared memory in swap is not seen. */
export interface Residency {
  residentBytes: number;
  swapBytes: number;
}

/** Asks the kernel's page tables about each range. Throws `PROCESS_MISSING` or `PROCESS_REFUSED`. */
export function measureResidency(pid: number, ranges: readonly Range[]): Residency[] {
  const bounds = new Float64Array(2 * ranges.length);
  ranges.forEach((range, index) => {
    bounds[2 * index] = range.start;
    bounds[2 * index + 1] = range.end;
  });
  const measured = asked(pid, () => residency(pid, bounds));
  return ranges.map((_, index) => ({
    residentBytes: measured[2 * index]!,
    swapBytes: measured[2 * index + 1]!,
  }));
}
