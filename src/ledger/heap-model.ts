/**
 * The heap ledger in its plainest form: all that ever happened, sorted by time and gone through from the start
 * whenever somebody looks. The oracle of the ledger in the addon.
 */
import type { HeapMode } from '../wire/heap-mode.js';

export interface HeapAllocation {
  address: number;
  time: bigint;
  bytes: number;
  stack: number;
  threadId: number;
  /** Mean of the sampling that let it through; 0: all are recorded. */
  sampledEvery: number;
}

/** Sums by what is counted; the columns of `HeapSites`, of one row. */
export interface HeapSum {
  liveBytes: number;
  liveAllocations: number;
  allocations: number;
  frees: number;
  temporary: number;
  allocatedBytes: number;
  peakBytes: number;
  liveBytesVariance: number;
  liveAllocationsVariance: number;
}

export interface HeapTruth {
  total: HeapSum;
  stacks: Map<number, HeapSum>;
  threads: Map<number, HeapSum>;
  live: HeapAllocation[];
  beforeBytes: number;
  beforeAllocations: number;
  unknownFrees: number;
  /** Of each mark, frees by stack until then. */
  freesUntil: Map<number, Map<number, number>>;
}

type Moment =
  | { kind: 'allocation'; time: bigint; allocation: HeapAllocation }
  | { kind: 'release'; time: bigint; address: number }
  | { kind: 'temporary'; time: bigint; allocation: HeapAllocation }
  | { kind: 'mode'; time: bigint; mode: HeapMode }
  | { kind: 'mark'; time: bigint; mark: number };

/** What one recorded block stands for. */
export function heapWeight(bytes: number, sampledEvery: number) {
  if (sampledEvery === 0) return { bytes, allocations: 1, bytesVariance: 0, allocationsVariance: 0 };
  const probability = 1 - Math.exp(-Math.max(1, bytes) / sampledEvery);
  const excess = (1 - probability) / probability ** 2;
  return {
    bytes: bytes / probability,
    allocations: 1 / probability,
    bytesVariance: bytes ** 2 * excess,
    allocationsVariance: excess,
  };
}

export class HeapModel {
  readonly #moments = new Set<Moment>();
  readonly #allocations = new Map<HeapAllocation, Moment>();

  allocated(allocation: HeapAllocation): void {
    const moment: Moment = { kind: 'allocation', time: allocation.time, allocation };
    this.#moments.add(moment);
    this.#allocations.set(allocation, moment);
  }

  /** Freed by its own thread before it was told. */
  cancelled(allocation: HeapAllocation, time: bigint): void {
    this.#moments.delete(this.#allocations.get(allocation)!);
    this.#moments.add({ kind: 'temporary', time, allocation });
  }

  /** Returns the way to take it back: it has not happened after all. */
  released(address: number, time: bigint): () => void {
    const moment: Moment = { kind: 'release', time, address };
    this.#moments.add(moment);
    return () => this.#moments.delete(moment);
  }

  switched(mode: HeapMode, time: bigint): void {
    this.#moments.add({ kind: 'mode', time, mode });
  }

  marked(mark: number, time: bigint): void {
    this.#moments.add({ kind: 'mark', time, mark });
  }

  truth(): HeapTruth {
    const history = new History();
    const moments = [...this.#moments].sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
    for (const moment of moments) history.apply(moment);
    return history.truth;
  }
}

class History {
  readonly truth: HeapTruth = {
    total: noSum(),
    stacks: new Map(),
    threads: new Map(),
    live: [],
    beforeBytes: 0,
    beforeAllocations: 0,
    unknownFrees: 0,
    freesUntil: new Map(),
  };
  readonly #live = new Map<number, HeapAllocation>();
  #mode: HeapMode = 'exact';

  apply(moment: Moment): void {
    if (moment.kind === 'allocation') this.#allocate(moment.allocation);
    else if (moment.kind === 'temporary') this.#cancel(moment.allocation);
    else if (moment.kind === 'release') this.#release(moment.address);
    else if (moment.kind === 'mode') this.#switch(moment.mode);
    else this.truth.freesUntil.set(moment.mark, this.#freesByStack());
    this.truth.live = [...this.#live.values()];
  }

  #allocate(allocation: HeapAllocation): void {
    const weight = heapWeight(allocation.bytes, allocation.sampledEvery);
    this.#count(allocation, { allocations: weight.allocations, allocatedBytes: weight.bytes });
    if (!this.#isFollowed(allocation)) {
      this.#setAside(allocation);
      return;
    }
    // Addresses are not given twice: the one before was freed.
    if (this.#live.has(allocation.address)) this.#release(allocation.address);
    this.#live.set(allocation.address, allocation);
    this.#changeLive(allocation, 1);
  }

  #release(address: number): void {
    const allocation = this.#live.get(address);
    if (!allocation) {
      this.truth.unknownFrees++;
      return;
    }
    this.#live.delete(address);
    this.#changeLive(allocation, -1);
    this.#count(allocation, { frees: heapWeight(allocation.bytes, allocation.sampledEvery).allocations });
  }

  #cancel(allocation: HeapAllocation): void {
    this.#count(allocation, {
      allocations: 1,
      frees: 1,
      temporary: 1,
      allocatedBytes: allocation.bytes,
    });
  }

  #switch(mode: HeapMode): void {
    this.#mode = mode;
    for (const [address, allocation] of this.#live) {
      if (this.#isFollowed(allocation)) continue;
      this.#live.delete(address);
      this.#changeLive(allocation, -1);
      this.#setAside(allocation);
    }
  }

  /** Whether its release will be recorded, as the mode is now. */
  #isFollowed(allocation: HeapAllocation): boolean {
    return this.#mode === 'exact' || (this.#mode === 'sampled' && allocation.sampledEvery !== 0);
  }

  #setAside(allocation: HeapAllocation): void {
    const weight = heapWeight(allocation.bytes, allocation.sampledEvery);
    this.truth.beforeBytes += weight.bytes;
    this.truth.beforeAllocations += weight.allocations;
  }

  #changeLive(allocation: HeapAllocation, sign: 1 | -1): void {
    const weight = heapWeight(allocation.bytes, allocation.sampledEvery);
    this.#count(allocation, {
      liveBytes: sign * weight.bytes,
      liveAllocations: sign * weight.allocations,
      liveBytesVariance: sign * weight.bytesVariance,
      liveAllocationsVariance: sign * weight.allocationsVariance,
    });
  }

  #count(allocation: HeapAllocation, change: Partial<HeapSum>): void {
    const sums = [
      this.truth.total,
      entry(this.truth.stacks, allocation.stack),
      entry(this.truth.threads, allocation.threadId),
    ];
    for (const sum of sums) {
      for (const [name, value] of Object.entries(change)) sum[name as keyof HeapSum] += value;
      sum.peakBytes = Math.max(sum.peakBytes, sum.liveBytes);
    }
  }

  #freesByStack(): Map<number, number> {
    return new Map([...this.truth.stacks].map(([stack, sum]) => [stack, sum.frees]));
  }
}

function entry(sums: Map<number, HeapSum>, key: number): HeapSum {
  let sum = sums.get(key);
  if (!sum) {
    sum = noSum();
    sums.set(key, sum);
  }
  return sum;
}

function noSum(): HeapSum {
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
