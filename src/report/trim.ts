import { formatBytes } from './bytes.js';
import type { TrimReport } from './schema.js';
import { cut } from './width.js';

/** What came back, in a line for each thing to know. */
export function trimLines({ by, before, after, predictedBytes, returnedBytes }: TrimReport, columns: number) {
  if (by === null) {
    return [cut('! the allocator of this process has no function that gives memory back', columns)];
  }
  const predicted = predictedBytes === null ? '' : `, ${formatBytes(predictedBytes)} predicted`;
  return [
    `${by} returned ${formatBytes(returnedBytes)} to the kernel${predicted}`,
    `resident ${formatBytes(before.residentBytes)} before, ${formatBytes(after.residentBytes)} after · allocators ${formatBytes(before.allocatorBytes)} before, ${formatBytes(after.allocatorBytes)} after`,
  ].map((line) => cut(line, columns));
}
