import type { MappingEvent, Operation } from '../wire/event.js';

const KEPT = 64;

/** The calls of one operation that were recorded last. */
interface Recent {
  /** How many there were since the recording was opened. */
  count: number;
  /** Stack nodes, round and round. */
  readonly stacks: Uint32Array;
}

/** From where each operation was called of late. To be kept for every event, so it keeps little. */
export class RecentCalls {
  readonly #operations = new Map<Operation, Recent>();

  note({ operation, phase, stack }: MappingEvent): void {
    // A call that has two events is counted at its first.
    if (phase === 'end' || phase === 'failed' || stack === 0) return;
    let recent = this.#operations.get(operation);
    if (recent === undefined) {
      recent = { count: 0, stacks: new Uint32Array(KEPT) };
      this.#operations.set(operation, recent);
    }
    recent.stacks[recent.count % KEPT] = stack;
    recent.count++;
  }

  count(operation: Operation): number {
    return this.#operations.get(operation)?.count ?? 0;
  }

  /** The stacks of the calls from number `since` on that are still known. */
  stacks(operation: Operation, since: number): number[] {
    const recent = this.#operations.get(operation);
    if (recent === undefined) return [];
    const stacks: number[] = [];
    for (let call = Math.max(since, recent.count - KEPT); call < recent.count; call++) {
      stacks.push(recent.stacks[call % KEPT]!);
    }
    return stacks;
  }
}
