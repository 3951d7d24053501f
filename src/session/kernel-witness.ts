import type { Drain } from '../drain/drain.js';
import {
  PAGE_BYTES,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
  PROTECTION_MASK,
  SHM_EXEC,
  SHM_RDONLY,
} from '../ledger/memory-abi.js';
import type { KernelMappings } from '../report/schema.js';
import { clock, type NativeWitness, openNativeWitness } from '../wire/addon.js';
import { OffheapError } from '../wire/error.js';
import type { MappingEvent } from '../wire/event.js';
import { GapCauses } from './gap-cause.js';
import type { ProcessRecording } from './recording.js';
import { type SeenCall, WitnessedCalls } from './witnessed-calls.js';

/** What is kept for comparison. */
const MOST_KEPT = 1 << 16;
/** A thread that waits for a processor between a call and its event does so for less. */
const UNDER_WAY_NS = 500e6;
/** In an area's record: start, end, thread, protection, time in two halves. */
const FIELDS = 6;

/**
 * Holds what is recorded against the kernel's own records of mappings and of changed protections, call by call. A call leaves its
 * record before its event: what has a record and no event half a second later nobody saw, and where its event comes after all,
 * that is taken back.
 */
export class KernelWitness {
  /** Why the kernel can't be asked: one line. */
  readonly refusal: string | undefined;
  /** Mappings that nobody was seen to make, with the likely cause: one line; none where none are missing. */
  gap: string | undefined;
  readonly #native: NativeWitness | undefined;
  readonly #drain: Drain;
  readonly #causes = new GapCauses();
  /** Up to when all events are taken in: behind a place in the ring that is not filled yet, others wait. */
  #caughtUpNs: number;
  #behind: { ringHead: number; sinceNs: number } | undefined;
  /** From when on all is compared. */
  #sinceNs: number;
  readonly #startMonotonicNs: number;
  readonly #threads = new Map<number, WitnessedCalls>();
  /** Of threads of which nothing is kept. */
  #paired = 0;
  #unwitnessed = 0;
  #lost = 0;
  #notCompared = 0;
  #grownStacks = 0;
  #known = 0;
  #replaced = false;
  /** The shim's own; which thread made them is not told. */
  #own: SeenCall[] = [];
  /** In another PID namespace the target numbers its threads otherwise than the kernel does for us. */
  readonly #tellsThreads: boolean;
  #lacking: number;

  constructor(drain: Drain) {
    this.#drain = drain;
    const { eventsCancelled, processId, clock: stamps, startMonotonicNs } = drain.channel.header();
    try {
      this.#native = openNativeWitness(drain.processId, stamps === 'tsc');
    } catch (error) {
      if (!(error instanceof OffheapError)) throw error;
      this.refusal = error.message;
    }
    this.#startMonotonicNs = startMonotonicNs;
    this.#sinceNs = this.#nowNs();
    this.#caughtUpNs = this.#sinceNs;
    this.#lacking = eventsCancelled;
    this.#tellsThreads = processId === drain.processId;
  }

