import type { FrameFilter } from '../frame-filter.js';
import type { OwnerKind, Snapshot } from '../schema.js';

/** What is drawn: mapped memory, or what allocators have handed out. */
export type FlameSubject = 'mappings' | 'heap';

/** What a stack holds. */
export interface Held {
  stack: number;
  owner: string;
  kind: OwnerKind;
  bytes: number;
  count: number;
  /** The operation inside which it was mapped, and the one that mapped it. */
  enclosed?: { operation: string; enclosing: string };
}

/** All that a snapshot says to be held; reservations are left out: a runtime may set aside a hundred times what it uses. */
export function* heldOf({ mappings, heap }: Snapshot, what: FlameSubject): Generator<Held> {
  if (what === 'heap') {
    for (const { stack, owner, kind, liveBytes, liveAllocations } of heap.sites) {
      if (liveBytes > 0) yield { stack, owner, kind, bytes: liveBytes, count: liveAllocations };
    }
    return;
  }
  for (const { stack, owner, kind, bytes, operation, enclosing, reserved } of mappings) {
    if (reserved) continue;
    const held: Held = { stack, owner, kind, bytes, count: 1 };
    if (enclosing !== null) held.enclosed = { operation, enclosing };
    yield held;
  }
}

export const NO_STACK = '[mapped before the recording began]';
const NO_HEAP_STACK = '[no stack]';
const NO_FRAMES: Record<FrameFilter, string> = { native: '[no native frames]', python: '[no Python frames]' };

/** What stands for the frames where there are none; `hasStack`: there are some, of other languages than `only`. */
export function noStackName(what: FlameSubject, only: FrameFilter | undefined, hasStack: boolean): string {
  if (hasStack && only !== undefined) return NO_FRAMES[only];
  return what === 'heap' ? NO_HEAP_STACK : NO_STACK;
}

/** "[mmap inside munmap]". */
export function enclosedName({ operation, enclosing }: NonNullable<Held['enclosed']>): string {
  return `[${operation} inside ${enclosing}]`;
}
