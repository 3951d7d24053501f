/**
 * What offheap costs, each figure beside the same thing without a tool, in the same run.
 *
 *     npm run bench:mappings -- [--json FILE] [--only NAME,…]
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { collector } from './collector.js';
import { instructions } from './instructions.js';
import { peers } from './peers.js';
import { programs } from './programs.js';
import { startUp } from './start-up.js';
import { describeMachine } from './support/machine.js';
import { type Row, skippedRow } from './support/row.js';
import { renderTable } from './support/table.js';
import { systemCalls } from './system-calls.js';
import { throughput } from './throughput.js';

const SECTIONS: Readonly<Record<string, () => Row[] | Promise<Row[]>>> = {
  calls: systemCalls,
  instructions,
  start: startUp,
  throughput,
  collector,
  programs,
  peers,
};

const { values } = parseArgs({ options: { json: { type: 'string' }, only: { type: 'string' } } });
const wanted = values.only?.split(',') ?? Object.keys(SECTIONS);
const unknown = wanted.filter((name) => SECTIONS[name] === undefined);
if (unknown.length > 0) {
  console.error(`bench: no section ${unknown.join(', ')}; there are ${Object.keys(SECTIONS).join(', ')}`);
  process.exit(2);
}

const machine = describeMachine();
console.log(machine);
const rows: Row[] = [];
for (const name of wanted) {
  const started = performance.now();
  try {
    rows.push(...(await SECTIONS[name]!()));
  } catch (error) {
    rows.push(skippedRow(name, 'the whole section', error instanceof Error ? error.message : String(error)));
    process.exitCode = 1;
  }
  console.error(`bench: ${name}: ${((performance.now() - started) / 1000).toFixed(0)} s`);
}
console.log(renderTable(rows));
if (values.json !== undefined) {
  writeFileSync(
    values.json,
    `${JSON.stringify({ machine, takenAt: new Date().toISOString(), rows }, null, 2)}\n`,
  );
}