  get figures(): KernelMappings | null {
    if (this.#native === undefined) return null;
    let [paired, unwitnessed, underWay] = [this.#paired, this.#unwitnessed, 0];
    for (const calls of this.#threads.values()) {
      paired += calls.paired;
      unwitnessed += calls.unwitnessed;
      underWay += calls.waiting;
    }
    return {
      counted: paired + this.#unseen(),
      recorded: paired + unwitnessed,
      underWay,
      lost: this.#lost,
      notCompared: this.#notCompared,
      grownStacks: this.#grownStacks,
    };
  }

  /** To be told of each event before it is applied. `breakBefore` is the program break, -1 where unknown. */
  note(event: MappingEvent, breakBefore: number): void {
    if (this.#native === undefined || this.#replaced || event.timeNs < this.#sinceNs) return;
    const call = callOf(event, breakBefore);
    if (call === undefined) return;
    if (event.byProfiler) this.#own.push(call);
    else this.#of(event.threadId).call(call);
  }

  /** To be called after events were taken in, and often: what finds no room in the kernel's rings is lost. */
  listen(): void {
    if (this.#native === undefined || this.#replaced) return;
    this.#catchUp();
    const { areas, lost, replaced } = this.#native.read();
    for (let i = 0; i < areas.length; i += FIELDS) {
      const timeNs = this.#drain.sinceStartNs(areas[i + 4]!, areas[i + 5]!);
      const record = { start: areas[i]!, end: areas[i + 1]!, protection: areas[i + 3]!, timeNs };
      this.#of(areas[i + 2]!).record(record);
    }
    this.#lost = lost;
    this.#replaced = replaced;
    if (replaced) this.#passOver();
    if (this.#waiting() > MOST_KEPT) this.#settle(Number.NEGATIVE_INFINITY);
    if (this.#waiting() > MOST_KEPT) this.#passOver();
  }

  /** Compares what is no longer under way. Returns whether more is missing than was known. */
  look(recording: ProcessRecording, ended?: 'exited' | 'killed'): boolean {
    this.listen();
    if (this.#lacksCalls(recording)) this.#passOver();
    if (this.#native === undefined) return false;
    this.#settle(ended === undefined ? this.#caughtUpNs - UNDER_WAY_NS : Number.POSITIVE_INFINITY);
    this.#excuseGrownStacks(recording);
    // Threads that another one's exit or a signal ends may be anywhere.
    const mayBeCutOff =
      ended === 'killed' || (ended === 'exited' && (this.#threads.size > 1 || !this.#tellsThreads));
    for (const [thread, calls] of this.#threads) {
      if (mayBeCutOff) calls.excuseLast(this.#tellsThreads ? 1 : Number.POSITIVE_INFINITY);
      if (calls.waiting === 0 && calls.unseen === 0) this.#forget(thread, calls);
    }
    return this.#tell(recording);
  }

  close(): void {
    this.#native?.close();
  }

  #of(threadId: number): WitnessedCalls {
    const thread = this.#tellsThreads ? threadId : 0;
    const known =
      this.#threads.get(thread) ??
      new WitnessedCalls({ ofOneThread: this.#tellsThreads, sinceNs: this.#sinceNs });
    this.#threads.set(thread, known);
    return known;
  }

  #settle(untilNs: number): void {
    for (const calls of this.#threads.values()) calls.settle(untilNs);
    const due = this.#own.filter(({ timeNs }) => timeNs <= untilNs);
    this.#own = this.#own.filter(({ timeNs }) => timeNs > untilNs);
    for (const call of due) this.#excuseOwn(call);
  }

  #excuseOwn(call: SeenCall): void {
    let most = call.makes === 'mapping' ? 1 : Number.POSITIVE_INFINITY;
    for (const calls of this.#threads.values()) most -= calls.excuse((record) => isOwn(call, record), most);
  }

  /** A stack that the program has mapped with MAP_GROWSDOWN is extended by the kernel itself. */
  #excuseGrownStacks({ ledger }: ProcessRecording): void {
    for (const calls of this.#threads.values()) {
      this.#grownStacks += calls.excuse(({ start, end }) => {
        const range = ledger.at(end - 1);
        return range?.origin.growsDown === true && start < range.start;
      }, Number.POSITIVE_INFINITY);
    }
  }

  #forget(thread: number, { paired, unwitnessed }: WitnessedCalls): void {
    this.#paired += paired;
    this.#unwitnessed += unwitnessed;
    this.#threads.delete(thread);
  }

  #tell(recording: ProcessRecording): boolean {
    const known = this.#known;
    const missing = this.#unseen();
    this.#known = missing;
    if (missing === known) return false;
    this.gap = missing === 0 ? undefined : reasonOf(missing, this.#causes.of(recording));
    return missing > known;
  }

  #unseen(): number {
    let sum = 0;
    for (const { unseen } of this.#threads.values()) sum += unseen;
    return sum;
  }

  #waiting(): number {
    let sum = this.#own.length;
    for (const { waiting } of this.#threads.values()) sum += waiting;
    return sum;
  }

  #passOver(): void {
    this.#sinceNs = this.#nowNs();
    for (const calls of this.#threads.values()) {
      this.#notCompared += calls.waitingRecords;
      calls.passOver(this.#sinceNs);
    }
    this.#own = [];
  }

  #catchUp(): void {
    if (this.#behind !== undefined && this.#drain.position >= this.#behind.ringHead) {
      this.#caughtUpNs = this.#behind.sinceNs;
      this.#behind = undefined;
    }
    if (this.#behind !== undefined) return;
    // In this order: what is recorded by then has a place before the head.
    const sinceNs = this.#nowNs();
    const { ringHead } = this.#drain.channel.header();
    if (this.#drain.position >= ringHead) this.#caughtUpNs = sinceNs;
    else this.#behind = { ringHead, sinceNs };
  }

  /** Since the process's start. */
  #nowNs(): number {
    return clock().monotonicNs - this.#startMonotonicNs;
  }

  /** Whether calls are missing among the events since the last time. */
  #lacksCalls({ drain }: ProcessRecording): boolean {
    const lost = Object.values(drain.lost).reduce((sum, count) => sum + count, 0);
    const before = this.#lacking;
    this.#lacking = lost + drain.channel.header().eventsCancelled;
    return this.#lacking !== before;
  }
}

/** What of a call leaves records, if it leaves any. */
function callOf(event: MappingEvent, breakBefore: number): SeenCall | undefined {
  const { operation, phase, args, result, extra, timeNs } = event;
  if (phase !== 'complete') return undefined;
  const made = (makes: SeenCall['makes'], start: number, bytes: number, protection: number | null) => ({
    ...{ makes, start, end: start + bytes, timeNs },
    protection: protection === null ? null : protection & PROTECTION_MASK,
  });
  switch (operation) {
    // One that failed may have changed a part.
    case 'mprotect':
    case 'pkey_mprotect':
      return made('protection', args[0], args[1], args[2]);
    case 'mmap':
      return result > 0 ? made('mapping', result, args[1], args[2]) : undefined;
    case 'shmat':
      return result > 0 ? made('mapping', result, extra, segmentProtection(args[2])) : undefined;
    case 'brk': {
      // A question answers with the break, and so does a refusal.
      const grows = args[0] > 0 && result === args[0] && pageOf(result) > pageOf(breakBefore);
      return grows ? made('mapping', result - 1, 1, PROT_READ | PROT_WRITE) : undefined;
    }
    case 'remap_file_pages':
      return result === 0 ? made('mapping', args[0], args[1], null) : undefined;
    default:
      return undefined;
  }
}

function segmentProtection(flags: number): number {
  const access = (flags & SHM_RDONLY) !== 0 ? PROT_READ : PROT_READ | PROT_WRITE;
  return (flags & SHM_EXEC) !== 0 ? access | PROT_EXEC : access;
}

/** What the shim maps for itself leaves one record, code that it makes writable for a moment one or more. */
function isOwn(
  call: SeenCall,
  { start, end, timeNs }: { start: number; end: number; timeNs: number },
): boolean {
  if (timeNs > call.timeNs) return false;
  return call.makes === 'mapping'
    ? start <= call.start && call.end <= end
    : start < call.end && call.start < end;
}

function reasonOf(missing: number, cause: string): string {
  const mappings = missing === 1 ? 'mapping' : 'mappings';
  return `the kernel counted ${missing} ${mappings} that nobody was seen to make; most likely ${cause}`;
}

function pageOf(address: number): number {
  return Math.ceil(address / PAGE_BYTES);
}
