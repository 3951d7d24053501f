import type { MappingEvent, Operation } from '../wire/event.js';
import { RowBuffer } from './row-buffer.js';

/** A call that has been announced by `begin` and whose outcome is not known yet. */
export interface PendingCall {
  position: number;
  operation: Operation;
  site: number;
  /** What the begin took out, as rows. */
  pieces: RowBuffer;
  /** brk: the break before. mremap: the old start. */
  address: number;
  oldBytes: number;
  newBytes: number;
  flags: number;
}

interface ThreadCalls {
  calls: PendingCall[];
  lastPosition: number;
}

const MAX_THREADS = 4096;
/** Deeper than signal handlers nest in life. */
const MAX_DEPTH = 16;

/**
 * The undo log. A release that succeeds sends nothing more, so its thread's next event outside of it is what settles
 * it: until then what it took out can be given back. Hence the log holds one call per thread, more only where a signal
 * handler interrupted one. Beyond 4096 threads or 16 nested calls the oldest are taken as having succeeded; a failure
 * that arrives for them later cannot be undone and counts as unmatched.
 */
export class InFlightCalls {
  readonly #threads = new Map<number, ThreadCalls>();
  readonly #spare: PendingCall[] = [];
  readonly #discard: (call: PendingCall) => void;
  #lastThreadId = -1;
  #lastThread: ThreadCalls | undefined;

  /** @param discard lets go what a settled call had taken out. */
  constructor(discard: (call: PendingCall) => void) {
    this.#discard = discard;
  }

  /** Settles what this thread had under way: it could not have made this call before. */
  settle(event: MappingEvent): void {
    if (event.enclosing !== null) return;
    const thread = this.#thread(event.threadId);
    if (thread === undefined) return;
    while (thread.calls.length > 0) this.#drop(thread.calls.pop()!);
  }

  begin(event: MappingEvent, site: number): PendingCall {
    let thread = this.#thread(event.threadId);
    if (thread === undefined) {
      if (this.#threads.size >= MAX_THREADS) this.#dropOlderHalf();
      thread = { calls: [], lastPosition: 0 };
      this.#threads.set(event.threadId, thread);
      this.#lastThreadId = event.threadId;
      this.#lastThread = thread;
    }
    if (thread.calls.length >= MAX_DEPTH) this.#drop(thread.calls.shift()!);
    const call = this.#spare.pop() ?? emptyCall();
    call.position = event.position;
    call.operation = event.operation;
    call.site = site;
    call.address = -1;
    thread.calls.push(call);
    thread.lastPosition = event.position;
    return call;
  }

  /** Removes and returns the call that began at `position`; its pieces are the caller's to place or to discard. */
  take(threadId: number, position: number): PendingCall | undefined {
    const calls = this.#thread(threadId)?.calls;
    const at = calls?.findLastIndex((call) => call.position === position) ?? -1;
    return at < 0 ? undefined : calls!.splice(at, 1)[0];
  }

  /** Gives back a call that `take` removed, once its pieces are placed, for the next `begin`. */
  recycle(call: PendingCall): void {
    if (this.#spare.length < MAX_DEPTH) this.#spare.push(call);
  }

  *calls(): IterableIterator<{ threadId: number; call: PendingCall }> {
    for (const [threadId, thread] of this.#threads) {
      for (const call of thread.calls) yield { threadId, call };
    }
  }

  restore(threadId: number, call: PendingCall): void {
    const thread = this.#threads.get(threadId) ?? { calls: [], lastPosition: 0 };
    thread.calls.push(call);
    thread.lastPosition = call.position;
    this.#threads.set(threadId, thread);
  }

  #thread(threadId: number): ThreadCalls | undefined {
    if (threadId !== this.#lastThreadId) {
      this.#lastThread = this.#threads.get(threadId);
      this.#lastThreadId = threadId;
    }
    return this.#lastThread;
  }

  #drop(call: PendingCall): void {
    this.#discard(call);
    this.recycle(call);
  }

  #dropOlderHalf(): void {
    const byAge = [...this.#threads].sort(([, a], [, b]) => a.lastPosition - b.lastPosition);
    for (const [threadId, thread] of byAge.slice(0, MAX_THREADS / 2)) {
      for (const call of thread.calls) this.#drop(call);
      this.#threads.delete(threadId);
    }
    this.#lastThreadId = -1;
  }
}

export function emptyCall(): PendingCall {
  return {
    position: -1,
    operation: 'none',
    site: 0,
    pieces: new RowBuffer(),
    address: -1,
    oldBytes: 0,
    newBytes: 0,
    flags: 0,
  };
}
