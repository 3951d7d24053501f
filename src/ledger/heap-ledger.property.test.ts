/**
 * The addon's heap ledger against its model: random histories of several threads, written into a real channel file in
 * the way a target writes them, with somebody looking between any two steps.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { HeapChannelFile, type HeapEventKind } from '../../test/support/heap-channel.js';
import fc from '../../test/support/properties.js';
import { HeapChannel } from '../wire/heap.js';
import { HEAP_MODES, type HeapMode } from '../wire/heap-mode.js';
import { type HeapAllocation, HeapModel, type HeapTruth, heapWeight } from './heap-model.js';

const ADDRESSES = 14;
const ADDRESS = (index: number) => 0x7f00_0000_1000 + 16 * index;
const THREADS = 3;
const LANES = 5;
/** Small, so that allocations are told late, and soon. */
const WINDOW = 4;
const TEMPORARIES = 2;
const MEAN = 700;
const STACKS = 4;
const CHUNKS = 64;

let folder: string;
let files = 0;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'offheap-heap-'));
});

afterEach(() => rmSync(folder, { recursive: true }));

interface Step {
  kind: number;
  thread: number;
  at: number;
  bytes: number;
  stack: number;
}

/** What the program has at an address; null: memory that nobody recorded. */
type Block = HeapAllocation | null;

interface Resting {
  entry: number;
  allocation: HeapAllocation;
}

/** A reallocation that has begun. */
interface Reallocation {
  address: number;
  block: Block;
  resting: Resting | undefined;
  sampled: boolean;
  takeBack: (() => void) | undefined;
}

class Thread {
  resting: Resting[] = [];
  readonly temporaries = Array.from({ length: TEMPORARIES }, () => ({ stack: 0, count: 0, bytes: 0 }));
  mode: HeapMode = 'exact';
  reallocation: Reallocation | undefined;

  constructor(
    readonly lane: number,
    readonly id: number,
  ) {}
}

class Program {
  readonly model = new HeapModel();
  readonly path = join(folder, `channel-${files++}`);
  readonly file = new HeapChannelFile(this.path, LANES, CHUNKS);
  readonly heap: HeapChannel;
  readonly blocks = new Map<number, Block>();
  /** Addresses of the recorded ones of mode `sampled`. */
  readonly sampled = new Set<number>();
  readonly threads: Thread[];
  readonly freeLanes: number[] = [];
  readonly untold = new Set<Thread>();
  readonly marks: { number: number; time: bigint }[] = [];
  mode: HeapMode = 'exact';
  lastLane = 0;
  lastId = 100;
  lastTime = 0n;

  /** By stack, 0 for all: the most bytes that were alive at once, those included that no event tells of. */
  readonly highest = new Map<number, number>();

  constructor() {
    this.file.setHeader('start_clock', this.now());
    this.heap = new HeapChannel(this.path);
    this.threads = Array.from({ length: THREADS }, () => this.begin());
  }

  now(): bigint {
    const now = process.hrtime.bigint();
    this.lastTime = now > this.lastTime ? now : this.lastTime + 1n;
    return this.lastTime;
  }

  begin(): Thread {
    const lane = this.freeLanes.pop() ?? this.lastLane++;
    const thread = new Thread(lane, ++this.lastId);
    thread.mode = this.mode;
    this.file.takeLane(lane, thread.id);
    this.untold.add(thread);
    return thread;
  }

  end(index: number): void {
    const thread = this.threads[index]!;
    if (thread.reallocation) this.finish(thread, true);
    this.publishResting(thread);
    this.file.giveLaneBack(thread.lane);
    this.freeLanes.push(thread.lane);
    this.threads[index] = this.begin();
  }

  publish(thread: Thread, kind: HeapEventKind, time: bigint, event: Partial<HeapAllocation> = {}): void {
    if (this.untold.delete(thread)) {
      this.file.publish(thread.lane, { kind: 'thread', time: this.now(), sampledEvery: thread.id });
    }
    this.file.publish(thread.lane, { kind, ...event, time });
  }

  publishEntry(thread: Thread, resting: Resting): void {
    this.publish(thread, 'allocation', resting.allocation.time, resting.allocation);
    this.file.clear(thread.lane, resting.entry);
    thread.resting = thread.resting.filter((other) => other !== resting);
  }

