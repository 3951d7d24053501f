/** What one malloc and one free cost, in CPU of the target, by the pattern in which they come. */
import { interleave } from '../support/statistics.js';
import type { Choice } from './choice.js';
import { type About, type Comparison, compare, saysSomething } from './comparison.js';
import { PairLoop } from './pair-loop.js';
import type { OfSides, Side } from './side.js';

const GROUP = 'ns of CPU per malloc+free pair of 48 bytes';
const ROUNDS = 25;
const PAIRS = 50_000;
const DEPTHS = [
  { frames: 10, most: 25 },
  { frames: 30, most: 30 },
  { frames: 60, most: 40 },
];
/** Two threads hardly see more than libc's own frames and their start routine's caller. */
const CROSSED_FRAMES = 10;
const CROSSED_ROUNDS = 9;
const CROSSED_PAIRS = 200_000;

/** Added at each depth: freed at once, and freed so late that no window of the recorder's holds it any more. */
export async function pairs(choice: Choice): Promise<Comparison[]> {
  const rows: Comparison[] = [];
  for (const { frames, most } of DEPTHS) {
    const row = (what: string, over: Partial<About> = {}): About => ({
      group: GROUP,
      what: `depth ${frames}, ${what}`,
      unit: 'ns',
      relation: 'added',
      ...over,
    });
    rows.push(
      ...(await patterns(choice, frames, ROUNDS, PAIRS, {
        pair: [row('same stack', { reach: { side: 'exact', most } }), sampledRow(`depth ${frames}`)],
        kept: [row('freed after 1,000 more')],
        ...(frames === 30 ? { descended: [row('stack built anew for each')] } : {}),
      })),
    );
  }
  return rows;
}

/** Two threads, each of which frees what the other allocates. */
export function crossed(choice: Choice): Promise<Comparison[]> {
  return patterns(choice, CROSSED_FRAMES, CROSSED_ROUNDS, CROSSED_PAIRS, {
    crossed: [
      {
        group: GROUP,
        what: "two threads free each other's",
        unit: 'ns',
        relation: 'value',
        reach: { side: 'exact', most: 60 },
        note: 'CPU of both threads, their queue included',
      },
    ],
  });
}

function sampledRow(what: string): About {
  return {
    group: GROUP,
    what: `${what}, sampled over nothing recorded`,
    unit: 'ns',
    relation: 'ratio',
    base: 'off',
    sides: ['off', 'sampled'],
    reach: { side: 'sampled', most: 1.03 },
  };
}

async function patterns(
  choice: Choice,
  frames: number,
  rounds: number,
  count: number,
  rows: Readonly<Record<string, About[]>>,
): Promise<Comparison[]> {
  const loops = choice.sides.map((side) => new PairLoop(side, frames));
  const times: Record<string, OfSides<number[]>> = {};
  const invalid: string[] = [];
  try {
    for (const pattern of Object.keys(rows)) {
      const turn = (loop: PairLoop) => async () =>
        (await loop.measure(pattern, count, pattern === 'descended' ? frames : 0)).ns;
      // The first block takes the memory that later ones find warm.
      for (const loop of loops) await turn(loop)();
      const arms = Object.fromEntries(loops.map((loop) => [loop.side, turn(loop)]));
      times[pattern] = await interleave(choice.rounds ?? rounds, arms as Record<Side, () => Promise<number>>);
    }
  } finally {
    for (const loop of loops) {
      const reason = await loop.end();
      if (reason === null) continue;
      invalid.push(reason);
      for (const pattern of Object.values(times)) delete pattern[loop.side];
    }
  }
  const noted = (about: About): About => ({
    ...about,
    note: [about.note, ...invalid].filter(Boolean).join('; '),
  });
  return Object.entries(rows)
    .flatMap(([pattern, abouts]) => abouts.map((about) => compare(noted(about), times[pattern]!)))
    .filter(saysSomething);
}
