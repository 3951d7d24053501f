import type { Row, Unit } from './row.js';

const COLUMNS = ['', 'no tool', 'with it', 'added', 'middle half', 'rounds', 'target', ''];

/** The rows as aligned text, a heading for each group, notes behind. */
export function renderTable(rows: readonly Row[]): string {
  const cells = rows.map(cellsOf);
  const widths = COLUMNS.map((heading, column) =>
    Math.max(heading.length, ...cells.map((row) => row[column]!.length)),
  );
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join('  ');
  const lines = [line(COLUMNS).trimEnd()];
  for (const [index, row] of rows.entries()) {
    if (row.group !== rows[index - 1]?.group) lines.push('', row.group);
    lines.push(`${line(cells[index]!)}  ${row.note}`.trimEnd());
  }
  return lines.join('\n');
}

function cellsOf({ what, unit, bare, tool, figure, target, met }: Row): string[] {
  // A ratio stands beside the two times that it is of.
  const side = (value: number | null) =>
    value === null ? '' : formatFigure(value, unit === '×' ? 'ms' : unit);
  const signed = bare !== null && unit !== '×';
  return [
    `  ${what}`,
    side(bare),
    side(tool),
    figure === null ? '–' : formatFigure(figure.median, unit, signed),
    figure === null || figure.rounds === 1
      ? ''
      : `${formatNumber(figure.low)} … ${formatNumber(figure.high)}`,
    figure === null ? '' : String(figure.rounds),
    target === null ? '' : `${unit === 'M/s' ? '≥' : '≤'} ${formatFigure(target, unit)}`,
    met === null ? '' : met ? 'met' : 'MISSED',
  ];
}

export function formatFigure(value: number, unit: Unit, signed = false): string {
  const sign = signed && value > 0 ? '+' : '';
  return unit === '×' ? `× ${value.toFixed(3)}` : `${sign}${formatNumber(value)} ${unit}`;
}

export function formatNumber(value: number): string {
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString('en-US');
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
}
