import { type Trend, trendOf } from './trend.js';

/** Leak or retention? Somebody still holds what grows, or nobody does and an allocator keeps it. */

/** Bytes of an owner, or of one stack, at each moment of the history. */
export interface OwnerSeries {
  owner: string;
  /** Key into the snapshot's stacks; null where the series is of all stacks. */
  stack: number | null;
  bytes: readonly number[];
}

/** What memory was used for, sampled over time: all series are as long as `timesMs`. */
export interface MemoryHistory {
  /** Rising, of any clock. */
  timesMs: readonly number[];
  /** What allocators have handed out and nobody has freed. */
  live: readonly OwnerSeries[];
  /** Freed and still resident, by allocator. */
  retained: readonly OwnerSeries[];
  /** Resident and mapped by others than allocators. */
  outside: readonly OwnerSeries[];
  /** Resident memory of allocators into which nobody could look: live or retained. */
  unread: readonly OwnerSeries[];
  /**
   * All that is live, by allocators' own structures and not by what was recorded. Recording that began late sees blocks
   * replaced by others as growth: where this does not grow, nothing has.
   */
  readLive?: readonly number[];
}

export interface Verdict {
  verdict: 'leak' | 'leak outside the heap' | 'retention' | 'none' | 'unknown';
  /** Who holds what grows, or the allocator that keeps it; null where nobody does. */
  owner: string | null;
  stack: number | null;
  /** From 0 to 1. */
  confidence: number;
  /** One sentence. */
  evidence: string;
}

/** Something that grows and goes on growing. */
interface Grower {
  series: OwnerSeries;
  trend: Trend;
  /** Its part of all growth of its kind. */
  share: number;
}

const FEWEST_SAMPLES = 12;
const SHORTEST_MS = 5000;
/** So many samples make for half of the confidence that many would give. */
const SAMPLES_FOR_HALF = 8;
/** Retained memory is worth a verdict from this part of the heap on, and from so many bytes. */
const RETAINED_SHARE = 0.3;
const RETAINED_BYTES = 1 << 20;
/** Of growth that was recorded, this part must be seen from outside too. */
const READ_SHARE = 0.3;
/** What grows by less than this part of what is retained is not the reason for the size. */
const MINOR_GROWTH = 0.1;

/** The verdict for a process. */
export function judge(history: MemoryHistory): Verdict {
  return judgePart(history, history);
}

/** The verdict for each owner, by what it holds itself. */
export function judgeOwners(history: MemoryHistory): (Verdict & { owner: string })[] {
  const { timesMs, live, retained: kept, outside, unread, readLive } = history;
  const owners = new Set([...live, ...kept, ...outside, ...unread].map(({ owner }) => owner));
  return [...owners].map((owner) => {
    const own = (list: readonly OwnerSeries[]) => list.filter((series) => series.owner === owner);
    const part: MemoryHistory = {
      timesMs,
      live: own(live),
      retained: own(kept),
      outside: own(outside),
      unread: own(unread),
      ...(readLive === undefined ? {} : { readLive }),
    };
    return { ...judgePart(part, history), owner };
  });
}

/** Judges a part of the series of a whole; what is retained is held against all that is live. */
function judgePart(history: MemoryHistory, whole: MemoryHistory): Verdict {
  const { timesMs } = history;
  const seconds = ((timesMs.at(-1) ?? 0) - (timesMs[0] ?? 0)) / 1000;
  if (timesMs.length < FEWEST_SAMPLES || seconds * 1000 < SHORTEST_MS) {
    return unknown(`${timesMs.length} samples within ${seconds.toFixed(0)} s are too few to tell.`);
  }
  const leak = confirmed(grower(history, history.live), history);
  const outside = grower(history, history.outside);
  const unread = grower(history, history.unread);
  const kept = retained({ ...history, live: whole.live });
  const worst = largest([leak, outside, unread]);
  if (kept !== undefined && (worst === undefined || worst.trend.riseBytes < MINOR_GROWTH * kept.bytes)) {
    return retention(whole, kept, seconds);
  }
  if (worst === undefined) return none(history, seconds);
  const rose = `${named(worst.series)} rose by ${megabytes(worst.trend.riseBytes)} within ${seconds.toFixed(0)} s, to ${megabytes(worst.series.bytes.at(-1)!)}`;
  if (worst === unread) {
    return unknown(`What ${rose}, and nobody could look into it: live or retained can't be told apart.`);
  }
  return {
    verdict: worst === leak ? 'leak' : 'leak outside the heap',
    owner: worst.series.owner,
    stack: worst.series.stack,
    confidence: certainty(timesMs, worst.trend.clarity * Math.sqrt(worst.share)),
    evidence:
      worst === leak
        ? `What ${rose} in live allocations and never fell back, ${percent(worst.share)} of all growth on the heap.`
        : `What ${rose} outside of all allocators and never fell back, ${percent(worst.share)} of all growth there.`,
  };
}

