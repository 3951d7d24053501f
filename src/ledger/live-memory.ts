import type { LiveRange } from './live-range.js';
import { PROT_NONE } from './memory-abi.js';
import { OriginTable } from './origin-table.js';
import {
  BASE,
  END,
  LEFT_REMAINS,
  ORIGIN,
  PROTECTION,
  RangeIndex,
  RIGHT_REMAINS,
  ROW,
} from './range-index.js';
import { SiteTotals } from './site-totals.js';

/**
 * The live ranges with their origins and running totals, kept in step with one another. Pieces that are taken out go as
 * rows (see range-index.ts) into the caller's array and keep their origins alive until they are put back or discarded.
 */
export class LiveMemory {
  readonly index: RangeIndex;
  readonly origins: OriginTable;
  readonly totals: SiteTotals;
  readonly #replaced: number[] = [];
  readonly #inTheWay: number[] = [];

  constructor(index = new RangeIndex(), origins = new OriginTable(), totals = new SiteTotals()) {
    this.index = index;
    this.origins = origins;
    this.totals = totals;
  }

  /** Maps [start, end) for an origin. What was there is gone; returns whether there was something. */
  map(start: number, end: number, origin: number, protection: number): boolean {
    const replaced = this.takeOut(start, end, this.#replaced);
    this.origins.hold(origin, end - start);
    this.put(start, end, start, origin, protection);
    if (!replaced) return false;
    this.discard(this.#replaced);
    return true;
  }

  /** Appends what [start, end) holds to `pieces` and leaves a hole; returns whether there was something. */
  takeOut(start: number, end: number, pieces: number[]): boolean {
    const first = pieces.length;
    const remains = this.index.cut(start, end, pieces);
    const last = pieces.length - ROW;
    for (let at = first; at <= last; at += ROW) {
      let ranges = -1;
      if (at === first && (remains & LEFT_REMAINS) !== 0) ranges++;
      if (at === last && (remains & RIGHT_REMAINS) !== 0) ranges++;
      this.#count(pieces[at + ORIGIN]!, pieces[at]! - pieces[at + END]!, pieces[at + PROTECTION]!, ranges);
    }
    return last >= first;
  }

  /** Places held bytes where there is a hole. */
  put(start: number, end: number, base: number, origin: number, protection: number): void {
    const ranges = this.index.put(start, end, base, origin, protection);
    this.#count(origin, end - start, protection, ranges);
  }

  /** Places the parts of [start, end) where nothing else is by now; returns how many bytes found a place. */
  putInGaps(start: number, end: number, base: number, origin: number, protection: number): number {
    const taken = this.#inTheWay;
    this.index.collect(start, end, taken);
    let placedBytes = 0;
    let from = start;
    for (let at = 0; at <= taken.length; at += ROW) {
      const to = at < taken.length ? taken[at]! : end;
      if (to > from) {
        this.put(from, to, base, origin, protection);
        placedBytes += to - from;
      }
      if (at < taken.length) from = Math.max(from, taken[at + END]!);
    }
    taken.length = 0;
    return placedBytes;
  }

  /** Puts pieces back where they were, except where something else has been mapped meanwhile. */
  putBack(pieces: number[]): void {
    for (let at = 0; at < pieces.length; at += ROW) {
      const start = pieces[at]!;
      const end = pieces[at + END]!;
      const origin = pieces[at + ORIGIN]!;
      const placedBytes = this.putInGaps(start, end, pieces[at + BASE]!, origin, pieces[at + PROTECTION]!);
      if (placedBytes < end - start) this.origins.hold(origin, placedBytes - (end - start));
    }
    pieces.length = 0;
  }

  /** Lets pieces go for good. */
  discard(pieces: number[]): void {
    for (let at = 0; at < pieces.length; at += ROW) {
      this.origins.hold(pieces[at + ORIGIN]!, pieces[at]! - pieces[at + END]!);
    }
    pieces.length = 0;
  }

  protect(start: number, end: number, protection: number): void {
    const pieces = this.#replaced;
    this.takeOut(start, end, pieces);
    for (let at = 0; at < pieces.length; at += ROW) {
      this.put(pieces[at]!, pieces[at + END]!, pieces[at + BASE]!, pieces[at + ORIGIN]!, protection);
    }
    pieces.length = 0;
  }

  rangesIn(start: number, end: number): LiveRange[] {
    const rows: number[] = [];
    this.index.collect(start, end, rows);
    const ranges: LiveRange[] = [];
    let viewed = -1;
    let origin: LiveRange['origin'] | undefined;
    for (let at = 0; at < rows.length; at += ROW) {
      const slot = rows[at + ORIGIN]!;
      if (origin === undefined || slot !== viewed) origin = this.origins.view(slot);
      viewed = slot;
      ranges.push({ start: rows[at]!, end: rows[at + END]!, origin, protection: rows[at + PROTECTION]! });
    }
    return ranges;
  }

  clone(): LiveMemory {
    return new LiveMemory(this.index.clone(), this.origins.clone(), this.totals.clone());
  }

  #count(origin: number, bytes: number, protection: number, ranges: number): void {
    if (this.origins.isFile(origin)) {
      this.totals.changeFile(bytes, ranges);
    } else {
      this.totals.change(this.origins.site(origin), bytes, protection === PROT_NONE ? bytes : 0, ranges);
    }
  }
}
