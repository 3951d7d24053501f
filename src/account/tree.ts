import type { AskedFigures } from './allocators/asked.js';

/** What a node of the account stands for. */
export type AccountKind =
  | 'process'
  | 'files'
  | 'shared'
  | 'thread-stacks'
  | 'main-stack'
  | 'kernel'
  | 'profiler'
  | 'devices'
  | 'anonymous'
  | 'allocators'
  | 'unexplained'
  | 'file'
  | 'owner'
  | 'thread'
  | 'allocator'
  // What is inside an allocator's memory.
  | 'live'
  | 'cached'
  | 'retained'
  // Free, on pages that live blocks keep in memory.
  | 'pinned'
  | 'metadata'
  | 'slack'
  | 'unread';

/**
 * Sizes are bytes. A node's figures are the sums of its children's, and leaves have no page in common; only what is inside
 * an allocator, where blocks share pages, is told by resident and swapped bytes alone.
 */
export interface AccountNode {
  name: string;
  kind: AccountKind;
  /** Addresses that are mapped. */
  bytes: number;
  residentBytes: number;
  swapBytes: number;
  /** The part of `residentBytes` that is anonymous memory, copies of a file's pages included: RssAnon. */
  anonymousBytes: number;
  /** The part of `residentBytes` that huge pages map, where the kernel tells. */
  hugePageBytes: number;
  /** Pieces of the address space: the kernel's areas, cut where they belong to different owners. */
  ranges: number;
  /** Of glibc's heaps: what malloc_trim would return; absent where that is not known. */
  trimmableBytes?: number;
  /** Of an allocator: what its blocks in use were asked for, and what it set aside beyond that. */
  asked?: AskedFigures;
  /** Of an allocator without `asked`: why it is not known. */
  askedUnknown?: string;
  children: AccountNode[];
}

export function emptyNode(kind: AccountKind, name: string): AccountNode {
  return {
    name,
    kind,
    bytes: 0,
    residentBytes: 0,
    swapBytes: 0,
    anonymousBytes: 0,
    hugePageBytes: 0,
    ranges: 0,
    children: [],
  };
}

/** What of a node adds up. */
export const FIGURES = [
  'bytes',
  'residentBytes',
  'swapBytes',
  'anonymousBytes',
  'hugePageBytes',
  'ranges',
] as const satisfies (keyof AccountNode)[];

export function addTo(node: AccountNode, part: Pick<AccountNode, (typeof FIGURES)[number]>): void {
  for (const field of FIGURES) node[field] += part[field];
}

/** A node over its children, largest first; its figures are their sums. */
export function sumOf(kind: AccountKind, name: string, children: Iterable<AccountNode>): AccountNode {
  const node = emptyNode(kind, name);
  node.children = [...children].sort(bySize);
  for (const child of node.children) addTo(node, child);
  return node;
}

export function bySize(a: AccountNode, b: AccountNode): number {
  return b.residentBytes + b.swapBytes - (a.residentBytes + a.swapBytes) || b.bytes - a.bytes;
}
