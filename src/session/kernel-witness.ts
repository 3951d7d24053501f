import type { Range } from '../account/maps.js';
import type { Drain } from '../drain/drain.js';
import { PAGE_BYTES } from '../ledger/memory-abi.js';
import type { KernelMappings } from '../report/schema.js';
import { type NativeWitness, openNativeWitness } from '../wire/addon.js';
import { OffheapError } from '../wire/error.js';
import type { MappingEvent } from '../wire/event.js';
import { GapCauses } from './gap-cause.js';
import type { ProcessRecording } from './recording.js';

/** What is kept until a quiet moment comes. */
const MOST_KEPT = 1 << 16;
/** A thread that waits for a processor between a call and its event does so for less. */
const QUIET_MS = 500;

/** What one thread did since the last comparison. */
interface ThreadCalls {
  /** As the kernel's records tell: new mappings and changed protections. */
  areas: Range[];
  mapped: Range[];
  protected: Range[];
}

/**
 * Holds what is recorded against the kernel's own records of mappings. A call leaves its record before its event, so what
 * has a record and no event is under way, or nobody saw it: once nothing has come for a while it is the latter, and where
 * its event comes after all, that is taken back. Changes of protection leave records of areas too; those that overlap a
 * recorded one by the same thread are left out, and with them the thread's mappings there. So the kernel never seems to
 * have counted more than what was missed.
 */
export class KernelWitness {
  /** Why the kernel can't be asked: one line. */
  readonly refusal: string | undefined;
  /** Mappings that nobody was seen to make, with the likely cause: one line; none where none are missing. */
  gap: string | undefined;
  readonly #native: NativeWitness | undefined;
  readonly #causes = new GapCauses();
  readonly #from: number;
  #figures: KernelMappings = { counted: 0, recorded: 0, lost: 0, notCompared: 0 };
  /** Threads that made more mappings than were recorded, and how many more. */
  readonly #missing = new Map<number, number>();
  #replaced = false;
  readonly #calls = new Map<number, ThreadCalls>();
  #kept = 0;
  #own: Range[] = [];
  /** In another PID namespace the target numbers its threads otherwise than the kernel does for us. */
  readonly #tellsThreads: boolean;
  #cameMs = performance.now();
  #lacking: number;

  constructor(drain: Drain) {
    try {
      this.#native = openNativeWitness(drain.processId);
    } catch (error) {
      if (!(error instanceof OffheapError)) throw error;
      this.refusal = error.message;
    }
    const { ringHead, eventsCancelled, processId } = drain.channel.header();
    // Before the records are passed over that came by now: a call in between has an event too many, which accuses nobody.
    this.#from = ringHead;
    this.#lacking = eventsCancelled;
    this.#tellsThreads = processId === drain.processId;
    this.#native?.read();
  }

  get figures(): KernelMappings | null {
    return this.#native === undefined ? null : { ...this.#figures };
  }