  publishTemporaries(thread: Thread, entry: number): void {
    const { stack, count, bytes } = thread.temporaries[entry]!;
    this.file.temporaries(thread.lane, entry, 0, 0, 0);
    thread.temporaries[entry] = { stack: 0, count: 0, bytes: 0 };
    if (count > 0) this.publish(thread, 'temporaries', this.now(), { stack, bytes, sampledEvery: count });
  }

  publishResting(thread: Thread): void {
    for (const resting of thread.resting) this.publishEntry(thread, resting);
    for (let entry = 0; entry < TEMPORARIES; entry++) this.publishTemporaries(thread, entry);
  }

  /**
   * A thread sees a switch when it next comes by. It may be a little late and tell more than it is asked to; what one
   * that is late tells too little of is lost.
   */
  notice(thread: Thread, late: boolean): void {
    const tellsMore = HEAP_MODES.indexOf(thread.mode) > HEAP_MODES.indexOf(this.mode);
    if (thread.mode === this.mode || (late && tellsMore)) return;
    if (thread.mode === 'exact') this.publishResting(thread);
    thread.mode = this.mode;
  }

  malloc(thread: Thread, address: number, bytes: number, stack: number): void {
    if (thread.mode === 'exact') {
      const before = thread.resting.find(({ allocation }) => allocation.address === address);
      if (before) this.publishEntry(thread, before);
      if (thread.resting.length === WINDOW) this.publishEntry(thread, thread.resting[0]!);
      const time = this.now();
      const allocation = { address, time, bytes, stack, threadId: thread.id, sampledEvery: 0 };
      this.rest(thread, allocation);
      this.blocks.set(address, allocation);
      this.model.allocated(allocation);
    } else if (thread.mode === 'sampled' && bytes % 3 > 0) {
      const time = this.now();
      const allocation = { address, time, bytes, stack, threadId: thread.id, sampledEvery: MEAN };
      this.publish(thread, 'allocation', time, allocation);
      this.sampled.add(address);
      this.blocks.set(address, allocation);
      this.model.allocated(allocation);
    } else {
      this.blocks.set(address, null);
    }
  }

  rest(thread: Thread, allocation: HeapAllocation): void {
    const taken = new Set(thread.resting.map(({ entry }) => entry));
    const entry = Array.from({ length: WINDOW }, (_, index) => 60 * index).find((each) => !taken.has(each))!;
    thread.resting.push({ entry, allocation });
    this.file.rest(thread.lane, entry, { kind: 'allocation', ...allocation });
  }

  /** The window's entry of a block, if it is that block's and no other's that had the address before. */
  restingOf(thread: Thread, address: number): Resting | undefined {
    const resting = thread.resting.find(({ allocation }) => allocation.address === address);
    if (!resting) return undefined;
    if (this.blocks.get(address) === resting.allocation) return resting;
    this.publishEntry(thread, resting);
    return undefined;
  }

  countTemporary(thread: Thread, allocation: HeapAllocation): void {
    const entry = allocation.stack % TEMPORARIES;
    if (thread.temporaries[entry]!.stack !== allocation.stack) this.publishTemporaries(thread, entry);
    const temporaries = thread.temporaries[entry]!;
    temporaries.stack = allocation.stack;
    temporaries.count++;
    temporaries.bytes += allocation.bytes;
    this.file.temporaries(thread.lane, entry, temporaries.stack, temporaries.count, temporaries.bytes);
    this.model.cancelled(allocation, this.now());
  }

  unrest(thread: Thread, resting: Resting): void {
    this.file.clear(thread.lane, resting.entry);
    thread.resting = thread.resting.filter((other) => other !== resting);
  }

  /** What comes before a block is freed. */
  release(thread: Thread, address: number, kind: 'release' | 'reallocation'): (() => void) | undefined {
    const told = thread.mode === 'exact' || (thread.mode === 'sampled' && this.sampled.has(address));
    this.sampled.delete(address);
    if (!told) return undefined;
    const time = this.now();
    this.publish(thread, kind, time, { address });
    return this.model.released(address, time);
  }

  free(thread: Thread, address: number): void {
    const resting = thread.mode === 'exact' ? this.restingOf(thread, address) : undefined;
    if (resting) {
      this.unrest(thread, resting);
      this.countTemporary(thread, resting.allocation);
    } else {
      this.release(thread, address, 'release');
    }
    this.blocks.delete(address);
  }

