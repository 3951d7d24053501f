import type { AllocatorReader } from './allocators/inside.js';
import { Branches } from './branches.js';
import type { Claims } from './claims.js';
import type { ProcMapping } from './maps.js';
import { type Reading, readProcess, type Ways } from './reading.js';
import { type MemoryTotals, type SpecialPages, specialPages } from './rollup.js';
import { readThreadStacks } from './thread-stacks.js';
import { type AccountNode, emptyNode } from './tree.js';
import { type UnexplainedRange, unexplainedRanges } from './unexplained.js';

/** Every resident and swapped byte of a process. */
export interface Account {
  /** As the kernel counts them. */
  totals: MemoryTotals;
  totalsFrom: 'status' | 'smaps_rollup';
  /** Its leaves have no page in common; together they are all pages that are resident or swapped. */
  tree: AccountNode;
  /** What the kernel does not count as resident: explicit huge pages, memory of devices. */
  outside: AccountNode[];
  /** `totals` less the tree: pages that came or went while they were read. */
  differenceBytes: number;
  /** By so much the kernel's totals moved meanwhile. */
  changedBytes: number;
  /** How often the process was read until the readings fitted together. */
  attempts: number;
  /** The share of anonymous and swapped bytes that has an owner. */
  explainedPercent: number;
  unexplainedBytes: number;
  unexplained: UnexplainedRange[];
  /** What of the resident memory is special; null where asking would cost more than the account. */
  special: SpecialPages | null;
  /** What could not be found out. */
  problems: string[];
  reading: Reading;
}

/** The kernel walks all page tables for it. */
const MOST_AREAS_FOR_SPECIAL = 2000;

export interface AccountOptions {
  ways?: Ways;
  /** Who can look into allocators' memory; the first that knows one is asked. */
  allocators?: readonly AllocatorReader[];
  /** How often a process that changes meanwhile is read at most. */
  mostAttempts?: number;
}

/**
 * The account of a process. `claimsNow` tells whose is what as of the moment it is called, once for each attempt. The process is not stopped. Throws `PROCESS_MISSING` or `PROCESS_REFUSED`.
 */
export function takeAccount(
  pid: number,
  claimsNow: (areas: readonly ProcMapping[]) => Claims,
  { ways = {}, allocators = [], mostAttempts }: AccountOptions = {},
): Account {
  const reading = readProcess(pid, claimsNow, ways, mostAttempts);
  const branches = new Branches(reading, () => readThreadStacks(pid));
  const { totals, pieces } = reading;
  for (let piece = 0; piece < pieces.length; piece++) branches.add(piece);
  const problems = branches.splitAllocators(pid, allocators);
  const tree = branches.tree();
  const unexplainedNode =
    tree.children.find(({ kind }) => kind === 'unexplained') ?? emptyNode('unexplained', '');
  // Only memory that is no file's: a name explains the rest.
  const unexplainedBytes = unexplainedNode.anonymousBytes + unexplainedNode.swapBytes;
  const explainable = tree.anonymousBytes + tree.swapBytes;
  return {
    totals,
    totalsFrom: reading.totalsFrom,
    tree,
    outside: branches.outside(),
    differenceBytes: reading.differenceBytes,
    changedBytes: reading.changedBytes,
    attempts: reading.attempts,
    explainedPercent: explainable === 0 ? 100 : 100 * (1 - unexplainedBytes / explainable),
    unexplainedBytes,
    unexplained: unexplainedRanges(reading, branches.unexplained),
    special: reading.areas.length <= MOST_AREAS_FOR_SPECIAL ? (specialPages(pid, totals) ?? null) : null,
    problems,
    reading,
  };
}