  /** To be told of each event before it is applied. `breakBefore` is the program break, -1 where unknown. */
  note(event: MappingEvent, breakBefore: number): void {
    const { position, operation, phase, args, result, extra, threadId } = event;
    if (this.#native === undefined || position < this.#from || phase !== 'complete') return;
    if (event.byProfiler) {
      // Told by whichever thread comes next.
      this.#own.push({ start: result, end: result + args[1] });
      return;
    }
    const keep = (kind: keyof ThreadCalls, start: number, bytes: number) =>
      this.#keep(kind, threadId, { start, end: start + bytes });
    if (operation === 'mprotect' || operation === 'pkey_mprotect' || operation === 'remap_file_pages') {
      keep('protected', args[0], args[1]);
    } else if (result <= 0) return;
    else if (operation === 'mmap') keep('mapped', result, args[1]);
    else if (operation === 'shmat') keep('mapped', result, extra);
    else if (operation === 'brk' && pageOf(result) > pageOf(breakBefore)) keep('mapped', result - 1, 1);
  }

  /** To be called after events were taken in, and often: what finds no room in the kernel's rings is lost. */
  listen(): void {
    if (this.#native === undefined || this.#replaced) return;
    const { areas, lost, replaced } = this.#native.read();
    for (let i = 0; i < areas.length; i += 3) {
      this.#keep('areas', areas[i + 2]!, { start: areas[i]!, end: areas[i + 1]! });
    }
    this.#figures.lost = lost;
    this.#replaced = replaced;
    if (replaced || this.#kept > MOST_KEPT) this.#passOver();
  }

  /** Compares, once nothing is under way. Returns whether more is missing than was known. */
  look(recording: ProcessRecording, ended?: 'exited' | 'killed'): boolean {
    this.listen();
    if (this.#lacksCalls(recording)) this.#passOver();
    if (this.#replaced || this.#kept === 0) return false;
    if (ended === undefined && performance.now() - this.#cameMs < QUIET_MS) return false;
    // Threads that another one's exit or a signal ends may be anywhere.
    const mayBeCutOff =
      ended === 'killed' || (ended === 'exited' && (this.#calls.size > 1 || !this.#tellsThreads));
    if (!mayBeCutOff) return this.#compare(recording, 0);
    return this.#compare(recording, this.#tellsThreads ? 1 : Number.POSITIVE_INFINITY);
  }

  close(): void {
    this.#native?.close();
  }

  #keep(kind: keyof ThreadCalls, threadId: number, range: Range): void {
    const thread = this.#tellsThreads ? threadId : 0;
    const calls = this.#calls.get(thread) ?? { areas: [], mapped: [], protected: [] };
    this.#calls.set(thread, calls);
    calls[kind].push(range);
    this.#kept++;
    this.#cameMs = performance.now();
  }

  /** `cutOff`: how many calls of a thread may have ended between their record and their event. */
  #compare(recording: ProcessRecording, cutOff: number): boolean {
    const known = this.#sumOfMissing();
    for (const [thread, calls] of this.#calls) {
      const passedOver = [...calls.protected, ...this.#own];
      const counted = countApart(calls.areas, passedOver);
      const recorded = countApart(calls.mapped, passedOver);
      this.#figures.counted += counted;
      this.#figures.recorded += recorded;
      const more = counted - recorded;
      const missing = (this.#missing.get(thread) ?? 0) + (more > 0 ? Math.max(0, more - cutOff) : more);
      if (missing > 0) this.#missing.set(thread, missing);
      else this.#missing.delete(thread);
    }
    this.#forget();
    const missing = this.#sumOfMissing();
    if (missing === known) return false;
    this.gap = missing === 0 ? undefined : reasonOf(missing, this.#causes.of(recording));
    return missing > known;
  }

  #sumOfMissing(): number {
    return [...this.#missing.values()].reduce((sum, count) => sum + count, 0);
  }

  #passOver(): void {
    for (const { areas } of this.#calls.values()) this.#figures.notCompared += areas.length;
    this.#forget();
  }

  #forget(): void {
    this.#calls.clear();
    this.#own = [];
    this.#kept = 0;
  }

  /** Whether calls are missing among the events since the last time. */
  #lacksCalls({ drain }: ProcessRecording): boolean {
    const lost = Object.values(drain.lost).reduce((sum, count) => sum + count, 0);
    const before = this.#lacking;
    this.#lacking = lost + drain.channel.header().eventsCancelled;
    return this.#lacking !== before;
  }
}

function reasonOf(missing: number, cause: string): string {
  const mappings = missing === 1 ? 'mapping' : 'mappings';
  return `the kernel counted ${missing} ${mappings} that nobody was seen to make; most likely ${cause}`;
}

function pageOf(address: number): number {
  return Math.ceil(address / PAGE_BYTES);
}

/** How many ranges overlap none of `others`. */
function countApart(ranges: readonly Range[], others: readonly Range[]): number {
  const sorted = [...others].sort((a, b) => a.start - b.start);
  // The furthest end of all up to here.
  const reach: number[] = [];
  for (const { end } of sorted) reach.push(Math.max(end, reach.at(-1) ?? 0));
  return ranges.filter(({ start, end }) => {
    let low = 0;
    let high = sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sorted[middle]!.start < end) low = middle + 1;
      else high = middle;
    }
    return low === 0 || reach[low - 1]! <= start;
  }).length;
}
