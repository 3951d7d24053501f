import { PROT_EXEC, PROT_READ } from '../ledger/memory-abi.js';

/** An area as a call left it: a new mapping may have become one with its neighbours. */
export interface AreaRecord {
  readonly start: number;
  readonly end: number;
  readonly protection: number;
  /** During the call. */
  readonly timeNs: number;
}

/** A call that was recorded: a mapping leaves one record, a changed protection one for each area that it changes, or none. */
export interface SeenCall {
  readonly makes: 'mapping' | 'protection';
  readonly start: number;
  readonly end: number;
  /** `null` where the call does not tell. */
  readonly protection: number | null;
  /** After the call. */
  readonly timeNs: number;
}

/** Two clocks were read for what is compared here. */
const CLOCK_ERROR_NS = 2000;
/** A signal handler's calls are told before the one that it came into: so many of them at most. */
const REACH = 64;
const MOST_UNSEEN = 4096;

/**
 * Which of the kernel's records of one thread belong to which of its recorded calls. A thread makes one call at a time: what the
 * kernel tells between the ends of two calls is the latter's, or of a call that nobody saw. A record is told apart as a change of
 * protection by its time, its area and its protection; only an unseen mapping with the protection that the thread's next recorded
 * call gives to a part of it is taken for that call's.
 */
export class WitnessedCalls {
  readonly #ofOneThread: boolean;
  #sinceNs: number;
  #calls: SeenCall[] = [];
  #records: AreaRecord[] = [];
  #unseen: AreaRecord[] = [];
  #forgotten = 0;
  #lastCallNs = Number.NEGATIVE_INFINITY;
  /** Mappings that were recorded, with a record of the kernel. */
  paired = 0;
  /** Mappings that were recorded, without. */
  unwitnessed = 0;

  /** Where threads can't be told apart, calls of several may overlap. Before `sinceNs` the kernel was not listened to. */
  constructor({ ofOneThread, sinceNs }: { ofOneThread: boolean; sinceNs: number }) {
    this.#ofOneThread = ofOneThread;
    this.#sinceNs = sinceNs;
  }

  /** Of calls that are over and nobody saw. */
  get unseen(): number {
    return this.#unseen.length + this.#forgotten;
  }

  /** Calls and records that wait for one another. */
  get waiting(): number {
    return this.#calls.length + this.#records.length;
  }

  get waitingRecords(): number {
    return this.#records.length;
  }

