import type { HeapLeak } from '../report/heap/sites.js';
import { wholeNumbers } from '../report/whole-numbers.js';
import type { HeapHistogram, HeapSurvivors, HeapThreads } from '../wire/heap.js';
import type { AttributionOf } from './heap-snapshot.js';
import type { HeapAgeBin, HeapSizeBin, HeapThread } from './session.js';

/** What survived since a mark: first the stacks of which nothing was freed, then by bytes. */
export function leakRows(survivors: HeapSurvivors, attributionOf: AttributionOf): Omit<HeapLeak, 'frames'>[] {
  const liveBytes = wholeNumbers(survivors.liveBytes);
  const liveAllocations = wholeNumbers(survivors.liveAllocations);
  const freed = wholeNumbers(survivors.frees);
  const rows = Array.from(survivors.stack, (stack, row) => {
    const { owner, kind, caller } = attributionOf(stack);
    return {
      ...{ stack, owner, kind, caller, liveBytes: liveBytes[row]!, liveAllocations: liveAllocations[row]! },
      freed: freed[row]!,
      neverFreed: survivors.frees[row] === 0,
    };
  });
  return rows.sort((a, b) => Number(b.neverFreed) - Number(a.neverFreed) || b.liveBytes - a.liveBytes);
}

/** Most live bytes first. */
export function threadRows(threads: HeapThreads): HeapThread[] {
  const columns = {
    liveBytes: wholeNumbers(threads.liveBytes),
    liveAllocations: wholeNumbers(threads.liveAllocations),
    allocations: wholeNumbers(threads.allocations),
    frees: wholeNumbers(threads.frees),
    temporary: wholeNumbers(threads.temporary),
  };
  const rows = Array.from(threads.threadId, (threadId, row) => ({
    threadId,
    liveBytes: columns.liveBytes[row]!,
    liveAllocations: columns.liveAllocations[row]!,
    allocations: columns.allocations[row]!,
    frees: columns.frees[row]!,
    temporary: columns.temporary[row]!,
  }));
  return rows.sort((a, b) => b.liveBytes - a.liveBytes || b.allocations - a.allocations);
}

export function sizeBins(sizes: HeapHistogram): HeapSizeBin[] {
  return bins(sizes).map(({ from, below, ...live }) => ({ fromBytes: from, belowBytes: below, ...live }));
}

export function ageBins(ages: HeapHistogram): HeapAgeBin[] {
  return bins(ages).map(({ from, below, ...live }) => ({ fromSeconds: from, belowSeconds: below, ...live }));
}

function bins({ from, liveBytes, liveAllocations }: HeapHistogram) {
  const bytes = wholeNumbers(liveBytes);
  const allocations = wholeNumbers(liveAllocations);
  return Array.from(from, (least, row) => ({
    from: least,
    below: from[row + 1] ?? null,
    liveBytes: bytes[row]!,
    liveAllocations: allocations[row]!,
  }));
}
