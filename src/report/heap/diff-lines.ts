import { formatBytes, formatChange, formatCount } from '../bytes.js';
import { printable } from '../text.js';
import { cut } from '../width.js';
import type { HeapChange } from './diff.js';

const SITES_SHOWN = 5;
const FRAMES_SHOWN = 8;
const NOT_COMPARED =
  'heap: not compared, a collector that came in between does not know of older blocks; keep one running (offheap top)';

/** The heap's change and the sites that grew most; nothing where nothing changed. */
export function heapChangeLines(change: HeapChange | null, columns: number): string[] {
  if (change === null) return ['', cut(NOT_COMPARED, columns)];
  if (change.bytes === 0 && change.allocations === 0 && change.grown.length === 0) return [];
  const lines = ['', `heap: ${changeText(change)}`];
  for (const site of change.grown.slice(0, SITES_SHOWN)) {
    lines.push('', `${printable(site.owner)}: ${changeText(site)}`);
    const shown = site.frames.slice(0, FRAMES_SHOWN);
    for (const frame of shown) lines.push(`    ${printable(frame)}`);
    const hidden = site.frames.length - shown.length;
    if (hidden > 0) lines.push(`    … ${hidden} more frames`);
  }
  const rest = change.grown.length - SITES_SHOWN;
  if (rest > 0) lines.push('', `… and ${rest} more stacks that grew`);
  return lines.map((line) => cut(line, columns));
}

function changeText({
  bytes,
  allocations,
  standardErrorBytes,
}: Pick<HeapChange, 'bytes' | 'allocations' | 'standardErrorBytes'>): string {
  const error = standardErrorBytes > 0 ? ` ± ${formatBytes(standardErrorBytes)}` : '';
  const sign = allocations > 0 ? '+' : '';
  return `${formatChange(bytes)}${error} in ${sign}${formatCount(allocations, 'allocation')}`;
}
