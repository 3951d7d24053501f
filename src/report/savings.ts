import { formatBytes, formatCount, formatPercent } from './bytes.js';
import type { AccountReport, HeapPin } from './schema.js';
import { printable } from './text.js';

/** A smaller part of a heap, or a smaller heap, is not worth the words. */
const NOTABLE_SHARE = 0.1;
const NOTABLE_BYTES = 1 << 20;
const PINS_SHOWN = 5;
const FRAMES_SHOWN = 4;

/** What could be given back of a heap, by what; none where that is little. */
export function savingsLines({ savings, process }: AccountReport): string[] {
  if (savings === null) return [];
  const { allocator, residentBytes, unpinnedBytes, unpinnedPercent, pinnedFreeBytes } = savings;
  const freeBytes = unpinnedBytes + pinnedFreeBytes;
  if (residentBytes < NOTABLE_BYTES || freeBytes < NOTABLE_SHARE * residentBytes) return [];
  const lines = [
    `of ${formatBytes(residentBytes)} that ${printable(allocator)} has resident, ${formatBytes(freeBytes)} is free:`,
    `  ${formatBytes(unpinnedBytes)} (${formatPercent(unpinnedPercent)}) in pages that no block in use pins, ${formatBytes(pinnedFreeBytes)} beside blocks in use`,
  ];
  if (savings.trimBytes !== null) {
    lines.push(
      `  malloc_trim would return ${formatBytes(savings.trimBytes)}: offheap account ${process.pid} --trim`,
    );
  }
  if (savings.segregatedSavingBytes !== null) {
    lines.push(
      `  jemalloc, which keeps sizes apart, would hold about ${formatBytes(savings.segregatedResidentBytes!)}, ${formatBytes(savings.segregatedSavingBytes)} less`,
    );
  }
  return lines;
}

/** The stacks whose few survivors keep most free memory. */
export function pinLines({ pins }: AccountReport): string[] {
  const notable = (pins ?? []).filter(({ freeBytes }) => freeBytes >= NOTABLE_BYTES).slice(0, PINS_SHOWN);
  if (notable.length === 0) return [];
  return ['what pins free memory:', ...notable.map(pinLine)];
}

function pinLine({ owner, frames, pages, liveBytes, freeBytes }: HeapPin): string {
  const who =
    frames.length === 0 ? printable(owner) : frames.slice(0, FRAMES_SHOWN).map(printable).join(' ← ');
  return `  ${formatBytes(freeBytes)} free in ${formatCount(pages, 'page')} with ${formatBytes(liveBytes)} live, by ${who}`;
}
