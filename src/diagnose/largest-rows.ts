/** The rows of a column with the greatest values, `most` at most, greatest first: in one pass, since most rows are small. */
export class LargestRows {
  readonly rows: number[] = [];

  constructor(
    private readonly values: Float64Array,
    private readonly most: number,
  ) {}

  /** Returns the row that falls out, maybe this one; undefined while there is room. */
  offer(row: number): number | undefined {
    const { rows, values, most } = this;
    const isFull = rows.length === most;
    if (isFull && (most === 0 || values[row]! <= values[rows[most - 1]!]!)) return row;
    const out = isFull ? rows.pop() : undefined;
    let at = rows.length;
    while (at > 0 && values[rows[at - 1]!]! < values[row]!) at--;
    rows.splice(at, 0, row);
    return out;
  }
}
