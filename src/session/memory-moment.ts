import type { AccountKind, AccountNode } from '../account/tree.js';
import type { HeldByStacks, HeldBytes, MemoryMoment } from '../diagnose/memory-log.js';
import { ALLOCATOR_MODULES, LIBC_MODULES, matches } from '../ledger/plumbing.js';

/** Whose memory grows by what it does, and not by what somebody asks of an allocator. */
const OUTSIDE: readonly AccountKind[] = ['anonymous', 'shared', 'unexplained'];
/** Freed, and in memory all the same. */
const FREED: readonly AccountKind[] = ['retained', 'pinned', 'cached'];

/** An allocator of which more is unread changed while it was followed. */
const TORN_SHARE = 0.1;

/** Whether an allocator was looked into, and changed meanwhile: the next account will know more. */
export function isTorn(tree: AccountNode): boolean {
  const allocators = tree.children.find(({ kind }) => kind === 'allocators')?.children ?? [];
  return allocators.some((allocator) => allocator.children.length > 0 && !isRead(allocator));
}

function isRead(allocator: AccountNode): boolean {
  return allocator.children.length > 0 && partsOf(allocator, ['unread']) <= TORN_SHARE * bytesOf(allocator);
}

/**
 * What memory is used for, by an account and by what lives on the recorded heap; null where no allocations are
 * recorded: then the allocators hold what is live.
 */
export function memoryMoment(tree: AccountNode, recorded: HeldByStacks | null): MemoryMoment {
  const live: HeldBytes[] = [];
  const retained: HeldBytes[] = [];
  const outside: HeldBytes[] = [];
  const unread: HeldBytes[] = [];
  let readLiveBytes: number | undefined = 0;
  let unreadOfMalloc = 0;
  for (const branch of tree.children) {
    if (branch.kind === 'thread-stacks') outside.push(held('thread stacks', branch));
    if (OUTSIDE.includes(branch.kind)) {
      for (const owner of branch.children) outside.push(held(owner.name, owner));
    }
    if (branch.kind !== 'allocators') continue;
    for (const allocator of branch.children) {
      const { name } = allocator;
      // What others hand out, such as Python's objects, is not recorded.
      const isRecorded =
        recorded !== null && (matches(LIBC_MODULES, name) || matches(ALLOCATOR_MODULES, name));
      if (isRecorded && !isRead(allocator)) {
        readLiveBytes = undefined;
        unreadOfMalloc += bytesOf(allocator);
        continue;
      }
      const freed = partsOf(allocator, FREED);
      const used = partsOf(allocator, ['live', 'slack']);
      const rest = bytesOf(allocator) - freed - used - partsOf(allocator, ['metadata']);
      retained.push({ owner: name, stack: null, bytes: freed });
      if (!isRecorded) live.push({ owner: name, stack: null, bytes: used });
      unread.push({ owner: name, stack: null, bytes: rest });
      if (!isRead(allocator)) readLiveBytes = undefined;
      else if (readLiveBytes !== undefined) readLiveBytes += used;
    }
  }
  if (unreadOfMalloc > 0) retained.push(keptByDifference(tree, recorded, unreadOfMalloc));
  return { live, liveByStack: recorded ?? undefined, retained, outside, unread, readLiveBytes };
}

/** Where nobody has looked inside, what is not recorded to live is free. */
function keptByDifference(
  tree: AccountNode,
  recorded: HeldByStacks | null,
  residentBytes: number,
): HeldBytes {
  const allocators = tree.children.find(({ kind }) => kind === 'allocators')?.children ?? [];
  const largest = allocators.find((allocator) => !isRead(allocator));
  const liveBytes = recorded?.bytes.reduce((sum, bytes) => sum + bytes, 0) ?? 0;
  return {
    owner: largest?.name ?? 'allocators',
    stack: null,
    bytes: Math.max(0, residentBytes - liveBytes),
  };
}

function held(owner: string, node: AccountNode): HeldBytes {
  return { owner, stack: null, bytes: bytesOf(node) };
}

function partsOf({ children }: AccountNode, kinds: readonly AccountKind[]): number {
  return children.reduce((sum, child) => sum + (kinds.includes(child.kind) ? bytesOf(child) : 0), 0);
}

function bytesOf({ residentBytes, swapBytes }: AccountNode): number {
  return residentBytes + swapBytes;
}
