import { formatBytes, formatCount, formatPercent, percentOf } from '../bytes.js';
import { escapeMarkup } from '../flamegraph/markup.js';
import type { HeapPin } from '../schema.js';
import {
  type ArenaPages,
  CELL_KINDS,
  CELL_NAMES,
  type CellRun,
  cellRuns,
  PAGE_BYTES,
  pageSums,
} from './cells.js';

export const PAGEMAP_FORMATS = ['svg', 'html'] as const;
export type PagemapFormat = (typeof PAGEMAP_FORMATS)[number];

export interface PageMapReport {
  title: string;
  arenas: readonly ArenaPages[];
  /** Null where not every allocation is recorded. */
  pins: readonly HeapPin[] | null;
}

const WIDTH = 1200;
const MARGIN = 12;
const CELLS_PER_ROW = 168;
const CELL = (WIDTH - 2 * MARGIN) / CELLS_PER_ROW;
const MOST_CELLS = 30_000;
const LINE = 18;
const PINS_SHOWN = 5;
const FRAMES_SHOWN = 3;

/** The pages of a process's heaps as a picture: live, resident though nothing lives there, returned. */
export function renderPagemap(report: PageMapReport, format: PagemapFormat): string {
  const picture = svgOf(report);
  return format === 'svg' ? `<?xml version="1.0" encoding="UTF-8"?>\n${picture}` : pageOf(report, picture);
}

function svgOf({ title, arenas, pins }: PageMapReport): string {
  const pages = arenas.reduce((sum, { held }) => sum + held.length, 0);
  const pagesPerCell = Math.max(1, Math.ceil(pages / MOST_CELLS));
  const parts: string[] = [];
  let y = 26;
  const text = (line: string, kind: string, x = MARGIN) =>
    parts.push(`<text class="${kind}" x="${x}" y="${y}">${escapeMarkup(line)}</text>`);
  text(title, 'title');
  for (const line of [summary(arenas), cellLine(pagesPerCell), ...pinLines(pins)]) {
    y += LINE;
    text(line, 'note');
  }
  const drawn = arenas.map((arena) => ({ arena, runs: cellRuns(arena, pagesPerCell) }));
  const shown = CELL_KINDS.filter((kind) => drawn.some(({ runs }) => runs.some((run) => run.kind === kind)));
  y += LINE + 6;
  let x = MARGIN;
  for (const kind of shown) {
    parts.push(`<rect class="${kind}" x="${x}" y="${y - 11}" width="13" height="13"/>`);
    text(CELL_NAMES[kind], 'note', x + 19);
    x += 42 + CELL_NAMES[kind].length * 6.6;
  }
  for (const { arena, runs } of drawn) {
    y += LINE + 10;
    text(arenaLine(arena), 'name');
    y += 6;
    for (const run of runs) parts.push(...runRects(arena, run, pagesPerCell, y));
    y += Math.ceil(arena.held.length / pagesPerCell / CELLS_PER_ROW) * CELL;
  }
  const height = Math.ceil(y + MARGIN);
  return `<svg class="pagemap" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="Page map">
<style>${STYLE}</style>
<rect class="paper" width="100%" height="100%"/>
${parts.join('\n')}
</svg>
`;
}

function summary(arenas: readonly ArenaPages[]): string {
  const { heldBytes, deadBytes, liveBytes } = pageSums(arenas);
  const share = formatPercent(percentOf(deadBytes, heldBytes));
  const live = liveBytes === null ? '' : `${formatBytes(liveBytes)} live · `;
  return `${formatBytes(heldBytes)} resident · ${live}${formatBytes(deadBytes)} (${share}) on pages where nothing lives`;
}

function cellLine(pagesPerCell: number): string {
  return `a cell is ${formatCount(pagesPerCell, 'page')} of 4 KiB, addresses rise from left to right and down`;
}

function pinLines(pins: PageMapReport['pins']): string[] {
  if (pins === null)
    return ['offheap run --heap exact would show how much lives on each page, and who pins it'];
  return pins.slice(0, PINS_SHOWN).map(({ owner, frames, freeBytes, pages }) => {
    const who = frames.length === 0 ? owner : frames.slice(0, FRAMES_SHOWN).join(' ← ');
    return `${formatBytes(freeBytes)} free is pinned in ${formatCount(pages, 'page')} by ${who}`;
  });
}

function arenaLine({ name, start, held }: ArenaPages): string {
  const heldPages = held.reduce((sum, each) => sum + each, 0);
  return `${name} ${start.toString(16)}-${(start + held.length * PAGE_BYTES).toString(16)}: ${formatBytes(heldPages * PAGE_BYTES)} resident of ${formatBytes(held.length * PAGE_BYTES)}`;
}

/** A run as rectangles, one for each row that it reaches into. */
function* runRects(arena: ArenaPages, run: CellRun, pagesPerCell: number, top: number): Iterable<string> {
  const address = (arena.start + run.first * pagesPerCell * PAGE_BYTES).toString(16);
  const live = arena.liveBytes === null ? '' : `, ${formatBytes(run.liveBytes)} live`;
  const tip = `${address}: ${formatCount(run.cells * pagesPerCell, 'page')}, ${formatBytes(run.heldPages * PAGE_BYTES)} resident${live}`;
  for (let cell = run.first; cell < run.first + run.cells; ) {
    const row = Math.floor(cell / CELLS_PER_ROW);
    const end = Math.min(run.first + run.cells, (row + 1) * CELLS_PER_ROW);
    const x = MARGIN + (cell - row * CELLS_PER_ROW) * CELL;
    yield `<rect class="${run.kind}" x="${x}" y="${top + row * CELL}" width="${(end - cell) * CELL}" height="${CELL}"><title>${tip}</title></rect>`;
    cell = end;
  }
}

function pageOf({ title }: PageMapReport, picture: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escapeMarkup(title)} · offheap</title>
<style>body{margin:0}.pagemap{display:block;width:100%;height:auto;max-width:1600px;margin:0 auto}</style>
</head>
<body>
${picture}</body>
</html>
`;
}

/** From orange, nearly nothing lives there, to blue, all does; told apart without colours by their lightness. */
const STYLE = `
.paper{fill:#fff}.title{font:600 17px sans-serif;fill:#1b1f24}.note,.name{font:13px sans-serif;fill:#57606a}.name{fill:#1b1f24}
.returned{fill:#eceff2}.dead{fill:#d9480f}.few{fill:#f08c00}.some{fill:#ffc94d}.half{fill:#b2d8f5}.most{fill:#5aa7e0}.live{fill:#1864ab}.used,.resident{fill:#5aa7e0}rect{shape-rendering:crispEdges}
@media (prefers-color-scheme:dark){.paper{fill:#0f1318}.title,.name{fill:#e6edf3}.note{fill:#9aa5b1}.returned{fill:#20262d}}
`.replaceAll('\n', '');
