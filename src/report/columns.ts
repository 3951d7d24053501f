import { padTo, stringWidth } from './width.js';

export interface Column<Row> {
  title: string;
  align: 'left' | 'right';
  cell(row: Row): string;
  /** Gives way first where the terminal is narrow. */
  flexible?: boolean;
  /** Dropped where the terminal is narrow, highest first; 0 or none: always shown. */
  expendable?: number;
}

const GAP = '  ';
const FLEXIBLE_MINIMUM = 12;

/** Title and rows, every line at most `available` columns wide and without trailing spaces. */
export function renderColumns<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  available: number,
): string[] {
  const texts = new Map(
    columns.map((column) => [column, [column.title, ...rows.map((row) => column.cell(row))]]),
  );
  const natural = (column: Column<Row>) =>
    Math.max(...(texts.get(column) ?? []).map((text) => stringWidth(text)));
  const shown = [...columns];
  const excess = () => {
    const least = shown.map((column) =>
      column.flexible ? Math.min(FLEXIBLE_MINIMUM, natural(column)) : natural(column),
    );
    return least.reduce((sum, width) => sum + width, 0) + GAP.length * (shown.length - 1) - available;
  };
  while (excess() > 0) {
    const victim = shown
      .filter((column) => (column.expendable ?? 0) > 0)
      .sort((a, b) => (b.expendable ?? 0) - (a.expendable ?? 0))[0];
    if (victim === undefined) break;
    shown.splice(shown.indexOf(victim), 1);
  }

  const widths = shown.map(natural);
  let missing = widths.reduce((sum, width) => sum + width, 0) + GAP.length * (shown.length - 1) - available;
  shown.forEach((column, index) => {
    const width = widths[index] ?? 0;
    if (!column.flexible || missing <= 0) return;
    const less = Math.min(missing, Math.max(0, width - FLEXIBLE_MINIMUM));
    widths[index] = width - less;
    missing -= less;
  });
  return Array.from({ length: rows.length + 1 }, (_, line) =>
    padTo(
      shown
        .map((column, index) => padTo(texts.get(column)?.[line] ?? '', widths[index] ?? 0, column.align))
        .join(GAP),
      available,
    ).trimEnd(),
  );
}
