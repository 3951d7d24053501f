/** Calls at once, soon again, and then at the interval: short lives are sampled too, long ones cheaply. */
export class SampleTimer {
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly sample: () => void,
    private readonly intervalMs: number,
  ) {
    this.#schedule(Math.min(50, intervalMs));
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #schedule(delayMs: number): void {
    this.#timer = setTimeout(() => {
      this.sample();
      if (this.#timer !== undefined) this.#schedule(Math.min(delayMs * 2, this.intervalMs));
    }, delayMs);
    // A collector that waits for nothing but this has nothing left to wait for.
    this.#timer.unref();
  }
}
