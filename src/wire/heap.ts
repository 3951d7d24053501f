import type { HeapMode } from './heap-mode.js';

/** One row for each stack, in columns. What is sampled is estimated: weights already applied. Sizes are bytes. */
export interface HeapSites {
  /** Node of the stack tree; 0: the stack is unknown. */
  stack: Uint32Array;
  liveBytes: Float64Array;
  liveAllocations: Float64Array;
  /** Since the recording began, those that came and went at once included. */
  allocations: Float64Array;
  frees: Float64Array;
  /** Of `allocations`, those freed by their thread before they were told. */
  temporary: Float64Array;
  allocatedBytes: Float64Array;
  peakBytes: Float64Array;
  /** Square of the standard error of `liveBytes` and of `liveAllocations`; 0 where all is recorded. */
  liveBytesVariance: Float64Array;
  liveAllocationsVariance: Float64Array;
}

/** One row for each thread that allocated. */
export interface HeapThreads {
  threadId: Uint32Array;
  liveBytes: Float64Array;
  liveAllocations: Float64Array;
  allocations: Float64Array;
  frees: Float64Array;
  temporary: Float64Array;
}

/** Live allocations by a quantity: those with at least `from` and less than the next row's. */
export interface HeapHistogram {
  /** Bytes or seconds. */
  from: Float64Array;
  liveBytes: Float64Array;
  liveAllocations: Float64Array;
}

/** What was allocated since a mark and lives on, one row for each stack that has any. */
export interface HeapSurvivors {
  stack: Uint32Array;
  liveBytes: Float64Array;
  liveAllocations: Float64Array;
  /** Since the mark, of any age. */
  frees: Float64Array;
}

export interface HeapTotals {
  mode: HeapMode;
  sampleBytes: number;
  /** How often the mode was switched. */
  epoch: number;
  liveBytes: number;
  liveAllocations: number;
  allocations: number;
  frees: number;
  temporary: number;
  allocatedBytes: number;
  peakBytes: number;
  liveBytesVariance: number;
  liveAllocationsVariance: number;
  /** Live when exact recording was switched off, and not followed since: not part of `liveBytes`. */
  beforeBytes: number;
  beforeAllocations: number;
  /** Releases of blocks whose allocation was not recorded: from before the recording, double frees, foreign pointers. */
  unknownFrees: number;
  events: number;
  lost: number;
  /** How often a thread had to wait for the collector. */
  waits: number;
  /** Allocations that threads without a lane made. */
  withoutLane: number;
  /** Records that made no sense. */
  damaged: number;
}
