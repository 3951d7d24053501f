import pc from 'picocolors';
import { formatBytes, formatChange, formatCount, formatPercent, formatRate } from '../report/bytes.js';
import { type Column, renderColumns } from '../report/columns.js';
import { byGrowth, heapSitesWithin } from '../report/culprit.js';
import { heapLine } from '../report/heap/line.js';
import { type Overview, ownerKey } from '../report/overview.js';
import type { SnapshotOwner } from '../report/schema.js';
import { gapLines, heading, heapSiteLines, ownerColumns, siteLines } from '../report/table.js';
import { isTold, verdictLine } from '../report/verdict.js';
import { cut, padTo } from '../report/width.js';

export type TopSort = 'growth' | 'resident' | 'bytes';

/** All that the screen shows; `top` changes it, `renderTop` draws it. */
export interface TopState {
  overview: Overview;
  /** Resident bytes of each owner at the last samples, oldest first; by `ownerKey`. */
  history: ReadonlyMap<string, readonly number[]>;
  sort: TopSort;
  /** `ownerKey` of the owner whose stacks are shown; null: the first. */
  selected: string | null;
  mark: { takenAt: string; bytes: ReadonlyMap<string, number> } | null;
  /** Between the last two looks; undefined before the second. */
  allocationsPerSecond?: number | undefined;
  /** A line about what happened last, such as the process's end. */
  notice: string | null;
}

export interface TopSize {
  rows: number;
  columns: number;
  colors: boolean;
}

const NAME = 'offheap top · ';
const HISTORY_COLUMNS = 12;
const BARS = '▁▂▃▄▅▆▇█';

/** The owners in the order of the screen. */
export function sortedOwners({ overview, sort }: Pick<TopState, 'overview' | 'sort'>): SnapshotOwner[] {
  const orders = {
    growth: byGrowth,
    resident: (a: SnapshotOwner, b: SnapshotOwner) => b.residentBytes - a.residentBytes,
    bytes: (a: SnapshotOwner, b: SnapshotOwner) => b.bytes - a.bytes,
  };
  return [...overview.owners].sort(orders[sort]);
}

/** Exactly `rows` lines, none wider than `columns`. */
export function renderTop(state: TopState, { rows, columns, colors }: TopSize): string[] {
  const color = pc.createColors(colors);
  const owners = sortedOwners(state);
  const chosen = owners.find((owner) => ownerKey(owner) === state.selected) ?? owners[0];

  const gaps = gapLines(state.overview, columns);
  const mostGaps = Math.max(1, Math.floor(rows / 6));
  const head = [
    color.bold(cut(`${NAME}${heading(state.overview, columns - NAME.length)}`, columns)),
    cut(totals(state.overview), columns),
    ...heapLines(state, columns),
    ...(isTold(state.overview.verdict) ? [verdictLine(state.overview.verdict, columns)] : []),
    ...(gaps.length <= mostGaps
      ? gaps
      : [...gaps.slice(0, mostGaps - 1), cut(`! … and ${gaps.length - mostGaps + 1} more gaps`, columns)]
    ).map((line) => color.yellow(line)),
    '',
  ];
  const foot = color.dim(padTo(state.notice ?? keys(state), columns));

  const body = Math.max(0, rows - head.length - 1);
  const stackRows = Math.min(Math.max(0, body - 4), Math.max(5, Math.floor(body * 0.6)));
  const ownerRows = Math.max(0, Math.min(owners.length, body - stackRows - 2));
  const first = firstShown(owners.indexOf(chosen ?? owners[0]!), ownerRows);
  const shown = owners.slice(first, first + ownerRows);

  const [titles = '', ...lines] = renderColumns(columnsOf(state, chosen), shown, columns);
  const table = [
    color.bold(titles),
    ...lines.map((line, index) =>
      colors && shown[index] === chosen ? color.inverse(padTo(line, columns)) : line,
    ),
  ];
  const stacks = chosen === undefined ? [] : stackPane(state.overview, chosen, columns, stackRows);
  const screen = [
    ...head,
    ...table,
    '',
    ...stacks.map((line, index) => (index === 0 ? line : color.dim(line))),
  ];
  return [...fill(screen.slice(0, rows - 1), rows - 1), foot];
}

/** Losses are gaps, and have lines of their own. */
function totals({ rss, owners, completeness }: Overview): string {
  const growth = owners.reduce((sum, owner) => sum + owner.growthBytesPerMinute, 0);
  return [
    `resident ${formatBytes(rss.totalBytes)}`,
    `growth ${formatRate(growth)}`,
    `explained ${formatPercent(rss.explainedPercent)}`,
    formatCount(completeness.mappingEvents, 'event'),
  ].join(' · ');
}

function heapLines({ overview, allocationsPerSecond }: TopState, columns: number): string[] {
  const line = heapLine(overview.heap, allocationsPerSecond);
  return line === undefined ? [] : [cut(line, columns)];
}

function keys({ sort, mark }: TopState): string {
  const since = mark === null ? '' : ` · marked ${mark.takenAt.slice(11, 19)} UTC`;
  const by = { growth: 'growth', resident: 'resident', bytes: 'mapped' }[sort];
  return `sorted by ${by}${since} · g growth  r resident  b mapped  m mark  ↑↓ owner  q quit`;
}

function columnsOf(state: TopState, chosen: SnapshotOwner | undefined): Column<SnapshotOwner>[] {
  const [owner, ...rest] = ownerColumns(state.overview.owners);
  const { mark } = state;
  const sinceMark: Column<SnapshotOwner>[] =
    mark === null
      ? []
      : [
          {
            title: 'SINCE MARK',
            align: 'right',
            cell: (each) => formatChange(each.bytes - (mark.bytes.get(ownerKey(each)) ?? 0)),
          },
        ];
  return [
    { title: '', align: 'left', cell: (each) => (each === chosen ? '›' : ' ') },
    ...(owner === undefined ? [] : [owner]),
    ...rest,
    ...sinceMark,
    {
      title: 'HISTORY',
      align: 'left',
      expendable: 0.5,
      cell: (each) => sparkline(state.history.get(ownerKey(each)) ?? [], HISTORY_COLUMNS),
    },
  ];
}

/** The last samples as bars between the least and the most of them; a flat line stays low. */
export function sparkline(samples: readonly number[], columns: number): string {
  const last = samples.slice(-columns);
  const least = Math.min(...last);
  const span = Math.max(...last) - least;
  return last
    .map((sample) => BARS[span === 0 ? 0 : Math.round(((sample - least) / span) * (BARS.length - 1))])
    .join('');
}

function stackPane(overview: Overview, owner: SnapshotOwner, columns: number, rows: number): string[] {
  const sites = overview.sites.filter((site) => ownerKey(site) === ownerKey(owner));
  // What an allocator has mapped is others': who holds it says more than how it was mapped.
  const holders = heapSitesWithin(overview, [owner]);
  const lines: string[] = [];
  const push = (linesOf: (frames: number) => string[]) => {
    const left = rows - lines.length;
    if (left >= 3) lines.push(...linesOf(Math.max(1, left - 1)).slice(0, left));
  };
  for (const site of holders) push((frames) => heapSiteLines(site, columns, frames));
  for (const site of sites) push((frames) => siteLines(site, columns, frames));
  return lines;
}

function firstShown(selected: number, rows: number): number {
  return Math.max(0, selected - Math.max(0, rows - 1));
}

function fill(lines: string[], rows: number): string[] {
  return [...lines, ...Array.from({ length: Math.max(0, rows - lines.length) }, () => '')];
}
