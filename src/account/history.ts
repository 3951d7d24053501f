import type { AccountKind, AccountNode } from './tree.js';

/** What the branches of an account held over time. */
export interface AccountHistory {
  /** Milliseconds since 1970, rising. */
  timesMs: number[];
  series: AccountSeries[];
}

/** Resident and swapped bytes of one thing at each moment, 0 where there was none of it. */
export interface AccountSeries {
  branch: AccountKind;
  /** An allocator or owner; null: the whole branch. */
  owner: string | null;
  /** What an allocator uses its memory for (`live`, `retained`, …); null: all of it. */
  part: AccountKind | null;
  bytes: number[];
}

/** So many moments are kept: beyond it every other one goes, so that they span all of the time at an even pace. */
const MOST_MOMENTS = 360;
/** Owners beyond this number, by the time they appear, stand under one name. */
const MOST_SERIES = 150;
const OTHERS = 'others';
/** Whose owners are followed one by one: of files and threads there may be thousands, and they seldom are what grows. */
const FOLLOWED: readonly AccountKind[] = ['allocators', 'anonymous', 'shared', 'unexplained'];

/** Keeps accounts as columns. */
export class AccountHistoryLog {
  readonly #timesMs: number[] = [];
  readonly #series = new Map<string, AccountSeries>();
  #distanceMs = 0;

  /** When the next moment is due, for moments at an even pace. */
  get dueMs(): number {
    return (this.#timesMs.at(-1) ?? Number.NEGATIVE_INFINITY) + this.#distanceMs;
  }

  add(timeMs: number, tree: AccountNode): void {
    this.#timesMs.push(timeMs);
    for (const series of this.#series.values()) series.bytes.push(0);
    for (const branch of tree.children) {
      this.#count(branch, branch.kind, null, null);
      if (!FOLLOWED.includes(branch.kind)) continue;
      for (const owner of branch.children) {
        this.#count(owner, branch.kind, owner.name, null);
        if (owner.kind !== 'allocator') continue;
        for (const part of owner.children) this.#count(part, branch.kind, owner.name, part.kind);
      }
    }
    if (this.#timesMs.length > MOST_MOMENTS) this.#thin();
  }

  history(): AccountHistory {
    return {
      timesMs: [...this.#timesMs],
      series: [...this.#series.values()].map((series) => ({ ...series, bytes: [...series.bytes] })),
    };
  }

  #count(
    { residentBytes, swapBytes }: AccountNode,
    branch: AccountKind,
    owner: string | null,
    part: AccountKind | null,
  ): void {
    const series = this.#find(branch, owner, part);
    series.bytes[this.#timesMs.length - 1]! += residentBytes + swapBytes;
  }

  #find(branch: AccountKind, owner: string | null, part: AccountKind | null): AccountSeries {
    const key = `${branch}\0${owner ?? ''}\0${part ?? ''}`;
    const known = this.#series.get(key);
    if (known !== undefined) return known;
    const isOne = owner !== null && owner !== OTHERS;
    if (isOne && this.#series.size >= MOST_SERIES) return this.#find(branch, OTHERS, part);
    const series = { branch, owner, part, bytes: new Array<number>(this.#timesMs.length).fill(0) };
    this.#series.set(key, series);
    return series;
  }

  #thin(): void {
    const isKept = (_: unknown, index: number) => index % 2 === 0;
    const kept = this.#timesMs.filter(isKept);
    this.#timesMs.splice(0, this.#timesMs.length, ...kept);
    this.#distanceMs = (kept.at(-1)! - kept[0]!) / (kept.length - 1);
    for (const [key, series] of this.#series) {
      series.bytes = series.bytes.filter(isKept);
      if (series.bytes.every((bytes) => bytes === 0)) this.#series.delete(key);
    }
  }
}
