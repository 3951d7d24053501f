import type { Coverage } from '../account/allocators/asked.js';
import type { Range } from '../account/maps.js';
import type { HeldByStacks } from '../diagnose/memory-log.js';
import { attributeAllocation, type HeapAttribution } from '../ledger/heap-attribution.js';
import type { HeapLeak } from '../report/heap/sites.js';
import type { HeapPin, SnapshotHeap } from '../report/schema.js';
import { frameName } from '../report/stacks.js';
import type { Frame } from '../symbolize/frame.js';
import type { NativeGlibcHeaps } from '../wire/addon.js';
import { OffheapError } from '../wire/error.js';
import { type HeapAsked, HeapChannel, type HeapPages, type HeapTotals, SHARED_PAGES } from '../wire/heap.js';
import type { HeapMode } from '../wire/heap-mode.js';
import type { CodeMap } from './code-map.js';
import { leakRows } from './heap-rows.js';
import { heapSnapshot } from './heap-snapshot.js';
import type { RecordedSites } from './savings.js';

export interface HeapRecordingOptions {
  code: CodeMap;
  /** Whether its process can still tell anything new. */
  isRunning: boolean;
  /** Reads the mapping events up to now: they tell whose code the newest stacks run through. */
  readMappings: () => void;
}

/** The heap part of a snapshot, and the totals for what it lacks. */
export interface HeapSnapshot {
  part: SnapshotHeap;
  totals: HeapTotals;
}

const PAGE_BYTES = 4096;
/** Of pages that several stacks hold. */
const SEVERAL = { owner: '[several]', kind: 'unexplained' as const };

/** What lives on the heap by stack; null where nothing is recorded. The epoch changes with what is recorded. */
export interface HeldByStack {
  epoch: number;
  stacks: HeldByStacks | null;
}

/** The heap of one program: what its channel tells, with owners. */
export class HeapRecording {
  readonly #channel: HeapChannel;
  readonly #code: CodeMap;
  readonly #readMappings: () => void;
  readonly #attributions = new Map<number, HeapAttribution>();
  /** One object for each distinct attribution: there are a handful, and stacks may be a million. */
  readonly #distinct = new Map<string, HeapAttribution>();
  readonly #openedAt = new Date();
  #mark: number | undefined;

