import { theilSen } from './growth.js';

/** Growth that lasts, told apart from noise, from caches that fill and empty, and from a start that is over. */
export interface Trend {
  /** By how much the least that was held has risen: from the first fifth of the time to the last one. */
  riseBytes: number;
  /** It never fell back, stands out of the noise, and still goes on. */
  isLasting: boolean;
  /** From 0, lost in the noise, to 1. */
  clarity: number;
}

const PARTS = 5;
/** What goes up and down by so much of itself isn't growing. */
const SMALLEST_SHARE = 0.01;
const SMALLEST_BYTES = 65_536;
/** In its last third, and its last fifth, it must grow at this part of its mean rate at least: else it was the start. */
const STILL_GROWING = 0.3;
/** So much of the rise must come behind the first fifth; of steady growth three quarters do. */
const BEHIND_START = 0.4;
/** The rise is so many times the usual distance from the line. */
const OUT_OF_NOISE = 3;

/** The trend of one series; `timesMs` rises. Without a dozen samples nothing is lasting. */
export function trendOf(timesMs: readonly number[], bytes: readonly number[]): Trend {
  const least = partMinima(bytes);
  if (least === undefined) return { riseBytes: 0, isLasting: false, clarity: 0 };
  const riseBytes = least.at(-1)! - least[0]!;
  const slope = theilSen(timesMs, bytes);
  const noise = medianDistance(timesMs, bytes, slope);
  const lastThird = Math.floor((bytes.length * 2) / 3);
  const lastSlope = theilSen(timesMs.slice(lastThird), bytes.slice(lastThird));
  const isLasting =
    riseBytes >= Math.max(SMALLEST_BYTES, SMALLEST_SHARE * least.at(-1)!) &&
    least.every((value, index) => index === 0 || value >= least[index - 1]!) &&
    riseBytes >= OUT_OF_NOISE * noise &&
    // The start alone must not make for all of it, whatever the noise behind it adds.
    least.at(-1)! - least[1]! >= BEHIND_START * riseBytes &&
    // A single step has no slope to speak of, before as after.
    least.at(-1)! - least.at(-2)! >= (STILL_GROWING * riseBytes) / (PARTS - 1) &&
    lastSlope >= STILL_GROWING * slope;
  return { riseBytes, isLasting, clarity: riseBytes > 0 ? riseBytes / (riseBytes + noise) : 0 };
}

/** The least of each fifth: what a cache holds after it was emptied, and a leak never goes back to. */
function partMinima(bytes: readonly number[]): number[] | undefined {
  if (bytes.length < 2 * PARTS + 2) return undefined;
  return Array.from({ length: PARTS }, (_, part) => {
    const from = Math.floor((part * bytes.length) / PARTS);
    return Math.min(...bytes.slice(from, Math.floor(((part + 1) * bytes.length) / PARTS)));
  });
}

function medianDistance(timesMs: readonly number[], bytes: readonly number[], slope: number): number {
  const offsets = bytes.map((value, index) => value - slope * timesMs[index]!);
  const middle = median(offsets);
  return median(offsets.map((offset) => Math.abs(offset - middle)));
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1]!;
}
