import type { Unit } from '../support/row.js';
import { type Spread, spread } from '../support/statistics.js';
import { type OfSides, SIDES, type Side } from './side.js';

/** What a side's cell says: its own figure, what it adds to the base side's, or how many times that it is. */
export type Relation = 'value' | 'added' | 'ratio';

export interface Cell extends Spread {
  /** The least of the rounds, by the same relation: what is left where nothing else was in the way. */
  least: number;
}

/** One line of the table: the same thing measured on each side, in turns. */
export interface Comparison {
  group: string;
  what: string;
  unit: Unit;
  relation: Relation;
  /** What the others are compared with; its own cell is a plain figure. */
  base: Side;
  cells: OfSides<Cell>;
  reach: Reach | null;
  met: boolean | null;
  /** What else one must know; for a row without cells, why. */
  note: string;
}

/** Largest median that is good enough, or the smallest. */
export interface Reach {
  side: Side;
  most?: number;
  least?: number;
}

export interface About {
  group: string;
  what: string;
  unit: Unit;
  relation: Relation;
  base?: Side;
  /** What is shown; all by default. */
  sides?: readonly Side[];
  reach?: Reach;
  note?: string;
}

/** The rounds of all sides as one row. A round of one side is compared with the base's of the same round. */
export function compare(about: About, rounds: OfSides<readonly number[]>): Comparison {
  const { group, what, unit, relation, base = 'none', sides = SIDES, reach = null, note = '' } = about;
  const cells: OfSides<Cell> = {};
  for (const side of sides) {
    const values = rounds[side];
    if (values === undefined || values.length === 0) continue;
    if (side === base || relation === 'value') cells[side] = cellOf(values, Math.min(...values));
    else if (rounds[base] !== undefined) cells[side] = related(relation, values, rounds[base]);
  }
  return { group, what, unit, relation, base, cells, reach, met: isMet(reach, cells), note };
}

/** Whether a row compares anything: of a base alone there is nothing to say. */
export function saysSomething({ relation, base, cells }: Comparison): boolean {
  return Object.keys(cells).some((side) => relation === 'value' || side !== base);
}

/** What could not be measured here, and why. */
export function skipped(group: string, what: string, reason: string): Comparison {
  const note = `skipped: ${reason}`;
  return {
    group,
    what,
    unit: 'ns',
    relation: 'value',
    base: 'none',
    cells: {},
    reach: null,
    met: null,
    note,
  };
}

function related(relation: 'added' | 'ratio', values: readonly number[], base: readonly number[]): Cell {
  const of = (value: number, bare: number) => (relation === 'added' ? value - bare : value / bare);
  const least = of(Math.min(...values), Math.min(...base));
  return cellOf(
    values.map((value, round) => of(value, base[round]!)),
    least,
  );
}

function cellOf(values: readonly number[], least: number): Cell {
  return { ...spread(values), least };
}

function isMet(reach: Reach | null, cells: OfSides<Cell>): boolean | null {
  if (reach === null) return null;
  const median = cells[reach.side]?.median;
  if (median === undefined) return null;
  return median <= (reach.most ?? Infinity) && median >= (reach.least ?? -Infinity);
}
