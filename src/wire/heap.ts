import { type NativeGlibcHeaps, type NativeHeap, native, openNativeHeap } from './addon.js';
import { HEAP_MODES, type HeapMode } from './heap-mode.js';

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

/** The stacks that hold anything. */
export type HeapHeld = Pick<HeapSites, 'stack' | 'liveBytes'>;

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

/** Pages that are held by one stack each, a row for each such stack, most free bytes first. */
export interface HeapPins {
  /** `SHARED_PAGES`: those that several hold. */
  stack: Uint32Array;
  pages: Float64Array;
  liveBytes: Float64Array;
  freeBytes: Float64Array;
}

export const SHARED_PAGES = 0xffff_ffff;

/** The pages of a range, one by one. */
export interface HeapPages {
  /** What lives there, at most a page. */
  liveBytes: Uint16Array;
  /** 1: in memory or in swap. */
  held: Uint8Array;
}

/** What the live blocks in some ranges were asked for. Weights of sampled ones are applied. */
export interface HeapAsked {
  blocks: number;
  bytes: number;
  /** Beyond that, to the end of their size classes; and what of it lies on pages in memory. */
  slackBytes: number;
  slackResidentBytes: number;
  /** Square of the standard error of `slackBytes`; 0 where all is recorded. */
  slackBytesVariance: number;
  /** Of blocks that are larger than the largest class: nothing is known of their slack. */
  unclassedBytes: number;
  /** In memory, of pages on which a block lives; -1: the ranges are too long to look. */
  residentBytes: number;
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
  /** Releases of blocks whose allocation was not recorded: from before the recording or a switch, lost, double frees, foreign pointers. */
  unknownFrees: number;
  events: number;
  lost: number;
  /** How often a thread had to wait for the collector. */
  waits: number;
  /** Allocations that threads without a lane made. */
  withoutLane: number;
  /** An earlier collector has read events of this channel: blocks that it knew of are unknown here. */
  resumed: boolean;
  /** Records that made no sense. */
  damaged: number;
}

/** The mean of the sampling where none is given. */
export const DEFAULT_SAMPLE_BYTES = 524_288;

/**
 * The heap of one channel: reads what its threads allocate and free, and accounts for it. Stands beside `Channel`, and
 * under its claim: one collector at a time. What is asked for includes what the threads have not told yet.
 *
 * Whatever the channel's bytes claim, each call ends, at worst with an `OffheapError` as of `Channel`. Errors of the
 * background thread are thrown by the next call.
 */
export class HeapChannel {
  readonly path: string;
  /** False where the channel has no room for heap events: everything is 0 then. */
  readonly available: boolean;
  readonly #native: NativeHeap;

  constructor(path: string) {
    this.path = path;
    this.#native = openNativeHeap(path);
    this.available = this.#native.available();
  }

  /** Reads in the background from now on, until `close`. Does not keep this process alive. */
  start(): void {
    native(() => this.#native.start());
  }

  /** Takes in all that was told until now; how many events that were. */
  drain(): number {
    return native(() => this.#native.drain());
  }

  /** Which allocations the target records at present. */
  get mode(): HeapMode {
    return HEAP_MODES[native(() => this.#native.mode())] ?? 'off';
  }

  /** Has the target record other allocations from now on. `sampleBytes` is the mean of `sampled`, at least 1. */
  setMode(mode: HeapMode, sampleBytes: number = DEFAULT_SAMPLE_BYTES): void {
    native(() => this.#native.setMode(HEAP_MODES.indexOf(mode), sampleBytes));
  }

  totals(): HeapTotals {
    const totals = native(() => this.#native.totals());
    return { ...totals, mode: HEAP_MODES[totals.mode] ?? 'off', resumed: totals.resumed !== 0 };
  }

  sites(): HeapSites {
    return native(() => this.#native.sites());
  }

  /** Of `sites`, who holds how much now: a small part of the work. */
  held(): HeapHeld {
    return native(() => this.#native.held());
  }

  threads(): HeapThreads {
    return native(() => this.#native.threads());
  }

  /** Live allocations by their size, in powers of two. */
  sizes(): HeapHistogram {
    return native(() => this.#native.sizes());
  }

  /** Live allocations by the seconds since they were made. */
  ages(): HeapHistogram {
    return native(() => this.#native.ages());
  }

  /** Remembers the present moment; the last few marks are kept. */
  mark(): number {
    return native(() => this.#native.mark());
  }

  /** Throws `NO_MARK` for a mark that was not made here or is no longer kept. */
  survivors(mark: number): HeapSurvivors {
    return native(() => this.#native.survivors(mark));
  }

  /** Who keeps which pages of the process in memory. Only what mode `exact` has recorded counts. */
  pins(pid: number): HeapPins {
    return native(() => this.#native.pins(pid));
  }

  /** The pages from `start` on, which begins one. As `pins`. */
  pages(pid: number, start: number, end: number): HeapPages {
    return native(() => this.#native.pages(pid, start, end));
  }

  /** As `glibcHeaps` of the addon, with what the recorded blocks were asked for. */
  glibcHeaps(pid: number, main: Float64Array, anonymous: Float64Array): NativeGlibcHeaps {
    return native(() => this.#native.glibcHeaps(pid, main, anonymous));
  }

  /**
   * What the live blocks in `ranges` (`[start, end, …]`, sorted) were asked for, against `classes`: the sizes in which their
   * allocator hands out blocks, rising; none where they aren't known.
   */
  asked(pid: number, ranges: Float64Array, classes: Float64Array): HeapAsked {
    return native(() => this.#native.asked(pid, ranges, classes));
  }

  /** Runs `read` with the heap standing still: all that it asks for is of one moment. */
  together<T>(read: () => T): T {
    this.#native.hold();
    try {
      return read();
    } finally {
      this.#native.letGo();
    }
  }

  /** To be called once the target has ended: takes in what its threads had not told. Nothing changes after that. */
  finish(): void {
    native(() => this.#native.finish());
  }

  close(): void {
    this.#native.close();
  }
}
