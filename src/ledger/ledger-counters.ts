/** What the ledger could not take at face value, and what it only counts. */
export interface LedgerCounters {
  /** Events that were applied or knowingly ignored. */
  events: number;
  /** Calls that the kernel refused; they left nothing behind. */
  failedCalls: number;
  /** Calls that gave pages back and kept the range (MADV_DONTNEED, MADV_FREE, MADV_REMOVE), and their bytes. */
  discardCalls: number;
  discardedBytes: number;
  /** The kernel placed a mapping where the ledger still had one, or moved one it did not have: events are missing. */
  contradictions: number;
  /** An `end` or a `failed` whose `begin` is unknown, or a begun mremap without an end: events are missing. */
  unmatched: number;
  /** Acquisitions whose extent is unknown: shmat without a segment size, brk with no earlier break. */
  unplaced: number;
}

export function noCounts(): LedgerCounters {
  return {
    events: 0,
    failedCalls: 0,
    discardCalls: 0,
    discardedBytes: 0,
    contradictions: 0,
    unmatched: 0,
    unplaced: 0,
  };
}
