import { formatChange, formatSeconds } from './bytes.js';
import { type Column, renderColumns } from './columns.js';
import type { OwnerChange, SnapshotDiff } from './diff.js';
import { heapChangeLines } from './heap/diff-lines.js';
import { printable } from './text.js';

/** The diff as a terminal table of at most `columns` columns. */
export function diffTable(diff: SnapshotDiff, columns: number): string {
  const heading = `change over ${formatSeconds(diff.seconds)}`;
  const heap = heapChangeLines(diff.heap, columns);
  if (diff.owners.length === 0 && heap.length === 0) return `${heading}: none`;
  const table: Column<OwnerChange>[] = [
    { title: 'OWNER', align: 'left', flexible: true, cell: (change) => printable(change.owner) },
    { title: 'KIND', align: 'left', cell: (change) => change.kind },
    { title: 'BYTES', align: 'right', cell: (change) => formatChange(change.bytes) },
    { title: 'RESIDENT', align: 'right', cell: (change) => formatChange(change.residentBytes) },
    {
      title: 'MAPPINGS',
      align: 'right',
      cell: ({ mappings }) => (mappings > 0 ? `+${mappings}` : String(mappings)),
    },
  ];
  const owners = diff.owners.length === 0 ? [] : renderColumns(table, diff.owners, columns);
  return [heading, ...owners, ...heap].join('\n');
}