  call(call: SeenCall): void {
    if (call.timeNs > this.#sinceNs) this.#calls.push(call);
  }

  record(record: AreaRecord): void {
    this.#records.push(record);
  }

  /** Pairs what there is. What is older than `untilNs` and alone stays so, but for calls that are told very late. */
  settle(untilNs: number): void {
    // Each processor tells its own in order.
    this.#records.sort((a, b) => a.timeNs - b.timeNs);
    const records = this.#records;
    const taken = new Uint8Array(records.length);
    const alone: SeenCall[] = [];
    let next = 0;
    for (const call of this.#calls) {
      const first = this.#ofOneThread ? next : Math.max(0, next - REACH);
      while (next < records.length && records[next]!.timeNs <= call.timeNs) next++;
      const isDone =
        call.makes === 'mapping' ? this.#pair(call, taken, next) : this.#take(call, taken, first, next);
      if (!isDone && !this.#takeBack(call)) alone.push(call);
      this.#lastCallNs = call.timeNs;
    }
    this.#takeStrays(taken, this.#calls);
    this.#calls = alone.filter(({ timeNs }) => timeNs > untilNs);
    this.unwitnessed += alone.filter(({ makes, timeNs }) => makes === 'mapping' && timeNs <= untilNs).length;
    const left = records.filter((_, i) => taken[i] === 0);
    this.#records = left.filter(({ timeNs }) => timeNs > untilNs);
    // Of earlier records only those count whose call was told later.
    this.#unseen.push(...left.filter(({ timeNs }) => timeNs <= untilNs && timeNs > this.#sinceNs));
    if (this.#unseen.length > MOST_UNSEEN) {
      this.#forgotten += this.#unseen.length - MOST_UNSEEN;
      this.#unseen = this.#unseen.slice(-MOST_UNSEEN);
    }
  }

  /** Drops what waits, and all that happened until now. */
  passOver(nowNs: number): void {
    this.#sinceNs = nowNs;
    this.#calls = [];
    this.#records = [];
  }

  /** Takes up to `most` records, the newest first, from those that nobody seems to have made. */
  excuse(which: (record: AreaRecord) => boolean, most: number): number {
    let excused = 0;
    for (let i = this.#unseen.length - 1; i >= 0 && excused < most; i--) {
      if (!which(this.#unseen[i]!)) continue;
      this.#unseen.splice(i, 1);
      excused++;
    }
    return excused;
  }

  /** The same of records behind the last recorded call: the thread may have ended before it told. */
  excuseLast(most: number): void {
    this.excuse(({ timeNs }) => timeNs > this.#lastCallNs, most);
  }

  #pair(call: SeenCall, taken: Uint8Array, next: number): boolean {
    const nearest = Math.max(0, next - REACH);
    for (const fits of [hasMapped, contains]) {
      for (let i = next - 1; i >= nearest; i--) {
        if (taken[i] === 0 && fits(call, this.#records[i]!)) return this.#markPaired(taken, i);
      }
      for (let i = next; i < this.#records.length && this.#isJustAfter(call, i); i++) {
        if (taken[i] === 0 && fits(call, this.#records[i]!)) return this.#markPaired(taken, i);
      }
    }
    return false;
  }

  #markPaired(taken: Uint8Array, index: number): true {
    taken[index] = 1;
    this.paired++;
    return true;
  }

  #take(call: SeenCall, taken: Uint8Array, first: number, next: number): boolean {
    let any = false;
    for (let i = first; i < next; i++) {
      if (taken[i] !== 0 || !hasProtected(call, this.#records[i]!)) continue;
      taken[i] = 1;
      any = true;
    }
    return any;
  }

  /** Where the clocks differ a little, a change of protection seems to come right behind its call. */
  #takeStrays(taken: Uint8Array, calls: readonly SeenCall[]): void {
    let next = 0;
    for (const call of calls) {
      while (next < this.#records.length && this.#records[next]!.timeNs <= call.timeNs) next++;
      if (call.makes !== 'protection') continue;
      for (let i = next; i < this.#records.length && this.#isJustAfter(call, i); i++) {
        if (taken[i] === 0 && hasProtected(call, this.#records[i]!)) taken[i] = 1;
      }
    }
  }

  #isJustAfter({ timeNs }: SeenCall, index: number): boolean {
    return this.#records[index]!.timeNs <= timeNs + CLOCK_ERROR_NS;
  }

  /** A call that is told later than anybody waits for takes its record from the unseen ones. */
  #takeBack(call: SeenCall): boolean {
    if (this.#unseen.length === 0) return false;
    const isBefore = ({ timeNs }: AreaRecord) => timeNs <= call.timeNs;
    if (call.makes === 'protection') {
      return this.excuse((record) => isBefore(record) && hasProtected(call, record), Infinity) > 0;
    }
    const excused = this.excuse((record) => isBefore(record) && hasMapped(call, record), 1);
    this.paired += excused;
    return excused > 0;
  }
}

function contains({ start, end }: SeenCall, record: AreaRecord): boolean {
  return record.start <= start && end <= record.end;
}

function hasMapped(call: SeenCall, record: AreaRecord): boolean {
  return contains(call, record) && hasProtection(call, record);
}

function hasProtected(call: SeenCall, record: AreaRecord): boolean {
  return record.start < call.end && call.start < record.end && hasProtection(call, record);
}

/** What may be read may be executed too, where a program asks for that (READ_IMPLIES_EXEC). */
function hasProtection({ protection }: SeenCall, record: AreaRecord): boolean {
  if (protection === null || protection === record.protection) return true;
  return (protection & PROT_READ) !== 0 && (protection | PROT_EXEC) === record.protection;
}
