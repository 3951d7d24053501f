import type { HeapAttribution } from '../ledger/heap-attribution.js';
import type { HeapCounts, SnapshotHeap, SnapshotHeapOwner, SnapshotHeapSite } from '../report/schema.js';
import { wholeNumbers } from '../report/whole-numbers.js';
import type { HeapSites, HeapTotals } from '../wire/heap.js';

/** Sites that a snapshot lists; a program that generates code may have a million. Of most of them nothing may live. */
const SITES_LISTED = 5000;
const DEAD_SITES_LISTED = 500;
/** Owner of the row that stands for the sites that are not listed. */
export const OTHER_SITES = '[smaller sites]';

const OTHERS: HeapAttribution = { owner: OTHER_SITES, path: null, kind: 'unexplained', caller: null };

/** Whose the allocations of a stack are. */
export type AttributionOf = (node: number) => HeapAttribution;

type Sums = Record<Exclude<keyof HeapSites, 'stack'>, number>;

function nothing(): Sums {
  return {
    liveBytes: 0,
    liveAllocations: 0,
    allocations: 0,
    frees: 0,
    temporary: 0,
    allocatedBytes: 0,
    peakBytes: 0,
    liveBytesVariance: 0,
    liveAllocationsVariance: 0,
  };
}
const SUMMED = Object.keys(nothing()) as (keyof Sums)[];

function sumsAt(columns: HeapSites, row: number): Sums {
  const sums = nothing();
  for (const name of SUMMED) sums[name] = columns[name][row]!;
  return sums;
}

/** By column, not by row: there may be a million rows. */
function sumOfOthers(columns: HeapSites, listed: Uint32Array): Sums {
  const isListed = new Uint8Array(columns.stack.length);
  for (const row of listed) isListed[row] = 1;
  const sums = nothing();
  for (const name of SUMMED) {
    const column = columns[name];
    let sum = 0;
    for (let row = 0; row < column.length; row++) if (isListed[row] === 0) sum += column[row]!;
    sums[name] = sum;
  }
  return sums;
}

/** The rows with most live bytes, in that order; of those with none, the ones with most allocations. */
function largest({ liveBytes, allocations }: HeapSites, count: number): Uint32Array {
  const live: number[] = [];
  const dead: number[] = [];
  for (let row = 0; row < liveBytes.length; row++) (liveBytes[row]! > 0 ? live : dead).push(row);
  const first = mostOf(live, liveBytes, count);
  const rest = mostOf(dead, allocations, Math.min(DEAD_SITES_LISTED, count - first.length));
  return Uint32Array.of(...first, ...rest);
}

/** Sorts no more than it returns: there may be a million rows. */
function mostOf(rows: readonly number[], column: Float64Array, count: number): number[] {
  let chosen = [...rows];
  if (rows.length > count) {
    const least = Float64Array.from(rows, (row) => column[row]!).sort()[rows.length - count]!;
    const above = rows.filter((row) => column[row]! > least);
    const equal = rows.filter((row) => column[row]! === least);
    chosen = above.concat(equal.slice(0, count - above.length));
  }
  return chosen.sort((a, b) => column[b]! - column[a]!);
}

/** Sums as whole numbers, such that each column's rows add up to the rounded sum. */
function countsOf(rows: readonly Sums[]): HeapCounts[] {
  const whole = (name: keyof Sums) => wholeNumbers(rows.map((row) => row[name]));
  const liveBytes = whole('liveBytes');
  const liveAllocations = whole('liveAllocations');
  const allocations = whole('allocations');
  const frees = whole('frees');
  const temporary = whole('temporary');
  const allocatedBytes = whole('allocatedBytes');
  return rows.map((row, index) => ({
    liveBytes: liveBytes[index]!,
    liveAllocations: liveAllocations[index]!,
    allocations: allocations[index]!,
    frees: frees[index]!,
    temporary: temporary[index]!,
    allocatedBytes: allocatedBytes[index]!,
    peakBytes: Math.round(row.peakBytes),
    standardErrorBytes: Math.round(Math.sqrt(row.liveBytesVariance)),
    standardErrorAllocations: Math.round(Math.sqrt(row.liveAllocationsVariance)),
  }));
}

