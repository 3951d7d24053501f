/** Fields of a row. `BASE` is where the range's origin would start: it stays when a piece is cut off. */
export const START = 0;
export const END = 1;
export const BASE = 2;
export const ORIGIN = 3;
export const PROTECTION = 4;
export const ROW = 5;

const KEPT_ROWS = 256;

/** Ranges on their way, as rows in one column. An array of numbers would give its storage up whenever it is emptied. */
export class RowBuffer {
  values = new Float64Array(2 * ROW);
  /** In fields: `ROW` times the number of rows. */
  length = 0;

  append(start: number, end: number, base: number, origin: number, protection: number): void {
    const at = this.length;
    if (at + ROW > this.values.length) {
      const larger = new Float64Array(this.values.length * 2);
      larger.set(this.values);
      this.values = larger;
    }
    const { values } = this;
    values[at] = start;
    values[at + END] = end;
    values[at + BASE] = base;
    values[at + ORIGIN] = origin;
    values[at + PROTECTION] = protection;
    this.length = at + ROW;
  }

  clear(): void {
    this.length = 0;
    // A huge munmap must not cost its memory for ever.
    if (this.values.length > KEPT_ROWS * ROW) this.values = new Float64Array(2 * ROW);
  }

  clone(): RowBuffer {
    const copy = new RowBuffer();
    copy.values = this.values.slice();
    copy.length = this.length;
    return copy;
  }
}