  reallocate(thread: Thread, address: number): void {
    const block = this.blocks.get(address)!;
    const resting = thread.mode === 'exact' ? this.restingOf(thread, address) : undefined;
    const sampled = this.sampled.has(address);
    if (resting) this.unrest(thread, resting);
    const takeBack = resting ? undefined : this.release(thread, address, 'reallocation');
    thread.reallocation = { address, block, resting, sampled, takeBack };
    // Nobody else may name the block meanwhile.
    this.blocks.delete(address);
  }

  finish(thread: Thread, fails: boolean): void {
    const { address, block, resting, sampled, takeBack } = thread.reallocation!;
    thread.reallocation = undefined;
    if (!fails) {
      if (resting) this.countTemporary(thread, resting.allocation);
      this.malloc(thread, address, 100 + (address % 7), 2);
      return;
    }
    this.blocks.set(address, block);
    if (resting) this.rest(thread, resting.allocation);
    if (takeBack) {
      this.publish(thread, 'undone', this.now(), { address });
      takeBack();
    }
    if (sampled) this.sampled.add(address);
  }

  /** As the target does it alone, or as the collector asks. */
  switch(mode: HeapMode, byTarget: boolean): void {
    if (mode === this.mode) return;
    if (byTarget && this.mode === 'exact' && mode === 'sampled') {
      // A collector sees no more than the last of several switches; it makes all but this one.
      this.file.setHeader('heap_switched_at', this.now());
      this.file.control('sampled', this.file.epoch + 1, MEAN);
    } else {
      this.heap.setMode(mode, MEAN);
    }
    const time = this.file.header('heap_switched_at');
    this.lastTime = time > this.lastTime ? time : this.lastTime;
    this.model.switched(mode, time);
    this.mode = mode;
    if (mode === 'off') this.sampled.clear();
  }

  mark(): void {
    // A release that is taken back after the mark would count as less than none since then.
    if (this.marks.length === 16 || this.threads.some(({ reallocation }) => reallocation)) return;
    this.lastTime++;
    const time = this.now();
    const number = this.heap.mark();
    this.model.marked(number, time);
    this.marks.push({ number, time });
  }

  step(step: Step): void {
    this.act(step);
    const stacks = new Map<number, number>([[0, 0]]);
    for (const block of [...this.blocks.values(), ...this.threads.map((each) => each.reallocation?.block)]) {
      if (!block) continue;
      const { bytes } = heapWeight(block.bytes, block.sampledEvery);
      for (const key of [0, block.stack]) stacks.set(key, (stacks.get(key) ?? 0) + bytes);
    }
    for (const [key, bytes] of stacks) this.highest.set(key, Math.max(bytes, this.highest.get(key) ?? 0));
  }

  act({ kind, thread: index, at, bytes, stack }: Step): void {
    const thread = this.threads[index]!;
    const address = ADDRESS(at);
    const late = bytes % 5 === 0;
    if (kind < 50) {
      if (thread.reallocation) {
        this.finish(thread, bytes % 2 === 0);
        return;
      }
      this.notice(thread, late);
      if (this.isBusy(address)) return;
      if (!this.blocks.has(address)) {
        // What is told of a free address: a double free, or one of memory from before.
        if (kind < 3) this.release(thread, address, 'release');
        else this.malloc(thread, address, bytes, stack);
      } else if (kind < 10) {
        this.reallocate(thread, address);
      } else {
        this.free(thread, address);
      }
    } else if (kind < 56) this.heap.drain();
    else if (kind < 60) this.compare();
    else if (kind < 63) this.end(index);
    else if (kind < 64) this.mark();
    else if (kind < 66) this.switch((['off', 'sampled', 'exact'] as const)[stack % 3]!, bytes % 2 === 0);
  }

  isBusy(address: number): boolean {
    return this.threads.some(({ reallocation }) => reallocation?.address === address);
  }

  compare(): void {
    // What has been taken out for a reallocation is in the hands of the allocator: neither here nor there.
    if (this.threads.some(({ reallocation }) => reallocation?.resting)) return;
    compare(this.heap, this.model.truth(), this.marks, this.highest);
  }
}

function close(actual: number, expected: number, what: string): void {
  const error = Math.abs(actual - expected);
  if (!(error <= 1e-6 + 1e-9 * Math.abs(expected))) {
    throw new Error(`${what}: ${actual} instead of ${expected}`);
  }
}

