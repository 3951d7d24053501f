import { formatFigure, formatNumber } from '../support/table.js';
import type { Cell, Comparison } from './comparison.js';
import { SIDES, type Side } from './side.js';

const HEADINGS: Record<Side, string> = {
  none: 'no tool',
  off: 'nothing recorded',
  sampled: 'sampled',
  exact: 'exact',
  heaptrack: 'heaptrack',
};

/** Rows as aligned text: medians in one line, the middle half and the least of the rounds in lines below it. */
export function renderComparisons(rows: readonly Comparison[]): string {
  const lines = rows.map((row) => ({ row, cells: linesOf(row) }));
  const headings = ['', ...SIDES.map((side) => HEADINGS[side]), 'to reach', ''];
  const all = [headings, ...lines.flatMap(({ cells }) => cells)];
  const widths = headings.map((_, column) => Math.max(...all.map((line) => line[column]!.length)));
  const aligned = (line: readonly string[]) =>
    line
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join('  ');
  const text = [aligned(headings).trimEnd()];
  for (const [index, { row, cells }] of lines.entries()) {
    if (row.group !== rows[index - 1]?.group) text.push('', row.group);
    const [first, ...others] = cells;
    text.push(`${aligned(first!)}  ${row.note}`.trimEnd(), ...others.map((line) => aligned(line).trimEnd()));
  }
  return text.join('\n');
}

function linesOf(row: Comparison): string[][] {
  const { what, unit, cells, reach, met } = row;
  const limit = reach?.most ?? reach?.least;
  const sign = reach?.most === undefined ? '≥' : '≤';
  const verdict = [
    limit === undefined ? '' : `${sign} ${formatFigure(limit, row.relation === 'ratio' ? '×' : unit)}`,
    met === null ? '' : met ? 'met' : 'MISSED',
  ];
  const lines = [[`  ${what}`, ...SIDES.map((side) => medianOf(row, side)), ...verdict]];
  if (Object.values(cells).every(({ rounds }) => rounds === 1)) return lines;
  const below = (title: string, of: (cell: Cell) => string) =>
    lines.push([
      `    ${title}`,
      ...SIDES.map((side) => (cells[side] === undefined ? '' : of(cells[side]))),
      '',
      '',
    ]);
  const rounds = Math.max(...Object.values(cells).map((cell) => cell.rounds));
  below(`middle half of ${rounds}`, ({ low, high }) => `${formatNumber(low)} … ${formatNumber(high)}`);
  if (unit === 'ns') below('of the least', ({ least }) => formatNumber(least));
  return lines;
}

function medianOf({ cells, unit, relation, base }: Comparison, side: Side): string {
  const cell = cells[side];
  if (cell === undefined) return '';
  // A ratio stands beside the time that it is of.
  if (relation === 'ratio') return formatFigure(cell.median, side === base ? unit : '×');
  return formatFigure(cell.median, unit, relation === 'added' && side !== base);
}
