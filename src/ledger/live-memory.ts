import type { LiveRange, RangeColumns } from './live-range.js';
import { PROT_NONE } from './memory-abi.js';
import { OriginTable } from './origin-table.js';
import { LEFT_REMAINS, NO_HOLE, RangeIndex, RIGHT_REMAINS } from './range-index.js';
import { BASE, END, ORIGIN, PROTECTION, ROW, RowBuffer } from './row-buffer.js';
import { SiteTotals } from './site-totals.js';

/**
 * The live ranges with their origins and running totals, kept in step with one another. Pieces that are taken out go as
 * rows (see row-buffer.ts) into the caller's buffer and keep their origins alive until they are put back or discarded.
 */
export class LiveMemory {
  readonly index: RangeIndex;
  readonly origins: OriginTable;
  readonly totals: SiteTotals;
  readonly #replaced = new RowBuffer();
  readonly #inTheWay = new RowBuffer();

  constructor(index = new RangeIndex(), origins = new OriginTable(), totals = new SiteTotals()) {
    this.index = index;
    this.origins = origins;
    this.totals = totals;
  }

  /** Maps [start, end) for an origin. What was there is gone; returns whether there was something. */
  map(start: number, end: number, origin: number, protection: number): boolean {
    this.origins.hold(origin, end - start);
    const ranges = this.index.put(start, end, start, origin, protection);
    if (ranges !== NO_HOLE) {
      this.#count(origin, end - start, protection, ranges);
      return false;
    }
    this.takeOut(start, end, this.#replaced);
    this.put(start, end, start, origin, protection);
    this.discard(this.#replaced);
    return true;
  }

  /** Appends what [start, end) holds to `pieces` and leaves a hole; returns whether there was something. */
  takeOut(start: number, end: number, pieces: RowBuffer): boolean {
    const first = pieces.length;
    const remains = this.index.cut(start, end, pieces);
    const last = pieces.length - ROW;
    for (let at = first; at <= last; at += ROW) {
      let ranges = -1;
      if (at === first && (remains & LEFT_REMAINS) !== 0) ranges++;
      if (at === last && (remains & RIGHT_REMAINS) !== 0) ranges++;
      this.#count(
        pieces.values[at + ORIGIN]!,
        pieces.values[at]! - pieces.values[at + END]!,
        pieces.values[at + PROTECTION]!,
        ranges,
      );
    }
    return last >= first;
  }

  /** Places held bytes where there is a hole. */
  put(start: number, end: number, base: number, origin: number, protection: number): void {
    const ranges = this.index.put(start, end, base, origin, protection);
    if (ranges === NO_HOLE)
      throw new Error(`The ledger has a range in [${start}, ${end}) where it took all out.`);
    this.#count(origin, end - start, protection, ranges);
  }

  /** Places the parts of [start, end) where nothing else is by now; returns how many bytes found a place. */
  putInGaps(start: number, end: number, base: number, origin: number, protection: number): number {
    const taken = this.#inTheWay;
    this.index.collect(start, end, taken);
    let placedBytes = 0;
    let from = start;
    for (let at = 0; at <= taken.length; at += ROW) {
      const to = at < taken.length ? taken.values[at]! : end;
      if (to > from) {
        this.put(from, to, base, origin, protection);
        placedBytes += to - from;
      }
      if (at < taken.length) from = Math.max(from, taken.values[at + END]!);
    }
    taken.clear();
    return placedBytes;
  }

  /** Puts pieces back where they were, except where something else has been mapped meanwhile. */
  putBack(pieces: RowBuffer): void {
    for (let at = 0; at < pieces.length; at += ROW) {
      const start = pieces.values[at]!;
      const end = pieces.values[at + END]!;
      const origin = pieces.values[at + ORIGIN]!;
      const placedBytes = this.putInGaps(
        start,
        end,
        pieces.values[at + BASE]!,
        origin,
        pieces.values[at + PROTECTION]!,
      );
      if (placedBytes < end - start) this.origins.hold(origin, placedBytes - (end - start));
    }
    pieces.clear();
  }

  /** Lets pieces go for good. */
  discard(pieces: RowBuffer): void {
    for (let at = 0; at < pieces.length; at += ROW) {
      this.origins.hold(pieces.values[at + ORIGIN]!, pieces.values[at]! - pieces.values[at + END]!);
    }
    pieces.clear();
  }

  protect(start: number, end: number, protection: number): void {
    const pieces = this.#replaced;
    this.takeOut(start, end, pieces);
    for (let at = 0; at < pieces.length; at += ROW) {
      this.put(
        pieces.values[at]!,
        pieces.values[at + END]!,
        pieces.values[at + BASE]!,
        pieces.values[at + ORIGIN]!,
        protection,
      );
    }
    pieces.clear();
  }

  rangesIn(start: number, end: number): LiveRange[] {
    const rows = new RowBuffer();
    this.index.collect(start, end, rows);
    const ranges: LiveRange[] = [];
    let viewed = -1;
    let origin: LiveRange['origin'] | undefined;
    for (let at = 0; at < rows.length; at += ROW) {
      const slot = rows.values[at + ORIGIN]!;
      if (origin === undefined || slot !== viewed) origin = this.origins.view(slot);
      viewed = slot;
      ranges.push({
        start: rows.values[at]!,
        end: rows.values[at + END]!,
        origin,
        protection: rows.values[at + PROTECTION]!,
      });
    }
    return ranges;
  }

  columns(): RangeColumns {
    const rows = new RowBuffer();
    this.index.collect(0, Number.POSITIVE_INFINITY, rows);
    const count = rows.length / ROW;
    const columns: RangeColumns = {
      bounds: new Float64Array(2 * count),
      protections: new Uint8Array(count),
      ids: new Float64Array(count),
      sites: new Uint32Array(count),
      timesNs: new Float64Array(count),
      files: new Uint8Array(count),
    };
    const { values } = rows;
    for (let i = 0, at = 0; i < count; i++, at += ROW) {
      const origin = values[at + ORIGIN]!;
      columns.bounds[2 * i] = values[at]!;
      columns.bounds[2 * i + 1] = values[at + END]!;
      columns.protections[i] = values[at + PROTECTION]!;
      columns.ids[i] = this.origins.id(origin);
      columns.sites[i] = this.origins.site(origin);
      columns.timesNs[i] = this.origins.timeNs(origin);
      columns.files[i] = this.origins.isFile(origin) ? 1 : 0;
    }
    return columns;
  }

  /** Bounds of all ranges that are no file's, `[start, end, …]` by address. */
  boundsOfMemory(): Float64Array {
    const rows = new RowBuffer();
    this.index.collect(0, Number.POSITIVE_INFINITY, rows);
    const bounds = new Float64Array((rows.length / ROW) * 2);
    let length = 0;
    for (let at = 0; at < rows.length; at += ROW) {
      if (this.origins.isFile(rows.values[at + ORIGIN]!)) continue;
      bounds[length++] = rows.values[at]!;
      bounds[length++] = rows.values[at + END]!;
    }
    return bounds.subarray(0, length);
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
