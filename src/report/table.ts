import pc from 'picocolors';
import { formatBytes, formatCount, formatPercent, formatRate, formatSeconds, percentOf } from './bytes.js';
import { type Column, renderColumns } from './columns.js';
import { completenessLines, recordedLine } from './completeness.js';
import { byGrowth, growthLine, notableOwners, ownerName, topHeapSites, topSites } from './culprit.js';
import { formatLive, heapLine } from './heap/line.js';
import type { HeapSite } from './heap/sites.js';
import type { Overview } from './overview.js';
import type { SnapshotOwner } from './schema.js';
import { accessibleBytes, type StackSite } from './stacks.js';
import { printable } from './text.js';
import { isTold, verdictLines } from './verdict.js';
import { cut, stringWidth } from './width.js';

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

/** The report of one process: heading, who grows, owners, the stacks of those that grow, completeness. */
export function reportTable(overview: Overview, options: TableOptions): string {
  const { columns, colors = false, owners = 15, stacks = 3, frames = 16 } = options;
  const color = pc.createColors(colors);
  const head = [color.bold(heading(overview, columns))];
  if (overview.owners.length > 0) {
    head.push(cut(residentLine(overview), columns));
    const heap = heapLine(overview.heap);
    if (heap !== undefined) head.push(cut(heap, columns));
    head.push(color.bold(cut(growthLine(overview), columns)));
    if (isTold(overview.verdict)) head.push(...verdictLines(overview.verdict, columns));
  }
  const sections = [
    head,
    notableOwnerLines(overview, columns, owners).map((line, index) =>
      index === 0 ? color.bold(line) : line,
    ),
    ...[
      ...topSites(overview, stacks).map((site) => siteLines(site, columns, frames)),
      ...topHeapSites(overview, stacks).map((site) => heapSiteLines(site, columns, frames)),
    ].map(([first = '', ...rest]) => [color.bold(first), ...rest.map((line) => color.dim(line))]),
    gapLines(overview, columns).map((line) => color.yellow(line)),
  ];
  return sections
    .filter((section) => section.length > 0)
    .map((section) => section.join('\n'))
    .join('\n\n');
}

/** "python3 decode.py (pid 123), running, observed 1 min 02 s"; a long command gives way to what follows it. */
export function heading({ process, observedSeconds }: Overview, columns: number): string {
  const state = process.exit === null ? process.state : `${process.state} with status ${process.exit}`;
  const command = printable(process.command.join(' ')) || '?';
  const about = ` (pid ${process.pid}), ${state}, observed ${formatSeconds(observedSeconds)}`;
  return cut(`${cut(command, Math.max(16, columns - stringWidth(about)))}${about}`, columns);
}

export function residentLine({ rss, completeness }: Overview): string {
  if (rss.totalBytes === 0) {
    return `ended before its resident memory was read · ${recordedLine(completeness)}`;
  }
  const parts = [
    `resident ${formatBytes(rss.totalBytes)}`,
    `anonymous ${formatBytes(rss.anonymousBytes)}`,
    `explained ${formatPercent(rss.explainedPercent)}`,
  ];
  if (rss.swapBytes > 0) parts.push(`swapped ${formatBytes(rss.swapBytes)}`);
  return `${parts.join(' · ')} · ${recordedLine(completeness)}`;
}

/** All owners, most growth first, up to `limit`. */
export function ownerLines(overview: Overview, columns: number, limit: number): string[] {
  return linesOf(overview, [...overview.owners].sort(byGrowth), columns, limit);
}

/** Those that grow or hold something worth a line; the rest is summed up. */
function notableOwnerLines(overview: Overview, columns: number, limit: number): string[] {
  if (overview.owners.length === 0) return [];
  const notable = notableOwners(overview);
  const rest = overview.owners.filter((owner) => !notable.includes(owner));
  return linesOf(overview, [...notable, ...rest.sort(byGrowth)], columns, Math.min(limit, notable.length));
}

