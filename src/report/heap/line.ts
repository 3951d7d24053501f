import { formatBytes, formatCount, formatPercent, percentOf } from '../bytes.js';
import type { HeapCounts, SnapshotHeap, SnapshotHeapOwner } from '../schema.js';
import { printable } from '../text.js';

/** Owners with less than this share of the live bytes are not worth a word in one line. */
const NOTABLE_PERCENT = 10;
const OWNERS_SHOWN = 3;

/** "12.3 MB", "12.3 MB ± 410.0 kB": with its standard error where it is an estimate. */
export function formatLive({
  liveBytes,
  standardErrorBytes,
}: Pick<HeapCounts, 'liveBytes' | 'standardErrorBytes'>): string {
  const error = standardErrorBytes > 0 ? ` ± ${formatBytes(standardErrorBytes)}` : '';
  return `${formatBytes(liveBytes)}${error}`;
}

/**
 * "heap (exact) 12.3 MB live in 1,234 allocations · 96,000 made, 83.0 % temporary · python3.11 9.10 MB": what is
 * recorded, what lives and whose it is; undefined where nothing was recorded. `perSecond` is the present rate of
 * allocations where it is known, which then stands for their number.
 */
export function heapLine(heap: Omit<SnapshotHeap, 'sites'>, perSecond?: number): string | undefined {
  const { mode, allocations, temporary, liveAllocations, before } = heap;
  if (mode === 'off' && allocations === 0 && before.bytes === 0) return undefined;
  const made =
    perSecond === undefined
      ? `${allocations.toLocaleString('en-US')} made`
      : `${Math.round(perSecond).toLocaleString('en-US')}/s`;
  const parts = [
    `heap (${mode}) ${formatLive(heap)} live in ${formatCount(liveAllocations, 'allocation')}`,
    temporary === 0 ? made : `${made}, ${formatPercent(percentOf(temporary, allocations))} temporary`,
  ];
  if (before.bytes > 0) parts.push(`${formatBytes(before.bytes)} from before a switch, not followed`);
  const holders = notableHolders(heap);
  if (holders.length > 0) parts.push(holders.join(', '));
  return parts.join(' · ');
}

function notableHolders({ owners, liveBytes }: { owners: SnapshotHeapOwner[]; liveBytes: number }): string[] {
  return owners
    .filter((owner) => owner.liveBytes > 0 && percentOf(owner.liveBytes, liveBytes) >= NOTABLE_PERCENT)
    .slice(0, OWNERS_SHOWN)
    .map((owner) => `${printable(owner.owner)} ${formatBytes(owner.liveBytes)}`);
}
