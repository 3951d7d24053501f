/** Samples kept; with more, every other one goes, and every other one to come. */
const MOST_SAMPLES = 4096;

/** When the nodes of a stack tree came to be: they are numbered in that order, so a few samples of their number tell. */
export class NodeTimes {
  #used: number[] = [];
  #timesNs: number[] = [];
  #step = 1;
  #left = 0;

  /** At `timeNs`, nodes below the number `used` were there. */
  note(used: number, timeNs: number): void {
    if (used <= (this.#used.at(-1) ?? 0) || this.#left-- > 0) return;
    this.#left = this.#step - 1;
    this.#used.push(used);
    this.#timesNs.push(timeNs);
    if (this.#used.length < MOST_SAMPLES) return;
    this.#used = this.#used.filter((_, index) => index % 2 === 1);
    this.#timesNs = this.#timesNs.filter((_, index) => index % 2 === 1);
    this.#step *= 2;
  }

  /** The earliest known moment at which a node was there; infinity where none is known yet. */
  of(node: number): number {
    let low = 0;
    let high = this.#used.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#used[middle]! > node) high = middle;
      else low = middle + 1;
    }
    return this.#timesNs[low] ?? Number.POSITIVE_INFINITY;
  }
}
