import { asked } from '../account/process-file.js';
import { type MemoryTotals, memoryTotals } from '../account/rollup.js';
import type { MappingLedger } from '../ledger/mapping-ledger.js';
import { residency } from '../wire/addon.js';
import { OffheapError } from '../wire/error.js';
import type { ProcessFacts } from './process-facts.js';

/** Share of the collector's time that sampling may take: it walks the target's page tables range by range. */
const TIME_SHARE = 0.004;

const NOTHING: MemoryTotals = {
  totalBytes: 0,
  anonymousBytes: 0,
  fileBytes: 0,
  sharedBytes: 0,
  swapBytes: 0,
};

/** What was resident when it was last asked for; all that is left to say once the process is dead. */
export class ResidencySampler {
  totals = NOTHING;
  /** Why residency is unknown, where it is. */
  problem: string | undefined;
  // [start, end, …] by address, and [residentBytes, swapBytes, …] of the same ranges.
  #bounds: Float64Array = new Float64Array();
  #measured: Float64Array = new Float64Array();
  #notBeforeMs = 0;

  constructor(private readonly facts: ProcessFacts) {}

  /** Samples if it is time to. `now` insists: a person asked. */
  sample(ledger: MappingLedger, now = false): void {
    if (!this.facts.isRunning()) return;
    const started = performance.now();
    if (!now && started < this.#notBeforeMs) return;
    try {
      const { pid } = this.facts;
      const totals = memoryTotals(pid);
      // A process that ended meanwhile reports nothing: what was seen before says more.
      if (totals.totalBytes === 0) return;
      // Anybody may know these, whoever may look at the pages.
      this.totals = totals;
      const bounds = ledger.boundsOfMemory();
      const measured = asked(pid, () => residency(pid, bounds));
      this.#bounds = bounds;
      this.#measured = measured;
      this.problem = undefined;
    } catch (error) {
      if (!(error instanceof OffheapError)) throw error;
      if (error.code !== 'PROCESS_MISSING') this.problem = error.message;
    }
    const ended = performance.now();
    this.#notBeforeMs = ended + (ended - started) / TIME_SHARE;
  }

  /** Resident bytes of the live range that starts here, 0 where none did when it was last asked for. */
  residentBytes(start: number): number {
    let low = 0;
    let high = this.#bounds.length / 2;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#bounds[2 * middle]! < start) low = middle + 1;
      else high = middle;
    }
    return this.#bounds[2 * low] === start ? this.#measured[2 * low]! : 0;
  }
}
