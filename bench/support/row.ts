import { added, median, type Spread, spread } from './statistics.js';

export type Unit = 'ns' | 'ms' | 's' | '%' | 'B' | 'MB' | 'M/s' | 'instr' | '×';

/** One line of the table. */
export interface Row {
  group: string;
  what: string;
  unit: Unit;
  /** Median without the tool; null where there is no such thing. */
  bare: number | null;
  /** Median with it. */
  tool: number | null;
  /** What the tool adds, by paired rounds; for a row without a bare side, the figure itself. */
  figure: Spread | null;
  /** Largest figure that is good enough; the smallest for rates. */
  target: number | null;
  met: boolean | null;
  /** What else one must know; for a skipped row, why. */
  note: string;
}

export interface Described {
  group: string;
  what: string;
  unit: Unit;
  target?: number;
  note?: string;
}

/** A row of paired rounds: what the tool adds to the bare side. */
export function pairedRow(about: Described, bare: readonly number[], tool: readonly number[]): Row {
  return {
    ...described(about),
    bare: median(bare),
    tool: median(tool),
    ...judged(added(bare, tool), about.target),
  };
}

/** A row of paired rounds: how many times the bare side the tool's is. */
export function ratioRow(about: Described, bare: readonly number[], tool: readonly number[]): Row {
  const ratios = tool.map((value, round) => value / bare[round]!);
  return {
    ...described(about),
    bare: median(bare),
    tool: median(tool),
    ...judged(spread(ratios), about.target),
  };
}

/** A row whose figure stands alone. */
export function plainRow(about: Described, values: readonly number[]): Row {
  return { ...described(about), bare: null, tool: null, ...judged(spread(values), about.target) };
}

/** What could not be measured here, and why. */
export function skippedRow(group: string, what: string, reason: string): Row {
  return { ...described({ group, what, unit: 'ns', note: `skipped: ${reason}` }), ...EMPTY };
}

const EMPTY = { bare: null, tool: null, figure: null, target: null, met: null };

function described({ group, what, unit, note = '' }: Described) {
  return { group, what, unit, note };
}

function judged(figure: Spread, target: number | undefined) {
  if (target === undefined) return { figure, target: null, met: null };
  return { figure, target, met: figure.median <= target };
}

/** Turns a row's target into a floor: for rates, more is better. */
export function atLeast(row: Row, target: number): Row {
  return { ...row, target, met: row.figure !== null && row.figure.median >= target };
}