function linesOf(
  overview: Overview,
  owners: readonly SnapshotOwner[],
  columns: number,
  limit: number,
): string[] {
  const lines = renderColumns(ownerColumns(overview.owners), owners.slice(0, limit), columns);
  const rest = owners.slice(limit);
  if (rest.length > 0) {
    const bytes = rest.reduce((sum, owner) => sum + accessibleBytes(owner), 0);
    const noun = rest.length === 1 ? 'owner' : 'owners';
    lines.push(cut(`… and ${rest.length} more ${noun} with ${formatBytes(bytes)}`, columns));
  }
  return lines;
}

/** The columns of an owner table; SHARE is of what all of `owners` hold. */
export function ownerColumns(owners: readonly SnapshotOwner[]): Column<SnapshotOwner>[] {
  const residentBytes = owners.reduce((sum, owner) => sum + owner.residentBytes, 0);
  const reserved: Column<SnapshotOwner> = {
    title: 'RESERVED',
    align: 'right',
    expendable: 4,
    cell: (owner) => (owner.reservedBytes === 0 ? '-' : formatBytes(owner.reservedBytes)),
  };
  return [
    { title: 'OWNER', align: 'left', flexible: true, cell: (owner) => printable(owner.owner) },
    { title: 'KIND', align: 'left', expendable: 1, cell: (owner) => owner.kind },
    { title: 'GROWTH', align: 'right', cell: (owner) => formatRate(owner.growthBytesPerMinute) },
    { title: 'RESIDENT', align: 'right', cell: (owner) => formatBytes(owner.residentBytes) },
    {
      title: 'SHARE',
      align: 'right',
      expendable: 2,
      cell: (owner) => formatPercent(percentOf(owner.residentBytes, residentBytes)),
    },
    { title: 'MAPPED', align: 'right', cell: (owner) => formatBytes(accessibleBytes(owner)) },
    ...(owners.some((owner) => owner.reservedBytes > 0) ? [reserved] : []),
    {
      title: 'MAPPINGS',
      align: 'right',
      expendable: 3,
      cell: (owner) => owner.mappings.toLocaleString('en-US'),
    },
  ];
}

/** A stack under a line that says whose it is, how much is live from it, and inside which operation. */
export function siteLines(site: StackSite, columns: number, frames: number): string[] {
  const inside = site.enclosing === null ? '' : `, mapped inside ${site.enclosing}`;
  const count = site.mappings === 1 ? '1 mapping' : `${site.mappings.toLocaleString('en-US')} mappings`;
  // A thread stack's guard page is no news.
  const isNews = site.reservedBytes > accessibleBytes(site) / 20;
  const reserved = !isNews ? '' : ` and ${formatBytes(site.reservedBytes)} reserved`;
  const lines = [
    cut(`${ownerName(site)}: ${formatBytes(accessibleBytes(site))}${reserved} in ${count}${inside}`, columns),
  ];
  if (site.frames.length === 0) lines.push(cut('    no stack: mapped before the recording began', columns));
  return [...lines, ...frameLines(site.frames, columns, frames)];
}

/** A stack of allocations under a line that says whose they are and how much of them lives. */
export function heapSiteLines(site: HeapSite, columns: number, frames: number): string[] {
  const count = formatCount(site.liveAllocations, 'allocation');
  const head = `${printable(site.owner)} on the heap: ${formatLive(site)} live in ${count}`;
  return [cut(head, columns), ...frameLines(site.frames, columns, frames)];
}

function frameLines(all: readonly string[], columns: number, frames: number): string[] {
  // The leaf says how, the root says who started it: where there is no room, the middle goes.
  const leaf = all.length <= frames ? all.length : Math.max(1, frames - 3);
  const hidden = all.length - leaf - 2;
  const shown = hidden <= 0 ? all : [...all.slice(0, leaf), `… ${hidden} more frames`, ...all.slice(-2)];
  return shown.map((frame) => cut(`    ${printable(frame)}`, columns));
}

export function gapLines(overview: Overview, columns: number): string[] {
  return completenessLines(overview).map((line) => cut(`! ${printable(line)}`, columns));
}
