import { takeAccount } from '../account/account.js';
import type { AllocatorReader } from '../account/allocators/inside.js';
import { type AccountHistory, AccountHistoryLog } from '../account/history.js';
import { memoryTotals } from '../account/rollup.js';
import { OffheapError } from '../wire/error.js';
import type { AccountSources } from './account.js';
import type { ProcessFacts } from './process-facts.js';

/** Share of the collector's time that accounts for the history may take. */
const TIME_SHARE = 0.002;
/** Following blocks through a larger process would keep the collector from all else for too long: a second for a gigabyte. */
const MOST_INSIDE_BYTES = 256 << 20;

/** Takes an account from time to time, for the history of them. */
export class AccountSampler {
  readonly #log = new AccountHistoryLog();
  #notBeforeMs = 0;

  constructor(private readonly facts: ProcessFacts) {}

  get history(): AccountHistory {
    return this.#log.history();
  }

  /** Samples if it is time to. */
  sample(readers: readonly AllocatorReader[], claims: AccountSources['claims']): void {
    const started = performance.now();
    if (started < this.#notBeforeMs || Date.now() < this.#log.dueMs) return;
    try {
      const { anonymousBytes } = memoryTotals(this.facts.pid);
      const allocators = anonymousBytes > MOST_INSIDE_BYTES ? [] : readers;
      const { tree } = takeAccount(this.facts.pid, claims, { allocators, mostAttempts: 1 });
      if (tree.residentBytes > 0) this.#log.add(Date.now(), tree);
    } catch (error) {
      // It has ended, or may not be read: residency says so.
      if (!(error instanceof OffheapError)) throw error;
    }
    const ended = performance.now();
    this.#notBeforeMs = ended + (ended - started) / TIME_SHARE;
  }
}