function compare(
  heap: HeapChannel,
  truth: HeapTruth,
  marks: Program['marks'],
  highest: Map<number, number>,
): void {
  heap.together(() => {
    const totals = heap.totals();
    const same = [
      'liveBytes',
      'liveAllocations',
      'allocations',
      'frees',
      'temporary',
      'allocatedBytes',
    ] as const;
    const variances = ['liveBytesVariance', 'liveAllocationsVariance'] as const;
    for (const name of [...same, ...variances]) close(totals[name], truth.total[name], name);
    for (const name of ['beforeBytes', 'beforeAllocations', 'unknownFrees'] as const) {
      close(totals[name], truth[name], name);
    }
    expect(totals.damaged).toBe(0);
    const { allocations, frees, beforeAllocations } = totals;
    close(totals.liveAllocations, allocations - frees - beforeAllocations, 'identity');

    // What is told late may miss its peak, and what comes and goes untold is part of one if somebody looks meanwhile.
    const checkPeak = (peak: number, live: number, key: number) => {
      if (peak > highest.get(key)! + 1e-6 || peak < live - 1e-6) throw new Error(`peak of ${key}: ${peak}`);
    };
    checkPeak(totals.peakBytes, totals.liveBytes, 0);

    const sites = heap.sites();
    expect([...sites.stack].sort()).toEqual([...truth.stacks.keys()].sort());
    sites.stack.forEach((stack, row) => {
      const expected = truth.stacks.get(stack)!;
      for (const name of [...same, ...variances])
        close(sites[name][row]!, expected[name], `${name} of stack ${stack}`);
      checkPeak(sites.peakBytes[row]!, expected.liveBytes, stack);
    });

    const held = heap.held();
    const holding = [...sites.stack].filter((_, row) => sites.liveBytes[row]! > 0);
    expect([...held.stack]).toEqual(holding);
    expect([...held.liveBytes]).toEqual([...sites.liveBytes].filter((bytes) => bytes > 0));

    const threads = heap.threads();
    expect([...threads.threadId].sort()).toEqual([...truth.threads.keys()].sort());
    threads.threadId.forEach((threadId, row) => {
      const expected = truth.threads.get(threadId)!;
      for (const name of ['liveBytes', 'liveAllocations', 'allocations', 'frees', 'temporary'] as const)
        close(threads[name][row]!, expected[name], `${name} of thread ${threadId}`);
    });

    const sizes = heap.sizes();
    const bySize = new Float64Array(sizes.from.length);
    for (const { bytes, sampledEvery } of truth.live) {
      const row = sizes.from.findLastIndex((from) => from <= bytes);
      bySize[row] = bySize[row]! + heapWeight(bytes, sampledEvery).bytes;
    }
    sizes.liveBytes.forEach((bytes, row) => {
      close(bytes, bySize[row]!, `bytes of size ${sizes.from[row]}`);
    });

    for (const { number, time } of marks) {
      const survivors = heap.survivors(number);
      const expected = new Map<number, number>();
      for (const { stack, bytes, sampledEvery } of truth.live.filter((each) => each.time > time))
        expected.set(stack, (expected.get(stack) ?? 0) + heapWeight(bytes, sampledEvery).bytes);
      expect([...survivors.stack].sort()).toEqual([...expected.keys()].sort());
      survivors.stack.forEach((stack, row) => {
        close(survivors.liveBytes[row]!, expected.get(stack)!, `survivors of stack ${stack}`);
        const frees = truth.stacks.get(stack)!.frees - (truth.freesUntil.get(number)!.get(stack) ?? 0);
        close(survivors.frees[row]!, frees, `frees of stack ${stack} since mark ${number}`);
      });
    }
  });
}

const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.integer({ min: 0, max: 65 }),
  thread: fc.integer({ min: 0, max: THREADS - 1 }),
  at: fc.integer({ min: 0, max: ADDRESSES - 1 }),
  bytes: fc.integer({ min: 0, max: 3000 }),
  stack: fc.integer({ min: 1, max: STACKS }),
});

function run(steps: readonly Step[]): void {
  const program = new Program();
  try {
    for (const each of steps) program.step(each);
    for (const thread of program.threads) {
      if (thread.reallocation) program.finish(thread, true);
    }
    program.compare();
    program.heap.finish();
    program.compare();
    program.heap.finish();
    expect(program.heap.drain()).toBe(0);
    program.compare();
  } finally {
    program.heap.close();
    program.file.close();
    rmSync(program.path);
  }
}

test('random histories are accounted for as their model says', () => {
  fc.assert(fc.property(fc.array(step, { minLength: 20, maxLength: 250 }), run), {
    numRuns: Number(process.env.OFFHEAP_RUNS ?? 300),
  });
});
