import { LargestRows } from './largest-rows.js';
import type { MemoryHistory, OwnerSeries } from './verdict.js';

/** Bytes of an owner, or of one of its stacks, at one moment. */
export interface HeldBytes {
  owner: string;
  stack: number | null;
  bytes: number;
}

/** Bytes by stack, in columns: there may be a million. Owners are asked for where a stack begins to be followed. */
export interface HeldByStacks {
  stack: Uint32Array;
  bytes: Float64Array;
  ownerOf: (stack: number) => string;
}

/** What memory is used for at one moment: the sorts of a `MemoryHistory`. */
export interface MemoryMoment {
  live: readonly HeldBytes[];
  /** More that is live. */
  liveByStack?: HeldByStacks | undefined;
  retained: readonly HeldBytes[];
  outside: readonly HeldBytes[];
  unread: readonly HeldBytes[];
  /** Undefined where it could not be read. */
  readLiveBytes: number | undefined;
}

type Sort = 'live' | 'retained' | 'outside' | 'unread';
const SORTS: readonly Sort[] = ['live', 'retained', 'outside', 'unread'];

/** Beyond so many moments every other one goes: they span the window at an even pace. */
const MOST_MOMENTS = 64;
/** A leak that stopped so long ago is over, and one that began since shows. */
const WINDOW_MS = 3_600_000;
/** Of each sort so many are followed one by one, those that held most when there was room; the others together. */
const MOST_SERIES = 64;
const OTHERS = '[others]';

interface Followed extends OwnerSeries {
  bytes: number[];
}

/** Keeps moments as series. */
export class MemoryLog {
  readonly #timesMs: number[] = [];
  #readLive: (number | undefined)[] = [];
  readonly #series: Record<Sort, Map<string, Followed>> = {
    live: new Map(),
    retained: new Map(),
    outside: new Map(),
    unread: new Map(),
  };
  #distanceMs = 0;
  #changes = 0;

  /** Rises with every moment. */
  get changes(): number {
    return this.#changes;
  }

  /** What was recorded begins anew, as after a switch of what is recorded. */
  clear(): void {
    this.#timesMs.length = 0;
    this.#readLive = [];
    for (const sort of SORTS) this.#series[sort].clear();
    this.#distanceMs = 0;
    this.#changes++;
  }

  /** `timeMs` is of any clock that does not go back; a moment that comes too early for an even pace is passed over. */
  add(timeMs: number, moment: MemoryMoment): void {
    const last = this.#timesMs.at(-1) ?? Number.NEGATIVE_INFINITY;
    if (timeMs <= last || timeMs < last + this.#distanceMs) return;
    this.#timesMs.push(timeMs);
    this.#readLive.push(moment.readLiveBytes);
    for (const sort of SORTS) {
      this.#follow(sort, moment[sort], sort === 'live' ? moment.liveByStack : undefined);
    }
    this.#forget(timeMs);
    this.#changes++;
  }

  history(): MemoryHistory {
    const of = (sort: Sort) =>
      [...this.#series[sort].values()].map((series) => ({ ...series, bytes: [...series.bytes] }));
    const readLive = this.#readLive.filter((bytes) => bytes !== undefined);
    return {
      timesMs: [...this.#timesMs],
      live: of('live'),
      retained: of('retained'),
      outside: of('outside'),
      unread: of('unread'),
      ...(readLive.length === this.#timesMs.length ? { readLive } : {}),
    };
  }

  #follow(sort: Sort, held: readonly HeldBytes[], byStack: HeldByStacks | undefined): void {
    const series = this.#series[sort];
    for (const each of series.values()) each.bytes.push(0);
    const at = this.#timesMs.length - 1;
    const room = Math.max(0, MOST_SERIES - series.size);
    const unknown: HeldBytes[] = [];
    for (const each of held) {
      const known = series.get(keyOf(each));
      if (known === undefined) unknown.push(each);
      else known.bytes[at]! += each.bytes;
    }
    const smallStacksBytes = byStack === undefined ? 0 : this.#followStacks(byStack, series, room, unknown);
    unknown.sort((a, b) => b.bytes - a.bytes);
    for (const each of unknown.slice(0, room)) this.#begin(series, each).bytes[at]! += each.bytes;
    const others = unknown.slice(room).reduce((sum, { bytes }) => sum + bytes, smallStacksBytes);
    if (others > 0) this.#begin(series, { owner: OTHERS, stack: null }).bytes[at]! += others;
  }

  /** Adds the `room` largest of those that are not followed to `unknown`; returns what the rest of them hold. */
  #followStacks(
    { stack, bytes, ownerOf }: HeldByStacks,
    series: ReadonlyMap<string, Followed>,
    room: number,
    unknown: HeldBytes[],
  ): number {
    const at = this.#timesMs.length - 1;
    const followed = new Map([...series.values()].map((each) => [each.stack, each]));
    const largest = new LargestRows(bytes, room);
    let restBytes = 0;
    for (let row = 0; row < stack.length; row++) {
      const known = followed.get(stack[row]!);
      if (known !== undefined) {
        known.bytes[at]! += bytes[row]!;
        continue;
      }
      const out = largest.offer(row);
      if (out !== undefined) restBytes += bytes[out]!;
    }
    for (const row of largest.rows) {
      unknown.push({ owner: ownerOf(stack[row]!), stack: stack[row]!, bytes: bytes[row]! });
    }
    return restBytes;
  }

  #begin(series: Map<string, Followed>, { owner, stack }: Pick<HeldBytes, 'owner' | 'stack'>): Followed {
    const key = keyOf({ owner, stack });
    const known = series.get(key);
    if (known !== undefined) return known;
    const fresh = { owner, stack, bytes: new Array<number>(this.#timesMs.length).fill(0) };
    series.set(key, fresh);
    return fresh;
  }

  #forget(nowMs: number): void {
    const tooOld = this.#timesMs.filter((timeMs) => timeMs < nowMs - WINDOW_MS).length;
    if (tooOld > 0) this.#keep((index) => index >= tooOld);
    if (this.#timesMs.length <= MOST_MOMENTS) return;
    this.#keep((index) => index % 2 === 0);
    this.#distanceMs = (this.#timesMs.at(-1)! - this.#timesMs[0]!) / (this.#timesMs.length - 1);
  }

  #keep(isKept: (index: number) => boolean): void {
    const kept = <T>(values: readonly T[]) => values.filter((_, index) => isKept(index));
    this.#timesMs.splice(0, this.#timesMs.length, ...kept(this.#timesMs));
    this.#readLive = kept(this.#readLive);
    for (const sort of SORTS) {
      for (const [key, series] of this.#series[sort]) {
        series.bytes = kept(series.bytes);
        // Makes room for who holds something now.
        if (series.bytes.every((bytes) => bytes === 0)) this.#series[sort].delete(key);
      }
    }
  }
}

function keyOf({ owner, stack }: Pick<HeldBytes, 'owner' | 'stack'>): string {
  return `${owner}\0${stack ?? ''}`;
}