  /** Reads on in the background where anything is recorded and goes on to be. The channel must be claimed. Throws what `HeapChannel` throws. */
  constructor(path: string, { code, isRunning, readMappings }: HeapRecordingOptions) {
    this.#channel = new HeapChannel(path);
    this.#code = code;
    this.#readMappings = readMappings;
    if (isRunning && this.#channel.mode !== 'off') this.#channel.start();
  }

  get mode(): HeapMode {
    return this.#channel.mode;
  }

  get sampleBytes(): number {
    return this.#channel.totals().sampleBytes;
  }

  /** Throws `HEAP_UNAVAILABLE`. */
  setMode(mode: HeapMode, sampleBytes: number): void {
    if (!this.#channel.available) {
      throw new OffheapError(
        'HEAP_UNAVAILABLE',
        'the channel has no room for heap events; give the target a larger shared-memory file system with --dir',
      );
    }
    if (mode !== 'off') this.#channel.start();
    this.#channel.setMode(mode, sampleBytes);
  }

  snapshot(): HeapSnapshot {
    const [columns, totals] = this.read((channel) => [channel.sites(), channel.totals()] as const);
    const followedSince = totals.resumed ? this.#openedAt.toISOString() : null;
    const part = heapSnapshot(columns, totals, (node) => this.#attributionOf(node));
    return { part: { ...part, followedSince }, totals };
  }

  /** What each stack's allocations hold. */
  heldByStack(): HeldByStack {
    const [{ stack, liveBytes }, { mode, epoch }] = this.read(
      (channel) => [channel.held(), channel.totals()] as const,
    );
    if (mode === 'off') return { epoch, stacks: null };
    return { epoch, stacks: { stack, bytes: liveBytes, ownerOf: (node) => this.#attributionOf(node).owner } };
  }

  /** Asks the ledger about one moment. The stacks of its answer can be resolved then. */
  read<T>(ask: (channel: HeapChannel) => T): T {
    const channel = this.#channel;
    channel.drain();
    const answer = channel.together(() => ask(channel));
    this.#readMappings();
    return answer;
  }

  mark(): number {
    this.#channel.drain();
    this.#mark = this.#channel.mark();
    return this.#mark;
  }

  /** Throws `NO_MARK`. */
  leaks(since = this.#mark): Omit<HeapLeak, 'frames'>[] {
    if (since === undefined) {
      throw new OffheapError('NO_MARK', 'there is no mark to compare with; set one with heap.mark() first');
    }
    if (!Number.isInteger(since) || since < 0 || since >= 2 ** 32) {
      throw new OffheapError(
        'NO_MARK',
        `there is no mark ${String(since)}; use a number that heap.mark() gave`,
      );
    }
    const survivors = this.read((channel) => channel.survivors(since));
    return leakRows(survivors, (node) => this.#attributionOf(node));
  }

  /** Who pins which pages; most free bytes first. Throws `HEAP_NOT_EXACT`. */
  pins(pid: number, limit: number): HeapPin[] {
    if (!this.isExact()) {
      throw new OffheapError(
        'HEAP_NOT_EXACT',
        'who pins pages is known only where one collector has read every allocation; start with offheap run --heap exact',
      );
    }
    const { stack, pages, liveBytes, freeBytes } = this.read((channel) => channel.pins(pid));
    const rows: HeapPin[] = [];
    for (let row = 0; row < stack.length; row++) {
      const isShared = stack[row] === SHARED_PAGES;
      if (pages[row] === 0 || (!isShared && rows.length >= limit)) continue;
      const { owner, kind } = isShared ? SEVERAL : this.#attributionOf(stack[row]!);
      rows.push({
        stack: isShared ? null : stack[row]!,
        ...{ owner, kind, pages: pages[row]!, residentBytes: pages[row]! * PAGE_BYTES },
        ...{ liveBytes: liveBytes[row]!, freeBytes: freeBytes[row]! },
        frames: isShared ? [] : this.frames(stack[row]!).map(frameName),
      });
    }
    return rows.sort((a, b) => b.freeBytes - a.freeBytes);
  }

  /** Whether all that lives is known block by block, from the program's start. */
  isExact(): boolean {
    const { mode, epoch, resumed, lost } = this.#channel.totals();
    return mode === 'exact' && epoch === 0 && !resumed && lost === 0;
  }

  /** Of which live blocks anything is known. */
  coverage(): Coverage | 'none' {
    const { mode } = this.#channel;
    if (mode !== 'exact') return mode === 'off' ? 'none' : 'sampled';
    return this.isExact() ? 'all' : 'some';
  }

  /** As the addon's function, with what the recorded blocks were asked for. */
  glibcHeaps(...where: Parameters<HeapChannel['glibcHeaps']>): NativeGlibcHeaps {
    return this.#channel.glibcHeaps(...where);
  }

  asked(pid: number, ranges: readonly Range[], classes: readonly number[]): HeapAsked {
    const bounds = Float64Array.from(ranges.flatMap(({ start, end }) => [start, end]));
    return this.#channel.asked(pid, bounds, Float64Array.from(classes));
  }

  pages(pid: number, start: number, end: number): HeapPages {
    return this.#channel.pages(pid, start, end);
  }

  recordedSites(): RecordedSites {
    const [sites, totals] = this.read((channel) => [channel.sites(), channel.totals()] as const);
    return { sites, totals };
  }

  /** Leaf first. */
  frames(stack: number): Frame[] {
    return this.#code.frames(stack);
  }

  /** The target writes no more: takes in all that it left. */
  finish(): void {
    this.#channel.finish();
  }

  close(): void {
    this.#channel.close();
  }

  #attributionOf(node: number): HeapAttribution {
    let attribution = this.#attributions.get(node);
    if (attribution === undefined) {
      const computed = attributeAllocation(this.#code.attributionFrames(node, 0));
      const key = `${computed.kind}\0${computed.owner}\0${computed.path}\0${computed.caller}`;
      attribution = this.#distinct.get(key) ?? computed;
      this.#distinct.set(key, attribution);
      this.#attributions.set(node, attribution);
    }
    return attribution;
  }
}
