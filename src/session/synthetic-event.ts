import type { MappingEvent, Operation } from '../wire/event.js';

/** An event that no target told: what the kernel shows, put so that the ledger can take it in. */
export function syntheticEvent(
  operation: Operation,
  args: MappingEvent['args'],
  more: Partial<Pick<MappingEvent, 'extra' | 'path'>> = {},
): MappingEvent {
  return {
    position: 0,
    operation,
    phase: 'complete',
    timeNs: 0,
    args,
    result: operation === 'munmap' ? 0 : args[0],
    refersTo: 0,
    extra: 0,
    threadId: 0,
    stack: 0,
    path: null,
    generation: 0,
    stackTruncated: false,
    byProfiler: false,
    enclosing: null,
    ...more,
  };
}
