/**
 * What a pair costs where each comes from another stack, as their number grows: the leaves of a binary tree of calls. In
 * the order of a recursion a stack differs from the last one in two frames, as a rule; in random order in nearly all.
 */

import type { Choice } from './choice.js';
import { type Comparison, compare } from './comparison.js';
import { PairLoop, type Timed } from './pair-loop.js';
import type { OfSides, Side } from './side.js';

const GROUP = 'ns of CPU per malloc+free pair, each from another stack';
const FRAMES = 10;
const ROUNDS = 5;
const LEVELS = [14, 16, 18, 20];
const MOST_NS = 200;
const ORDERS = [
  { pattern: 'walk', order: 'by recursion' },
  { pattern: 'stacks', order: 'at random' },
] as const;
type Order = (typeof ORDERS)[number];
/** Visits of known stacks after the first of each. */
const LATER_VISITS = 2;

export async function stacks(choice: Choice): Promise<Comparison[]> {
  const rows: Comparison[] = [];
  for (const order of ORDERS) {
    for (const levels of LEVELS) rows.push(...(await atLevels(levels, order, choice)));
  }
  return rows;
}

async function atLevels(levels: number, { pattern, order }: Order, choice: Choice): Promise<Comparison[]> {
  const count = 2 ** levels;
  const first: OfSides<number[]> = {};
  const again: OfSides<number[]> = {};
  const notes = new Set<string>();
  const rounds = choice.rounds ?? ROUNDS;
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < choice.sides.length; turn++) {
      const side = choice.sides[(round + turn) % choice.sides.length]!;
      const { visits, invalid } = await visit(side, pattern, levels);
      if (invalid !== null) notes.add(invalid);
      for (const { pairs } of visits) {
        if (pairs < count)
          notes.add(`${side}: stopped at ${pairs.toLocaleString('en-US')} pairs, after 10 s`);
      }
      const [new_, ...known] = visits.map(({ ns }) => ns);
      if (invalid !== null) continue;
      push(first, side, new_!);
      if (known.length > 0) push(again, side, known.reduce((sum, ns) => sum + ns, 0) / known.length);
    }
  }
  const note = [...notes].join('; ');
  const row = (what: string, figures: OfSides<number[]>) =>
    compare(
      {
        group: GROUP,
        what: `${count.toLocaleString('en-US')} stacks, ${order}, ${what}`,
        unit: 'ns',
        relation: 'value',
        reach: { side: 'exact', most: MOST_NS },
        note,
      },
      figures,
    );
  return [row('first visit', first), row('again', again)];
}

/** A process of its own: stacks are new only once. */
async function visit(
  side: Side,
  pattern: Order['pattern'],
  levels: number,
): Promise<{ visits: Timed[]; invalid: string | null }> {
  const loop = new PairLoop(side, FRAMES);
  const visits: Timed[] = [];
  let invalid: string | null = null;
  try {
    await loop.measure('pair', 1000);
    for (let visit = 0; visit <= LATER_VISITS; visit++) {
      const timed = await loop.measure(pattern, 2 ** levels, levels);
      visits.push(timed);
      // Not all were seen: none comes again.
      if (timed.pairs < 2 ** levels) break;
    }
  } finally {
    invalid = await loop.end();
  }
  return { visits, invalid };
}

function push(figures: OfSides<number[]>, side: Side, ns: number): void {
  figures[side] = [...(figures[side] ?? []), ns];
}
