import type { AccountNode } from '../account/tree.js';
import { segregatedResidentBytes } from '../diagnose/segregated-heap.js';
import { ALLOCATOR_MODULES, LIBC_MODULES, matches } from '../ledger/plumbing.js';
import type { HeapSavings } from '../report/schema.js';
import type { HeapSites, HeapTotals } from '../wire/heap.js';

/** The recorded heap at one moment. */
export interface RecordedSites {
  sites: HeapSites;
  totals: HeapTotals;
}

/** A prediction rests on what was recorded: what lives beside it must be less than this part of the heap. */
const UNRECORDED_SHARE = 0.1;

/**
 * What could be saved of the heap that malloc keeps: by malloc_trim, and by an allocator that keeps sizes apart. Null where
 * nobody could look into it.
 */
export function savingsOf(tree: AccountNode, recorded: RecordedSites | undefined): HeapSavings | null {
  const allocators = tree.children.find(({ kind }) => kind === 'allocators')?.children ?? [];
  const heap = allocators
    .filter(({ name }) => matches(LIBC_MODULES, name) || matches(ALLOCATOR_MODULES, name))
    .sort((a, b) => b.residentBytes - a.residentBytes)[0];
  if (heap === undefined || heap.children.every(({ kind }) => kind === 'unread')) return null;
  const bytes = (...kinds: AccountNode['kind'][]) =>
    heap.children.reduce((sum, part) => sum + (kinds.includes(part.kind) ? part.residentBytes : 0), 0);
  const liveBytes = bytes('live', 'slack');
  const unpinnedBytes = bytes('retained');
  const most = UNRECORDED_SHARE * heap.residentBytes;
  const predicted = matches(LIBC_MODULES, heap.name) ? predictedBytes(recorded, liveBytes - most) : null;
  return {
    allocator: heap.name,
    residentBytes: heap.residentBytes,
    liveBytes,
    unpinnedBytes,
    unpinnedPercent: heap.residentBytes === 0 ? 0 : (100 * unpinnedBytes) / heap.residentBytes,
    pinnedFreeBytes: bytes('pinned', 'cached'),
    trimBytes: heap.trimmableBytes ?? null,
    segregatedResidentBytes: predicted,
    segregatedSavingBytes: predicted === null ? null : Math.max(0, heap.residentBytes - predicted),
  };
}

function predictedBytes(recorded: RecordedSites | undefined, leastLiveBytes: number): number | null {
  if (recorded === undefined || recorded.totals.mode === 'off') return null;
  const { sites, totals } = recorded;
  if (totals.liveBytes < leastLiveBytes) return null;
  return segregatedResidentBytes(
    Array.from(sites.stack, (_, row) => ({
      liveBytes: sites.liveBytes[row]!,
      liveAllocations: sites.liveAllocations[row]!,
      peakBytes: sites.peakBytes[row]!,
      allocations: sites.allocations[row]!,
      allocatedBytes: sites.allocatedBytes[row]!,
    })),
  );
}