/** What was recorded to live grows only if what allocators count as live does. */
function confirmed(leak: Grower | undefined, { timesMs, readLive }: MemoryHistory): Grower | undefined {
  if (leak === undefined || readLive === undefined) return leak;
  const { riseBytes } = trendOf(timesMs, readLive);
  return riseBytes >= READ_SHARE * leak.trend.riseBytes ? leak : undefined;
}

/** The series that grows most; if none does by itself but all together do, the one with the largest part. */
function grower({ timesMs }: MemoryHistory, list: readonly OwnerSeries[]): Grower | undefined {
  const trends = list.map((series) => ({ series, trend: trendOf(timesMs, series.bytes) }));
  const growth = trends.reduce((sum, { trend }) => sum + Math.max(0, trend.riseBytes), 0);
  const all = trendOf(timesMs, total(timesMs, list));
  const candidates = trends.filter(({ trend }) => trend.isLasting || (all.isLasting && trend.riseBytes > 0));
  const lasting = candidates.filter(({ trend }) => trend.isLasting);
  const found = largest(lasting.length > 0 ? lasting : candidates);
  if (found === undefined) return undefined;
  // Noise of one stack is no reason to doubt that the heap as a whole grows.
  const trend = found.trend.isLasting ? found.trend : { ...found.trend, clarity: all.clarity };
  return { series: found.series, trend, share: found.trend.riseBytes / growth };
}

/** The allocator that keeps most, if it keeps much for as long as the last third of the time. */
function retained({ timesMs, live, retained: kept }: MemoryHistory) {
  const from = Math.floor((timesMs.length * 2) / 3);
  const liveBytes = total(timesMs, live).slice(from);
  const keptBytes = total(timesMs, kept).slice(from);
  const share = Math.min(...keptBytes.map((bytes, index) => bytes / (bytes + liveBytes[index]! || 1)));
  const bytes = Math.min(...keptBytes);
  if (bytes < RETAINED_BYTES || share < RETAINED_SHARE) return undefined;
  const owner = kept.reduce((most, series) => (series.bytes.at(-1)! > most.bytes.at(-1)! ? series : most));
  return { series: owner, bytes, share };
}

function retention(
  { timesMs, live }: MemoryHistory,
  { series, bytes, share }: { series: OwnerSeries; bytes: number; share: number },
  seconds: number,
): Verdict {
  const liveBytes = total(timesMs, live).at(-1)!;
  // At the threshold it's a matter of taste, at two thirds of the heap it isn't.
  const clarity = Math.min(1, 0.5 + (share - RETAINED_SHARE));
  return {
    verdict: 'retention',
    owner: series.owner,
    stack: series.stack,
    confidence: certainty(timesMs, clarity),
    evidence: `${series.owner} keeps ${megabytes(bytes)} that was freed, ${percent(share)} of the heap at least, while ${megabytes(liveBytes)} is live and did not grow within ${seconds.toFixed(0)} s.`,
  };
}

function none(history: MemoryHistory, seconds: number): Verdict {
  const { timesMs, live, retained: kept, outside, unread } = history;
  const bytes = total(timesMs, [...live, ...kept, ...outside, ...unread]);
  const { riseBytes } = trendOf(timesMs, bytes);
  const growth = Math.max(0, riseBytes) / (bytes.at(-1)! || 1);
  return {
    verdict: 'none',
    owner: null,
    stack: null,
    confidence: certainty(timesMs, 1 - Math.min(1, growth)),
    evidence: `Of ${megabytes(bytes.at(-1)!)}, nothing grew steadily within ${seconds.toFixed(0)} s, and little of it is free memory that an allocator keeps.`,
  };
}

function unknown(evidence: string): Verdict {
  return { verdict: 'unknown', owner: null, stack: null, confidence: 0, evidence };
}

function largest<G extends { trend: Trend }>(growers: readonly (G | undefined)[]): G | undefined {
  return growers.reduce(
    (most, one) => (one && one.trend.riseBytes > (most?.trend.riseBytes ?? 0) ? one : most),
    undefined,
  );
}

function total(timesMs: readonly number[], list: readonly OwnerSeries[]): number[] {
  return timesMs.map((_, index) => list.reduce((sum, { bytes }) => sum + bytes[index]!, 0));
}

function certainty(timesMs: readonly number[], clarity: number): number {
  return Math.max(0, Math.min(1, (clarity * timesMs.length) / (timesMs.length + SAMPLES_FOR_HALF)));
}

function named({ owner, stack }: OwnerSeries): string {
  return stack === null ? `${owner} holds` : `${owner} holds by one stack`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}
