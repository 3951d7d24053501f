import type { MappingEvent, Operation } from '../wire/event.js';

/** How often each operation was called, as the events tell; the shim's own calls with them, but for what it had mapped before. */
export class CallCounts {
  readonly #counts = new Map<Operation, number>();
  #begun = false;

  note({ operation, phase, result, byProfiler }: MappingEvent): void {
    if (operation === 'seed') return;
    // What the shim mapped before it recorded is told first, right behind the seeds.
    if (byProfiler && !this.#begun) return;
    this.#begun = true;
    if (phase === 'end' || phase === 'failed') return;
    if (operation === 'mmap' && result <= 0) return;
    this.#counts.set(operation, this.of(operation) + 1);
  }

  of(operation: Operation): number {
    return this.#counts.get(operation) ?? 0;
  }
}
