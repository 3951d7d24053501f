/** What is polled: a drain, with whatever takes its events. */
export interface Pollable {
  /** Returns how many events there were. */
  poll(): number;
  readonly ended: boolean;
}

const BUSY_MS = 1;
/** A target whose ring fills up meanwhile tidies up by itself. An idle poll takes some 20 µs. */
const IDLE_MS = 100;

/** Polls often while there is something to read and seldom while there isn't. */
export class Poller {
  readonly #target: Pollable;
  readonly #onEnd: (error?: unknown) => void;
  #timer: NodeJS.Timeout | undefined;
  #delayMs = BUSY_MS;

  /** `onEnd` is called once: without an error when the target has ended, else with what `poll` threw. */
  constructor(target: Pollable, onEnd: (error?: unknown) => void) {
    this.#target = target;
    this.#onEnd = onEnd;
  }

  start(): void {
    this.#delayMs = BUSY_MS;
    this.#schedule();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #schedule(): void {
    this.#timer = setTimeout(() => this.#tick(), this.#delayMs);
  }

  #tick(): void {
    try {
      const events = this.#target.poll();
      this.#delayMs = events > 0 ? BUSY_MS : Math.min(IDLE_MS, this.#delayMs * 2);
    } catch (error) {
      this.stop();
      this.#onEnd(error);
      return;
    }
    // The target's own handler may have stopped this poller.
    if (!this.#timer) return;
    if (this.#target.ended) {
      this.stop();
      this.#onEnd();
    } else {
      this.#schedule();
    }
  }
}
