/** What it costs to be observed by the kernel's witness, and to look after other hookers. */
import { existsSync } from 'node:fs';
import { attach } from '../src/session/attach.js';
import { HookCanary } from '../src/session/hook-canary.js';
import type { WatchedProcess } from '../src/session/watched-process.js';
import { openNativeWitness } from '../src/wire/addon.js';
import { LIBUCP } from '../test/support/paths.js';
import { buildTarget, buildTestTarget } from './support/builds.js';
import { ChannelFolder } from './support/channels.js';
import { Conversation } from './support/conversation.js';
import { pairedRow, plainRow, type Row, skippedRow } from './support/row.js';

const GROUP = 'observers';
const ROUNDS = 40;
const FRAMES = '10';
/** Short enough that the kernel's rings hold what comes: with more a record costs less, since it is dropped. */
const PAIRS = 2000;

export async function observerRows(): Promise<Row[]> {
  return [await witnessRow(), await canaryRow()];
}

async function witnessRow(): Promise<Row> {
  const folder = new ChannelFolder();
  const target = new Conversation([buildTarget('mapping_cost'), FRAMES], folder.preload());
  try {
    const ask = async () => Number((await target.ask(`pair ${PAIRS}`)).split(' ')[0]);
    await ask();
    const session = await attach(target.pid, { dir: folder.path });
    const [without, withWitness]: [number[], number[]] = [[], []];
    for (let round = 0; round < ROUNDS; round++) {
      without.push(await ask());
      const witness = openNativeWitness(target.pid, true);
      withWitness.push(await ask());
      const { areas, lost } = witness.read();
      witness.close();
      if (lost > 0 || areas.length === 0) throw new Error(`the kernel told ${areas.length}, lost ${lost}`);
    }
    await session.close();
    const note = 'asked beside not asked, in turns; both recorded';
    return pairedRow(
      { group: GROUP, what: 'witness: an mmap and its munmap', unit: 'ns', note },
      without,
      withWitness,
    );
  } finally {
    await target.end();
    folder.remove();
  }
}

/** As often as a session does it. */
const SECONDS_BETWEEN_LOOKS = 5;

async function canaryRow(): Promise<Row> {
  const what = 'hookers: a look after UCX\u2019s, in per cents of a core';
  if (!existsSync(LIBUCP))
    return skippedRow(GROUP, what, 'no UCX; examples/ucx-rcache/fetch_ucx.py brings one');
  const folder = new ChannelFolder();
  const target = new Conversation([buildTestTarget('ucx_leak'), LIBUCP, '100000', 'hold'], {
    ...folder.preload(),
    UCX_LOG_LEVEL: 'error',
  });
  try {
    await target.next();
    const session = (await attach(target.pid, { dir: folder.path, intervalMs: 3_600_000 })) as WatchedProcess;
    const canary = new HookCanary();
    canary.check(session.recording!);
    const percents: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      session.poll();
      const cpu = process.cpuUsage();
      canary.check(session.recording!);
      const { user, system } = process.cpuUsage(cpu);
      percents.push((user + system) / (10_000 * SECONDS_BETWEEN_LOOKS));
      if (round === 0) void target.ask('');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const { hookers } = canary;
    await session.close();
    if (hookers.every(({ heard }) => heard === 0)) throw new Error('no hooker was seen to hear a call');
    const note = `${hookers.length} hooks, every ${SECONDS_BETWEEN_LOOKS} s`;
    return plainRow({ group: GROUP, what, unit: '%', target: 0.1, note }, percents);
  } finally {
    await target.end();
    folder.remove();
  }
}
