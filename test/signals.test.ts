// Flame graphs on signals, while the target runs on.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { processStatus } from '../src/drain/process-identity.js';
import type { ProcessEntry } from '../src/session/processes.js';
import { buildC } from './support/build.js';
import { channelFolder, Holder, offheap, preloaded, scratchFolder, startOffheap } from './support/offheap.js';

const MIB = 1 << 20;
const NAME = /^offheap-(\d+)-\d{8}T\d{6}\.\d{3}Z\.svg$/;

/** Ids of the processes whose flame graphs lie in a folder, once there are so many. */
async function graphs(folder: string, count: number): Promise<number[]> {
  await expect.poll(() => readdirSync(folder)).toHaveLength(count);
  return readdirSync(folder)
    .map((name) => Number(NAME.exec(name)?.[1]))
    .sort((a, b) => a - b);
}

/** How many processes run that somebody collects. */
async function collected(dir: string): Promise<number> {
  const { stdout } = await offheap(['ps', '--json', '--dir', dir]);
  return (JSON.parse(stdout) as ProcessEntry[]).filter(
    ({ state, collectorPid }) => state === 'running' && collectorPid !== null,
  ).length;
}

const complete = /hold_block[\s\S]*<\/svg>\s*$/;

test('SIGUSR2 to the collector: one of each process that runs, children too', async () => {
  const folder = scratchFolder();
  const dir = channelFolder();
  const script = 'sleep 600 & pid=$!; "$0"; kill $pid';
  const running = startOffheap(['run', '--quiet', '--dir', dir, '--', 'sh', '-c', script, buildC('holder')], {
    env: { OFFHEAP_FLAMEGRAPH_DIR: folder },
  });
  const holder = await Holder.of(running);
  await holder.map(MIB);
  // Which of the two children comes first is chance.
  await expect.poll(() => collected(dir)).toBe(3);
  running.kill('SIGUSR2');
  const pids = await graphs(folder, 3);
  expect(pids).toContain(holder.pid);
  const said = await running.complaint(/flame graph of process (\d+): (\S+)\n(.*\n){2}/);
  expect(said[0].match(/flame graph of process \d+: \S+\.svg/g)).toHaveLength(3);
  const own = readdirSync(folder).find((name) => name.startsWith(`offheap-${holder.pid}-`))!;
  await expect.poll(() => readFileSync(join(folder, own), 'utf8')).toMatch(complete);
  await holder.map(MIB);
  expect((await holder.leave()).status).toBe(0);
});

test('SIGUSR2 to the target with OFFHEAP_SIGNAL: one of it, each time, and it runs on', async () => {
  const folder = scratchFolder();
  const holder = await Holder.underRun(['--quiet', '--dir', channelFolder()], {
    OFFHEAP_SIGNAL: 'USR2',
    OFFHEAP_FLAMEGRAPH_DIR: folder,
  });
  await holder.map(MIB);
  for (const count of [1, 2]) {
    process.kill(holder.pid, 'SIGUSR2');
    expect(new Set(await graphs(folder, count))).toEqual(new Set([holder.pid]));
  }
  for (const name of readdirSync(folder)) {
    await expect.poll(() => readFileSync(join(folder, name), 'utf8')).toMatch(complete);
  }
  await holder.map(MIB);
  expect((await holder.leave(9)).status).toBe(9);
});

test('the same with a collector that came later', async () => {
  const folder = scratchFolder();
  const dir = channelFolder();
  const holder = await Holder.alone({ ...preloaded(dir), OFFHEAP_SIGNAL: 'USR2' });
  await holder.map(MIB);
  const env = { OFFHEAP_FLAMEGRAPH_DIR: folder };
  const top = startOffheap(['top', String(holder.pid), '--interval', '100', '--dir', dir], { env });
  await top.line(/^OWNER/);
  process.kill(holder.pid, 'SIGUSR2');
  await graphs(folder, 1);
  top.kill('SIGUSR2');
  await graphs(folder, 2);
  expect((await holder.leave()).status).toBe(0);
  expect((await top.ended).status).toBe(0);
});

test('without OFFHEAP_SIGNAL the signal means to the target what it always did', async () => {
  const holder = await Holder.alone(preloaded(channelFolder()));
  process.kill(holder.pid, 'SIGUSR2');
  expect((await holder.running.ended).signal).toBe('SIGUSR2');
  expect(processStatus(holder.pid)).toBeUndefined();
});

test('a folder that can’t be written to: said, and nothing else happens', async () => {
  const holder = await Holder.underRun(['--quiet', '--dir', channelFolder()], {
    OFFHEAP_FLAMEGRAPH_DIR: '/nonexistent',
  });
  holder.running.kill('SIGUSR2');
  await holder.running.complaint(
    /^offheap: no flame graph of process \d+: .*ENOENT.*; set OFFHEAP_FLAMEGRAPH_DIR\n/,
  );
  expect((await holder.leave(4)).status).toBe(4);
});
