/**
 * What an account costs the collector, by the number of areas that the kernel lists, and what the audit does that holds the
 * ledger against the kernel all the time. And what those cost who look on: the kernel's witness, and the look after other hookers.
 *
 *     npm run bench:account -- [--json FILE]
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { attach } from '../src/session/attach.js';
import { ProcessFacts } from '../src/session/process-facts.js';
import { SelfAudit } from '../src/session/self-audit.js';
import type { WatchedProcess } from '../src/session/watched-process.js';
import { observerRows } from './observers.js';
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

/** By default a process is looked at once a second. */
const CHECKS_PER_SECOND = 1;
const AUDIT_TARGET_PERCENT = 0.1;
const AUDIT_AREAS = 5_000;
const CHECKS_PER_ROUND = 1_000;
/** With a gap the audit walks the areas now and then: only time shows how often. */
const GAP_SECONDS = 60;

async function auditRows(): Promise<Row[]> {
  return [
    await auditRow('nothing unexplained', {}, async (check) => {
      const percents: number[] = [];
      for (let round = 0; round < WARM_UP_ROUNDS + ROUNDS; round++) {
        let cpuMs = 0;
        for (let i = 0; i < CHECKS_PER_ROUND; i++) cpuMs += check();
        percents.push(((cpuMs / CHECKS_PER_ROUND) * CHECKS_PER_SECOND) / 10);
      }
      return percents.slice(WARM_UP_ROUNDS);
    }),
    // What libc maps for itself is unseen then, and stays so.
    await auditRow(`a gap that stays, ${GAP_SECONDS} s`, { OFFHEAP_SITES: 'off' }, async (check) => {
      let cpuMs = 0;
      for (let i = 0; i < GAP_SECONDS * CHECKS_PER_SECOND; i++) {
        cpuMs += check();
        await new Promise((resolve) => setTimeout(resolve, 1000 / CHECKS_PER_SECOND));
      }
      return [cpuMs / (10 * GAP_SECONDS)];
    }),
  ];
}

/** `measure` gets a function that checks once and returns the CPU that took, in milliseconds; it returns per cents of a core. */
async function auditRow(
  what: string,
  env: Record<string, string>,
  measure: (check: () => number) => Promise<number[]>,
): Promise<Row> {
  const folder = new ChannelFolder();
  const command = [buildTarget('separate_mappings'), String(AUDIT_AREAS)];
  const target = new Conversation(command, { ...folder.preload(), ...env });
  let gaps = 0;
  try {
    await target.next();
    const session = (await attach(target.pid, { dir: folder.path, intervalMs: 3_600_000 })) as WatchedProcess;
    const audit = new SelfAudit(new ProcessFacts(target.pid, false), () => void gaps++);
    const percents = await measure(() => {
      const cpu = process.cpuUsage();
      session.poll();
      audit.check(session.recording!);
      const { user, system } = process.cpuUsage(cpu);
      return (user + system) / 1000;
    });
    await session.close();
    if (gaps > 0 !== 'OFFHEAP_SITES' in env) throw new Error(`the audit told ${gaps} gaps`);
    const about = { group: GROUP, what: `audit of ${AUDIT_AREAS.toLocaleString('en-US')} areas: ${what}` };
    const note = `of a core, checked ${CHECKS_PER_SECOND} a second`;
    return plainRow({ ...about, unit: '%', target: AUDIT_TARGET_PERCENT, note }, percents);
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
rows.push(...(await auditRows()), ...(await observerRows()));
console.log(renderTable(rows));
if (values.json !== undefined) {
  writeFileSync(
    values.json,
    `${JSON.stringify({ machine, takenAt: new Date().toISOString(), rows }, null, 2)}\n`,
  );
}