/**
 * The heap part of a snapshot. Its sums are those of the sites, all read at one moment; from `totals`, read at another,
 * comes only what sites can't tell.
 */
export function heapSnapshot(
  columns: HeapSites,
  totals: HeapTotals,
  attributionOf: AttributionOf,
  listed = SITES_LISTED,
): Omit<SnapshotHeap, 'followedSince'> {
  const { stack } = columns;
  const order = largest(columns, listed);
  const rows = Array.from(order, (row) => {
    return { stack: stack[row]!, attribution: attributionOf(stack[row]!), sums: sumsAt(columns, row) };
  });
  if (order.length < stack.length) {
    rows.push({ stack: 0, attribution: OTHERS, sums: sumOfOthers(columns, order) });
  }
  const counts = countsOf(rows.map(({ sums }) => sums));
  const sites = rows.map(({ stack, attribution: { owner, kind, caller } }, index): SnapshotHeapSite => {
    return { stack, owner, kind, caller, ...counts[index]! };
  });
  return {
    mode: totals.mode,
    sampleBytes: totals.sampleBytes,
    estimated: isEstimated(totals),
    ...sumOf(
      rows.map(({ sums }) => sums),
      totals,
    ),
    before: { bytes: Math.round(totals.beforeBytes), allocations: Math.round(totals.beforeAllocations) },
    unknownFrees: Math.round(totals.unknownFrees),
    owners: ownersOf(columns, attributionOf),
    sites,
  };
}

/** Whether what lives is known by samples, in part at least: after a switch to `exact` old ones are still there. */
export function isEstimated({ mode, liveBytesVariance }: HeapTotals): boolean {
  return mode === 'sampled' || liveBytesVariance > 0;
}

/** The rows' sum; the peak of a sum is not the sum of the peaks. */
function sumOf(rows: readonly Sums[], { peakBytes }: HeapTotals): HeapCounts {
  const sums = nothing();
  for (const row of rows) for (const name of SUMMED) sums[name] += row[name];
  return countsOf([{ ...sums, peakBytes: Math.max(peakBytes, sums.liveBytes) }])[0]!;
}

function ownersOf(columns: HeapSites, attributionOf: AttributionOf): SnapshotHeapOwner[] {
  const owners: HeapAttribution[] = [];
  const known = new Map<string, number>();
  // Most sites share their attribution with others: the object tells at once.
  const indexOf = new Map<HeapAttribution, number>();
  const ownerOfRow = Uint32Array.from(columns.stack, (stack) => {
    const attribution = attributionOf(stack);
    let index = indexOf.get(attribution);
    if (index === undefined) {
      const key = `${attribution.kind}\0${attribution.owner}`;
      index = known.get(key) ?? owners.push(attribution) - 1;
      known.set(key, index);
      indexOf.set(attribution, index);
    }
    return index;
  });
  const sums = owners.map(nothing);
  for (const name of SUMMED) {
    const column = columns[name];
    const byOwner = new Float64Array(owners.length);
    for (let row = 0; row < column.length; row++) byOwner[ownerOfRow[row]!]! += column[row]!;
    for (const [index, sum] of byOwner.entries()) sums[index]![name] = sum;
  }
  const sorted = owners
    .map((attribution, index) => ({ attribution, sums: sums[index]! }))
    .sort((a, b) => b.sums.liveBytes - a.sums.liveBytes || b.sums.allocations - a.sums.allocations);
  const counts = countsOf(sorted.map(({ sums }) => sums));
  return sorted.map(({ attribution: { owner, path, kind } }, index) => {
    const { peakBytes: _, ...each } = counts[index]!;
    return { owner, path, kind, ...each };
  });
}
