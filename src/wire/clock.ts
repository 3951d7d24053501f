import { type ClockSample, clock } from './addon.js';
import type { ChannelHeader } from './header.js';

/** Beyond this baseline the two readings' own error (some 100 ns) no longer matters. */
const BASELINE_NS = 100e9;
const HIGH = 2 ** 32;

/**
 * Turns the time stamps of events into nanoseconds since the channel's start. The target stamps with the processor's
 * time-stamp counter, whose rate nobody tells: it follows from how far both clocks have come since the start.
 */
export class EventClock {
  readonly #startTicks: bigint;
  readonly #startLow: number;
  readonly #startHigh: number;
  readonly #startMonotonicNs: number;
  readonly #counts: boolean;
  readonly #sample: () => ClockSample;
  #baselineNs = 0;
  #nsPerTick = 1;

  constructor(
    header: Pick<ChannelHeader, 'clock' | 'startClock' | 'startMonotonicNs'>,
    sample: () => ClockSample = clock,
  ) {
    this.#startTicks = header.startClock;
    this.#startLow = Number(header.startClock & 0xffff_ffffn);
    this.#startHigh = Number(header.startClock >> 32n);
    this.#startMonotonicNs = header.startMonotonicNs;
    this.#counts = header.clock === 'tsc';
    this.#sample = sample;
    this.calibrate();
  }

  /** Call now and then: measures the rate again once the baseline has doubled. */
  calibrate(): void {
    if (!this.#counts || this.#baselineNs > BASELINE_NS) return;
    const now = this.#sample();
    const elapsedNs = now.monotonicNs - this.#startMonotonicNs;
    const elapsedTicks = Number(now.tsc - this.#startTicks);
    if (elapsedNs < 2 * this.#baselineNs || elapsedNs <= 0 || elapsedTicks <= 0) return;
    this.#baselineNs = elapsedNs;
    this.#nsPerTick = elapsedNs / elapsedTicks;
  }

  /** Nanoseconds since the start of a 64-bit time stamp given as two halves; never negative. */
  sinceStartNs(low: number, high: number): number {
    const ticks = (high - this.#startHigh) * HIGH + (low - this.#startLow);
    return ticks > 0 ? Math.round(ticks * this.#nsPerTick) : 0;
  }
}
