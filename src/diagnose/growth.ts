/**
 * How fast something grows: the Theil–Sen slope, the median of the slopes between all pairs of samples. One burst or one
 * collapse among the samples does not move it, as it would a fitted line, and a staircase of chunks reads as its mean.
 */

export interface GrowthOptions {
  /** How far back samples count, in milliseconds. */
  windowMs?: number;
  /** How many samples stand for the window; those that come faster replace one another. */
  samples?: number;
}

const DEFAULT_WINDOW_MS = 60_000;
const DEFAULT_SAMPLES = 60;
const FEWEST_SAMPLES = 3;
const MS_PER_MINUTE = 60_000;

/** Keeps a sliding window of samples for each key and tells each key's growth. Keys are owners, or anything. */
export class GrowthTracker {
  readonly #windowMs: number;
  readonly #spacingMs: number;
  readonly #samples: number;
  /** Times of the samples, oldest first; each series has as many values. */
  readonly #times: number[] = [];
  readonly #series = new Map<string, number[]>();
  readonly #slopes = new Map<string, number>();

  constructor({ windowMs = DEFAULT_WINDOW_MS, samples = DEFAULT_SAMPLES }: GrowthOptions = {}) {
    this.#windowMs = windowMs;
    this.#samples = Math.max(FEWEST_SAMPLES, samples);
    this.#spacingMs = windowMs / this.#samples;
  }

  /**
   * Adds a sample of all keys. A key that was not there before counts as 0 until now, one that is missing as 0 from now
   * on. `timeMs` is of any clock that does not go back; a sample that is not later than the last one replaces it.
   */
  add(timeMs: number, bytes: ReadonlyMap<string, number>): void {
    this.#slopes.clear();
    if (this.#replacesLast(timeMs)) {
      this.#times.pop();
      for (const series of this.#series.values()) series.pop();
    }
    for (const [key, series] of this.#series) series.push(bytes.get(key) ?? 0);
    for (const [key, value] of bytes) {
      if (this.#series.has(key)) continue;
      this.#series.set(key, [...new Array<number>(this.#times.length).fill(0), value]);
    }
    this.#times.push(timeMs);
    this.#forgetOld(timeMs);
  }

  /** Growth in bytes per minute, negative when shrinking; 0 before the third sample and for unknown keys. */
  bytesPerMinute(key: string): number {
    const series = this.#series.get(key);
    if (series === undefined || series.length < FEWEST_SAMPLES) return 0;
    let slope = this.#slopes.get(key);
    if (slope === undefined) {
      slope = theilSen(this.#times, series) * MS_PER_MINUTE;
      this.#slopes.set(key, slope);
    }
    return slope;
  }

  /** The last `count` samples of a key, oldest first, for a sparkline; fewer while there are fewer. */
  history(key: string, count: number): number[] {
    if (!(count > 0)) return [];
    const series = this.#series.get(key) ?? new Array<number>(this.#times.length).fill(0);
    return series.slice(-count);
  }

  /** The newest sample always stands, so that the rate is of now; it gives way if it crowds the one before it. */
  #replacesLast(timeMs: number): boolean {
    const last = this.#times.at(-1);
    if (last === undefined) return false;
    if (timeMs <= last) return true;
    const beforeLast = this.#times.at(-2);
    // The first three stay in any case: whoever samples fast wants to see something soon.
    if (beforeLast === undefined || this.#times.length < FEWEST_SAMPLES) return false;
    return last - beforeLast < this.#spacingMs;
  }

  #forgetOld(now: number): void {
    let old = 0;
    while (
      this.#times.length - old > FEWEST_SAMPLES &&
      (this.#times.length - old > this.#samples || this.#times[old]! < now - this.#windowMs)
    ) {
      old++;
    }
    if (old > 0) this.#times.splice(0, old);
    for (const [key, series] of this.#series) {
      if (old > 0) series.splice(0, old);
      if (series.every((value) => value === 0)) this.#series.delete(key);
    }
  }
}

/** Median slope over all pairs, per unit of `times`. */
export function theilSen(times: readonly number[], values: readonly number[]): number {
  // Most keys stand still most of the time; this keeps an idle collector idle.
  if (values.every((value) => value === values[0])) return 0;
  const slopes = new Float64Array((values.length * (values.length - 1)) / 2);
  let count = 0;
  for (let later = 1; later < values.length; later++) {
    for (let earlier = 0; earlier < later; earlier++) {
      slopes[count++] = (values[later]! - values[earlier]!) / (times[later]! - times[earlier]!);
    }
  }
  slopes.sort();
  const middle = count >> 1;
  return count % 2 === 1 ? slopes[middle]! : (slopes[middle - 1]! + slopes[middle]!) / 2;
}
