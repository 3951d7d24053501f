/**
 * What an account costs the collector, by the number of areas that the kernel lists.
 *
 *     npm run bench:account -- [--json FILE]
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { attach } from '../src/session/attach.js';
import { buildTarget } from './support/builds.js';
import { ChannelFolder } from './support/channels.js';
import { Conversation } from './support/conversation.js';
import { describeMachine } from './support/machine.js';
import { plainRow, type Row } from './support/row.js';
import { renderTable } from './support/table.js';

const GROUP = 'account';
const ROUNDS = 15;
/** The first ones compile what the others run. */
const WARM_UP_ROUNDS = 5;
/** Libraries, stacks and the program's own. */
const SPARE_AREAS = 500;
const TARGETS_MS = new Map([
  [5_000, 10],
  [100_000, 200],
]);

async function rowsOf(wanted: number, targetMs: number): Promise<Row[]> {
  const most = Number(readFileSync('/proc/sys/vm/max_map_count', 'utf8')) - SPARE_AREAS;
  const areas = Math.min(wanted, most);
  const folder = new ChannelFolder();
  const target = new Conversation([buildTarget('separate_mappings'), String(areas)], folder.preload());
  try {
    await target.next();
    const session = await attach(target.pid, { dir: folder.path });
    const cpuMs: number[] = [];
    const wallMs: number[] = [];
    let listed = 0;
    for (let round = 0; round < WARM_UP_ROUNDS + ROUNDS; round++) {
      const cpu = process.cpuUsage();
      const started = performance.now();
      const { tree, differenceBytes } = session.account();
      wallMs.push(performance.now() - started);
      const { user, system } = process.cpuUsage(cpu);
      cpuMs.push((user + system) / 1000);
      if (tree === null || differenceBytes !== 0)
        throw new Error(`the account differs by ${differenceBytes}`);
      listed = tree.ranges;
    }
    await session.close();
    const note =
      areas === wanted
        ? `${listed} pieces`
        : `${listed} pieces; vm.max_map_count allows no more, the target is scaled`;
    const scaledMs = (targetMs * areas) / wanted;
    const what = `${areas.toLocaleString('en-US')} areas`;
    return [
      plainRow(
        { group: GROUP, what: `${what}: CPU`, unit: 'ms', target: scaledMs, note },
        cpuMs.slice(WARM_UP_ROUNDS),
      ),
      plainRow(
        { group: GROUP, what: `${what}: from start to end`, unit: 'ms' },
        wallMs.slice(WARM_UP_ROUNDS),
      ),
    ];
  } finally {
    await target.end();
    folder.remove();
  }
}

const { values } = parseArgs({ options: { json: { type: 'string' } } });
const machine = describeMachine();
console.log(machine);
const rows: Row[] = [];
for (const [areas, targetMs] of TARGETS_MS) rows.push(...(await rowsOf(areas, targetMs)));
console.log(renderTable(rows));
if (values.json !== undefined) {
  writeFileSync(
    values.json,
    `${JSON.stringify({ machine, takenAt: new Date().toISOString(), rows }, null, 2)}\n`,
  );
}
