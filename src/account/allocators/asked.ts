import { glibcHeaps, type NativeGlibcHeaps } from '../../wire/addon.js';
import type { HeapAsked } from '../../wire/heap.js';
import type { Range } from '../maps.js';

/**
 * Which live blocks are recorded: `all` of them, `some` (exact recording began late, or events were lost), or `sampled` ones,
 * from which all are estimated.
 */
export type Coverage = 'all' | 'some' | 'sampled';

/** What the recorded heap of a running process knows of its blocks, by their addresses. */
export interface RecordedBlocks {
  readonly coverage: Coverage;
  /** As the addon's function of this name, with what the recorded blocks were asked for. */
  readonly glibcHeaps: typeof glibcHeaps;
  /** What the live blocks in `ranges` were asked for, against an allocator's sizes of blocks, as far as these are known. */
  asked(pid: number, ranges: readonly Range[], classes: readonly number[]): HeapAsked;
}

/** The recorded blocks, or why there are none to look up. */
export type Recorded = RecordedBlocks | { readonly coverage: 'none'; readonly reason: string };

/** Of an allocator: what its blocks in use were asked for. Estimated where `coverage` is `sampled`. */
export interface AskedFigures {
  coverage: Coverage;
  allocations: number;
  bytes: number;
  /** What the allocator set aside for them beyond that, in memory or not; null where its sizes of blocks aren't known. */
  slackBytes: number | null;
  /** Standard error of `slackBytes`; 0 where it is not estimated. */
  slackErrorBytes: number;
  /** Of blocks larger than its largest known size: their slack is not in `slackBytes`. */
  unclassedBytes: number;
  /** What else is handed out, or waits in caches that can't be told from it; null where nothing tells how much. */
  unrecordedBytes: number | null;
}

/** An estimate that may be off by more is no part of a tree. */
const MOST_ERROR = 0.25;

/** Whether slack is known well enough to be told apart from what lives. */
export function isSlackKnown({ slackBytes, slackErrorBytes }: AskedFigures): boolean {
  return slackBytes !== null && slackErrorBytes <= MOST_ERROR * slackBytes;
}

/** How the part of it is called that is slack. */
export function slackName(coverage: Coverage): string {
  return coverage === 'sampled' ? 'beyond what was asked for, by samples' : 'beyond what was asked for';
}

/** glibc's heaps, with what blocks were asked for where that is recorded. */
export function glibcHeapsOf(
  recorded: Recorded,
): (pid: number, main: Float64Array, anonymous: Float64Array) => NativeGlibcHeaps {
  return recorded.coverage === 'none' ? glibcHeaps : recorded.glibcHeaps;
}

/** As ledgers count it: `unrecordedBytes` is up to the caller. */
export function askedFigures(
  coverage: Coverage,
  {
    blocks,
    bytes,
    slackBytes,
    slackBytesVariance,
    unclassedBytes,
  }: Omit<HeapAsked, 'slackResidentBytes' | 'residentBytes'>,
  unrecordedBytes: number | null,
): AskedFigures {
  const knowsSizes = unclassedBytes < bytes || bytes === 0;
  return {
    coverage,
    allocations: Math.round(blocks),
    bytes: Math.round(bytes),
    slackBytes: knowsSizes ? Math.round(slackBytes) : null,
    slackErrorBytes: Math.round(Math.sqrt(slackBytesVariance)),
    unclassedBytes: Math.round(unclassedBytes),
    unrecordedBytes,
  };
}
