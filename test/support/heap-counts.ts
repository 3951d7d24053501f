import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildSharedC } from './build.js';

/** counting_shim.so: what the shim takes for the real allocator, and counts the same calls. */
export function buildCountingShim(): string {
  return buildSharedC('../support/counting_shim', { as: 'counting_shim.so' });
}

/** As `struct counts` of counting_shim.c, in its order. */
const FIELDS = [
  'allocations',
  'frees',
  'unknownFrees',
  'liveBytes',
  'liveAllocations',
  'allocatedBytes',
] as const;

export type Counts = Record<(typeof FIELDS)[number], number>;

/** What the counting shim saw in a process; null where it was not there. */
export function readCounts(folder: string, pid: number): Counts | null {
  const file = join(folder, String(pid));
  if (!existsSync(file)) return null;
  const bytes = readFileSync(file);
  return Object.fromEntries(
    FIELDS.map((field, i) => [field, Number(bytes.readBigUInt64LE(i * 8))]),
  ) as Counts;
}

/** The part of a ledger's totals that the counting shim can confirm. */
export function comparable(totals: Counts): Counts {
  return Object.fromEntries(FIELDS.map((field) => [field, totals[field]])) as Counts;
}
