import { takeAccount } from '../account/account.js';
import type { AllocatorReader } from '../account/allocators/inside.js';
import { type AccountHistory, AccountHistoryLog } from '../account/history.js';
import { memoryTotals } from '../account/rollup.js';
import type { AccountNode } from '../account/tree.js';
import { OffheapError } from '../wire/error.js';
import type { AccountSources } from './account.js';
import type { ProcessFacts } from './process-facts.js';

/** Share of the collector's time that accounts for the history may take. */
const TIME_SHARE = 0.002;
/** The first few come sooner: whoever has just begun to watch wants a verdict within the minute. */
const EARLY_TIME_SHARE = 0.04;
const EARLY_ACCOUNTS = 24;
/** Following blocks through a larger process would keep the collector from all else for too long: a second for a gigabyte. */
const MOST_INSIDE_BYTES = 256 << 20;

/** Takes an account from time to time, for the history of them. */
export class AccountSampler {
  readonly #log = new AccountHistoryLog();
  #notBeforeMs = 0;
  #taken = 0;
  #lastCostMs = Number.POSITIVE_INFINITY;

  /** `timeShare`: instead of the usual one. */
  constructor(
    private readonly facts: ProcessFacts,
    private readonly timeShare?: number | undefined,
  ) {}

  get history(): AccountHistory {
    return this.#log.history();
  }

  /** Samples if it is time to; what `use` makes of the account counts for the time that this takes. */
  sample(
    readers: readonly AllocatorReader[],
    claims: AccountSources['claims'],
    use: (tree: AccountNode) => void,
  ): void {
    const started = performance.now();
    if (started < this.#notBeforeMs || Date.now() < this.#log.dueMs) return;
    try {
      const { anonymousBytes } = memoryTotals(this.facts.pid);
      const allocators = anonymousBytes > MOST_INSIDE_BYTES ? [] : readers;
      const { tree } = takeAccount(this.facts.pid, claims, { allocators, mostAttempts: 1 });
      if (tree.residentBytes > 0) {
        this.#log.add(Date.now(), tree);
        use(tree);
      }
    } catch (error) {
      // It has ended, or may not be read: residency says so.
      if (!(error instanceof OffheapError)) throw error;
    }
    this.#notBeforeMs = this.#nextMs(started, performance.now());
  }

  #nextMs(started: number, ended: number): number {
    // One that was cold, or put off by others, would put off the next one too far.
    const costMs = Math.min(ended - started, this.#lastCostMs);
    this.#lastCostMs = ended - started;
    const share = this.timeShare ?? (this.#taken++ < EARLY_ACCOUNTS ? EARLY_TIME_SHARE : TIME_SHARE);
    return ended + costMs / share;
  }
}
