import pc from 'picocolors';
import { formatBytes, formatPercent, formatRate, formatSeconds, percentOf } from './bytes.js';
import { type Column, renderColumns } from './columns.js';
import { completenessLines, recordedLine } from './completeness.js';
import type { Overview } from './overview.js';
import type { SnapshotOwner } from './schema.js';
import type { StackSite } from './stacks.js';
import { cut, printable } from './text.js';

export interface TableOptions {
  /** Width of the terminal. */
  columns: number;
  colors?: boolean;
  /** Owners shown; the rest is summed in one line. */
  owners?: number;
  /** Stacks shown, and frames of each. */
  stacks?: number;
  frames?: number;
}

/** The report of one process: heading, owners, top stacks, completeness. */
export function reportTable(overview: Overview, options: TableOptions): string {
  const { columns, colors = false, owners = 15, stacks = 3, frames = 12 } = options;
  const color = pc.createColors(colors);
  const sections = [
    [color.bold(cut(heading(overview), columns)), cut(residentLine(overview), columns)],
    ownerLines(overview, columns, owners).map((line, index) => (index === 0 ? color.bold(line) : line)),
    ...overview.sites.slice(0, stacks).map((site) => {
      const [first = '', ...rest] = siteLines(site, columns, frames);
      return [color.bold(first), ...rest.map((line) => color.dim(line))];
    }),
    gapLines(overview, columns).map((line) => color.yellow(line)),
  ];
  return sections
    .filter((section) => section.length > 0)
    .map((section) => section.join('\n'))
    .join('\n\n');
}

/** "python3 decode.py (pid 123), running, observed 1 min 02 s". */
export function heading({ process, observedSeconds }: Overview): string {
  const state = process.exit === null ? process.state : `${process.state} with status ${process.exit}`;
  const command = printable(process.command.join(' ')) || '?';
  return `${command} (pid ${process.pid}), ${state}, observed ${formatSeconds(observedSeconds)}`;
}

export function residentLine({ rss, completeness }: Overview): string {
  const parts = [
    `resident ${formatBytes(rss.totalBytes)}`,
    `anonymous ${formatBytes(rss.anonymousBytes)}`,
    `explained ${formatPercent(rss.explainedPercent)}`,
  ];
  if (rss.swapBytes > 0) parts.push(`swapped ${formatBytes(rss.swapBytes)}`);
  return `${parts.join(' · ')} · ${recordedLine(completeness)}`;
}

/** Most growth first, then most resident, then most mapped. */
export function byGrowth(a: SnapshotOwner, b: SnapshotOwner): number {
  return (
    b.growthBytesPerMinute - a.growthBytesPerMinute || b.residentBytes - a.residentBytes || b.bytes - a.bytes
  );
}

export function ownerLines(overview: Overview, columns: number, limit: number): string[] {
  const total = overview.owners.reduce((sum, owner) => sum + owner.bytes, 0);
  const sorted = [...overview.owners].sort(byGrowth);
  const lines = renderColumns(ownerColumns(total), sorted.slice(0, limit), columns);
  const rest = sorted.slice(limit);
  if (rest.length > 0) {
    const bytes = rest.reduce((sum, owner) => sum + owner.bytes, 0);
    lines.push(cut(`… and ${rest.length} more owners with ${formatBytes(bytes)}`, columns));
  }
  return lines;
}

/** The columns of an owner table; `totalBytes` is what SHARE is a share of. */
export function ownerColumns(totalBytes: number): Column<SnapshotOwner>[] {
  return [
    { title: 'OWNER', align: 'left', flexible: true, cell: (owner) => printable(owner.owner) },
    { title: 'KIND', align: 'left', expendable: 1, cell: (owner) => owner.kind },
    { title: 'LIVE', align: 'right', cell: (owner) => formatBytes(owner.bytes) },
    { title: 'RESIDENT', align: 'right', cell: (owner) => formatBytes(owner.residentBytes) },
    { title: 'GROWTH', align: 'right', cell: (owner) => formatRate(owner.growthBytesPerMinute) },
    {
      title: 'MAPPINGS',
      align: 'right',
      expendable: 3,
      cell: (owner) => owner.mappings.toLocaleString('en-US'),
    },
    {
      title: 'SHARE',
      align: 'right',
      expendable: 2,
      cell: (owner) => formatPercent(percentOf(owner.bytes, totalBytes)),
    },
  ];
}

/** A stack under a line that says whose it is, how much is live from it, and inside which operation. */
export function siteLines(site: StackSite, columns: number, frames: number): string[] {
  const inside = site.enclosing === null ? '' : `, mapped inside ${site.enclosing}`;
  const count = site.mappings === 1 ? '1 mapping' : `${site.mappings.toLocaleString('en-US')} mappings`;
  const lines = [cut(`${printable(site.owner)}: ${formatBytes(site.bytes)} in ${count}${inside}`, columns)];
  if (site.frames.length === 0) lines.push(cut('    no stack: mapped before the recording began', columns));
  // The leaf says how, the root says who started it: where there is no room, the middle goes.
  const leaf = site.frames.length <= frames ? site.frames.length : Math.max(1, frames - 3);
  const hidden = site.frames.length - leaf - 2;
  const shown =
    hidden <= 0
      ? site.frames
      : [...site.frames.slice(0, leaf), `… ${hidden} more frames`, ...site.frames.slice(-2)];
  for (const frame of shown) lines.push(cut(`    ${printable(frame)}`, columns));
  return lines;
}

export function gapLines(overview: Overview, columns: number): string[] {
  return completenessLines(overview).map((line) => cut(`! ${printable(line)}`, columns));
}
