// A target in a pid namespace of its own, as in a container, and the collector outside.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, type TestContext, test } from 'vitest';
import type { Snapshot } from '../src/report/schema.js';
import type { ProcessEntry } from '../src/session/index.js';
import { buildC } from './support/build.js';
import { channelFolder, Holder, offheap, preloaded, snapshotOf, startOffheap } from './support/offheap.js';
import { ROOT } from './support/paths.js';
import { finish, Running } from './support/running.js';

const MAPPED_BYTES = 5 << 20;

function needsNamespaces(context: TestContext): void {
  if (spawnSync('unshare', ['-p', '-f', '--mount-proc', 'true']).status === 0) return;
  if (process.env.OFFHEAP_CI_NO_SKIPS === '1') throw new Error('would be skipped: needs pid namespaces');
  context.skip('needs permission to make a pid namespace');
}

/** The holder, which knows itself as process 1. */
async function nestedHolder(dir: string): Promise<Holder> {
  const shim = Object.entries(preloaded(dir)).map(([name, value]) => `${name}=${value}`);
  const holder = await Holder.of(
    new Running('unshare', ['-p', '-f', '--mount-proc', 'env', ...shim, buildC('holder')]),
  );
  expect(holder.pid).toBe(1);
  await holder.map(MAPPED_BYTES);
  return holder;
}

async function listed(dir: string): Promise<ProcessEntry[]> {
  return JSON.parse((await offheap(['ps', '--json', '--dir', dir])).stdout);
}

test('is listed by the number that we know, and watched by it, living and dead', async (context) => {
  needsNamespaces(context);
  const dir = channelFolder();
  const holder = await nestedHolder(dir);
  const [entry, ...others] = await listed(dir);
  expect([others, entry?.state]).toEqual([[], 'running']);
  const { pid, parentPid } = entry!;
  expect([pid > 1, parentPid]).toEqual([true, holder.running.pid]);

  const snapshot = await snapshotOf(pid, dir);
  expect(snapshot.process).toMatchObject({ pid, parentPid: holder.running.pid, state: 'running' });
  expect(snapshot.completeness).toMatchObject({ mappingEventsLost: 0, unexplainedBytes: 0, degraded: [] });
  expect(snapshot.owners.find(({ owner }) => owner === 'holder')?.residentBytes).toBeGreaterThanOrEqual(
    MAPPED_BYTES,
  );
  const account = JSON.parse((await offheap(['account', String(pid), '--json', '--dir', dir])).stdout);
  expect(account).toMatchObject({ recorded: true, explainedPercent: 100, differenceBytes: 0 });

  process.kill(pid, 'SIGKILL');
  await holder.running.ended;
  // Nobody knows it by that number any more.
  expect(await listed(dir)).toMatchObject([{ pid: 1, state: 'killed' }]);
});

test('two of them, each the first in its namespace, are told apart', async (context) => {
  needsNamespaces(context);
  const dir = channelFolder();
  const holders = [await nestedHolder(dir), await nestedHolder(dir)];
  const entries = await listed(dir);
  expect(entries.map(({ state }) => state)).toEqual(['running', 'running']);
  expect(entries.map(({ parentPid }) => parentPid)).toEqual(holders.map(({ running }) => running.pid));
  for (const holder of holders) await holder.leave();
});

test('in a namespace beside that of the collector: what it held is told, and what to do', async (context) => {
  needsNamespaces(context);
  const dir = channelFolder();
  const holder = await nestedHolder(dir);
  const cli = join(ROOT, 'bin/offheap.mjs');
  // The collector is process 1 too: within the clock tick in which the other one began it would be taken for it.
  await sleep(50);
  const beside = ['-p', '-f', '--mount-proc', process.execPath, cli, 'snapshot', '1', '--dir', dir];
  const { status, stdout, stderr } = await finish('unshare', beside);
  expect([status, stderr]).toEqual([0, '']);
  const { completeness, owners } = JSON.parse(stdout) as Snapshot;
  const unseen =
    /^process 1 has ended, or is in a pid namespace that can't be seen from here: run offheap on the host/;
  expect(completeness.degraded).toEqual([expect.stringMatching(unseen)]);
  const ofHolder = owners.filter(({ owner }) => owner === 'holder').map(({ bytes }) => bytes);
  expect(Math.max(...ofHolder)).toBeGreaterThanOrEqual(MAPPED_BYTES);
  await holder.leave();
});

test('is followed where the command that was started makes the namespace', async (context) => {
  needsNamespaces(context);
  const command = ['unshare', '-p', '-f', '--mount-proc', buildC('holder')];
  const dir = channelFolder();
  const holder = await Holder.of(startOffheap(['run', '--dir', dir, '--', ...command]));
  await holder.map(MAPPED_BYTES);
  // Once it is gone nobody can tell whose child it was.
  const collectors = async () => (await listed(dir)).map(({ collectorPid }) => collectorPid);
  await expect.poll(collectors).toEqual([expect.any(Number), expect.any(Number)]);
  const { stderr } = await holder.leave();
  expect(stderr).toMatch(/^child \d+ \S*holder: exited; \d\.\d+ MB, most by holder$/m);
});
