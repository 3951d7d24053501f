import type { MappingKind, ProcMapping, Range } from './maps.js';

/** Two views of the same address space, byte for byte. */
export interface Comparison {
  /** Bytes that both know. */
  explainedBytes: number;
  /** The kernel has them, the ledger doesn't: nobody saw them being mapped. */
  missingInLedger: Range[];
  /** The ledger has them, the kernel doesn't: nobody saw them go. */
  missingInKernel: Range[];
}

/** What the ledger follows: memory that is no file's. */
const LEDGER_KINDS: readonly MappingKind[] = ['anonymous', 'sharedAnonymous'];

/** The kernel's ranges of some kinds, in address order. */
export function kernelRanges(maps: readonly ProcMapping[], kinds = LEDGER_KINDS): Range[] {
  return maps.filter((mapping) => kinds.includes(mapping.kind));
}

/**
 * Compares two lists of ranges, each sorted by start. Neighbours count as one: where one range ends and the next begins
 * is the kernel's business (it merges), not a difference.
 */
export function compareRanges(ledger: readonly Range[], kernel: readonly Range[]): Comparison {
  return {
    explainedBytes: sum(intersect(ledger, kernel)),
    missingInLedger: subtract(kernel, ledger),
    missingInKernel: subtract(ledger, kernel),
  };
}

function sum(ranges: readonly Range[]): number {
  return ranges.reduce((bytes, range) => bytes + range.end - range.start, 0);
}

/** Joins what touches or overlaps. */
function merge(ranges: readonly Range[]): Range[] {
  const merged: Range[] = [];
  for (const { start, end } of ranges) {
    const last = merged.at(-1);
    if (end <= start) continue;
    if (last && start <= last.end) last.end = Math.max(last.end, end);
    else merged.push({ start, end });
  }
  return merged;
}

/** What lies in both lists, each sorted by start. */
export function intersectRanges(left: readonly Range[], right: readonly Range[]): Range[] {
  return intersect(left, right);
}

function intersect(left: readonly Range[], right: readonly Range[]): Range[] {
  const a = merge(left);
  const b = merge(right);
  const common: Range[] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const start = Math.max(a[i]!.start, b[j]!.start);
    const end = Math.min(a[i]!.end, b[j]!.end);
    if (start < end) common.push({ start, end });
    if (a[i]!.end < b[j]!.end) i++;
    else j++;
  }
  return common;
}

/** What of `from` lies in none of `taken`. */
function subtract(from: readonly Range[], taken: readonly Range[]): Range[] {
  const holes = merge(taken);
  const rest: Range[] = [];
  let next = 0;
  for (const { start, end } of merge(from)) {
    while (next < holes.length && holes[next]!.end <= start) next++;
    let at = start;
    for (let hole = next; hole < holes.length && holes[hole]!.start < end; hole++) {
      if (holes[hole]!.start > at) rest.push({ start: at, end: holes[hole]!.start });
      at = holes[hole]!.end;
    }
    if (at < end) rest.push({ start: at, end });
  }
  return rest;
}
