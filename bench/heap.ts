/**
 * What recording malloc and free costs, each figure beside the same without a tool, with our shim recording nothing,
 * and under Debian's heaptrack, in the same run.
 *
 *     npm run bench:heap -- [--json FILE] [--only NAME,…] [--sides SIDE,…] [--rounds N] [--program NAME]
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Choice } from './heap/choice.js';
import { collector } from './heap/collector.js';
import { type Comparison, skipped } from './heap/comparison.js';
import { renderComparisons } from './heap/comparison-table.js';
import { instructions } from './heap/instructions.js';
import { crossed, pairs } from './heap/pairs.js';
import { programs } from './heap/program-cost.js';
import { lacksSide, SIDES, type Side } from './heap/side.js';
import { stacks } from './heap/stacks.js';
import { describeMachine } from './support/machine.js';

const SECTIONS: Readonly<Record<string, (choice: Choice) => Comparison[] | Promise<Comparison[]>>> = {
  instructions,
  pairs,
  crossed,
  stacks,
  programs,
  collector,
};

const { values } = parseArgs({
  options: {
    json: { type: 'string' },
    only: { type: 'string' },
    sides: { type: 'string' },
    rounds: { type: 'string' },
    program: { type: 'string' },
  },
});
const wanted = namesIn(values.only, Object.keys(SECTIONS), 'section');
const sides = namesIn(values.sides, SIDES, 'side') as Side[];

const machine = describeMachine();
console.log(machine);
for (const side of sides) {
  const reason = lacksSide(side);
  if (reason !== null) console.log(`${side} is left out: ${reason}`);
}
const choice: Choice = {
  sides: sides.filter((side) => lacksSide(side) === null),
  ...(values.rounds === undefined ? {} : { rounds: Number(values.rounds) }),
  ...(values.program === undefined ? {} : { program: values.program }),
};

const rows: Comparison[] = [];
for (const name of wanted) {
  const started = performance.now();
  try {
    rows.push(...(await SECTIONS[name]!(choice)));
  } catch (error) {
    rows.push(skipped(name, 'the whole section', error instanceof Error ? error.message : String(error)));
    process.exitCode = 1;
  }
  console.error(`bench: ${name}: ${((performance.now() - started) / 1000).toFixed(0)} s`);
}
console.log(renderComparisons(rows));
if (values.json !== undefined) {
  writeFileSync(
    values.json,
    `${JSON.stringify({ machine, takenAt: new Date().toISOString(), rows }, null, 2)}\n`,
  );
}

/** The names in a list with commas, all of them where there is no list; ends the command at an unknown one. */
function namesIn(list: string | undefined, known: readonly string[], of: string): string[] {
  const names = list?.split(',') ?? [...known];
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length === 0) return known.filter((name) => names.includes(name));
  console.error(`bench: no ${of} ${unknown.join(', ')}; there are ${known.join(', ')}`);
  process.exit(2);
}
