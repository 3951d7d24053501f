/**
 * What names and lines cost, beside llvm-symbolizer and addr2line, and whether they are the same.
 *
 *     npm run bench:symbolize -- [--only lines,tables,equality] [--json FILE]
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { describeMachine } from './support/machine.js';
import type { Row } from './support/row.js';
import { renderTable } from './support/table.js';
import { equalityRows } from './symbolize/equality.js';
import { lineRows } from './symbolize/lines.js';
import { pythonRows } from './symbolize/python.js';
import { tableRows } from './symbolize/tables.js';

const differences: string[] = [];

const SECTIONS: Record<string, () => Promise<Row[]>> = {
  lines: lineRows,
  tables: tableRows,
  python: pythonRows,
  equality: () =>
    equalityRows(({ binary, address, kind, ours, theirs }) => {
      const said = [ours, theirs].map((chain) =>
        chain.map(({ rawFunction, file, line }) => `${rawFunction} ${file}:${line}`).join(' < '),
      );
      differences.push(
        `${binary}, 0x${address.toString(16)}: ${kind}\n  ours    ${said[0]}\n  theirs  ${said[1]}`,
      );
    }),
};

const { values } = parseArgs({ options: { only: { type: 'string' }, json: { type: 'string' } } });
const chosen = values.only?.split(',') ?? Object.keys(SECTIONS);
const machine = describeMachine();
console.log(machine);
const rows: Row[] = [];
for (const name of chosen) {
  const section = SECTIONS[name];
  if (section === undefined)
    throw new Error(`no section ${name}; there are ${Object.keys(SECTIONS).join(', ')}`);
  rows.push(...(await section()));
}
console.log(renderTable(rows));
if (differences.length > 0) console.log(`\nSome of the differences:\n${differences.join('\n')}`);
if (values.json !== undefined) {
  writeFileSync(
    values.json,
    `${JSON.stringify({ machine, takenAt: new Date().toISOString(), rows, differences }, null, 2)}\n`,
  );
}
