// Collectors come and go; what a process has recorded stays.
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { processStatus } from '../src/drain/process-identity.js';
import type { Snapshot } from '../src/report/schema.js';
import { buildC } from './support/build.js';
import {
  channelFolder,
  functionsOf,
  Holder,
  offheap,
  preloaded,
  snapshotOf,
  startOffheap,
} from './support/offheap.js';
import type { Running } from './support/running.js';

const MIB = 1 << 20;

/** A collector that stays: it prints a table each interval. */
async function collect(holder: Holder, dir: string): Promise<Running> {
  const collector = startOffheap(['top', String(holder.pid), '--interval', '50', '--dir', dir]);
  await collector.line(/^OWNER/);
  return collector;
}

async function kill(collector: Running): Promise<void> {
  collector.kill('SIGKILL');
  await collector.ended;
}

/** What every run of the same commands holds alike: all but addresses, times, and the shim's own memory. */
function held({ mappings, stacks }: Snapshot): string[] {
  return mappings
    .filter(({ kind }) => kind !== 'profiler')
    .map(({ bytes, owner, kind, operation, enclosing, stack }) => {
      const frames = (stacks[stack] ?? []).map(
        (frame) => `${frame.module} ${frame.fileAddress} ${frame.function}`,
      );
      return [bytes, owner, kind, operation, enclosing, ...frames].join(' | ');
    })
    .sort();
}

const WHOLE = { mappingEventsLost: 0, truncatedStacks: 0, unexplainedBytes: 0, degraded: [] };
/**
 * A ring of 256 fills within a millisecond: what a burst costs while a collector is busy or dying is counted, and is
 * all that may be missing. The default ring has many times as many places.
 */
const SMALL_RING_MAY_LOSE = 0;

/** Two snapshots of the same history hold the same; where events were lost, as many ranges may differ. */
function expectSame(snapshot: Snapshot, expected: Snapshot, mayLose: number): void {
  const lost = snapshot.completeness.mappingEventsLost + expected.completeness.mappingEventsLost;
  expect(lost).toBeLessThanOrEqual(2 * mayLose);
  if (lost === 0) {
    expect(snapshot.completeness).toMatchObject(WHOLE);
    expect(held(snapshot)).toEqual(held(expected));
    return;
  }
  const left = held(expected);
  for (const range of held(snapshot)) if (left.includes(range)) left.splice(left.indexOf(range), 1);
  expect(left.length).toBeLessThanOrEqual(2 * lost);
}

/** One after the other, with what is done between two of them. */
async function history(holder: Holder, between: () => Promise<void>): Promise<void> {
  await holder.map(3 * MIB);
  await between();
  await holder.tell('keep 400');
  await between();
  await holder.tell('churn 3000');
  await holder.map(MIB);
  await between();
  await holder.tell('unmap');
  await holder.map(2 * MIB);
}

describe.each([
  ['a ring that holds it all', {}, 0],
  ['a ring that is written over many times', { OFFHEAP_RING_EVENTS: '256' }, SMALL_RING_MAY_LOSE],
])('%s', (_, ring, mayLose) => {
  /** The last snapshot of a holder with this history, watched by one collector from its first to its last moment. */
  async function undisturbed(): Promise<Snapshot> {
    const dir = channelFolder();
    const holder = await Holder.alone({ ...preloaded(dir), ...ring });
    const collector = await collect(holder, dir);
    await history(holder, async () => {});
    const snapshot = await snapshotOf(holder.pid, dir);
    await kill(collector);
    await holder.leave();
    return snapshot;
  }

  test('collectors that are killed and started again know what one that stayed knows', async () => {
    const expected = await undisturbed();
    const dir = channelFolder();
    const holder = await Holder.alone({ ...preloaded(dir), ...ring });
    let collector = await collect(holder, dir);
    await history(holder, async () => {
      await kill(collector);
      collector = await collect(holder, dir);
    });
    const snapshot = await snapshotOf(holder.pid, dir);
    expectSame(snapshot, expected, mayLose);
    if (mayLose === 0) {
      expect(snapshot.completeness.mappingEvents).toBe(expected.completeness.mappingEvents);
    }
    const hasCheckpoint = readdirSync(dir).some((name) => name.endsWith('.ledger'));
    expect(hasCheckpoint).toBe('OFFHEAP_RING_EVENTS' in ring);
    await kill(collector);
    expectSame(await snapshotOf(holder.pid, dir), expected, mayLose);
    await holder.leave();
  });

  test('nobody watches until the end: the ledger is the same', async () => {
    const expected = await undisturbed();
    const dir = channelFolder();
    const holder = await Holder.alone({ ...preloaded(dir), ...ring });
    await history(holder, async () => {});
    const snapshot = await snapshotOf(holder.pid, dir);
    expect(snapshot.completeness).toMatchObject(WHOLE);
    expectSame(snapshot, expected, mayLose);
    await holder.leave();
  });

  test('nobody watches for a while: the next collector joins what the last one knew with what came since', async () => {
    const dir = channelFolder();
    const holder = await Holder.alone({ ...preloaded(dir), ...ring });
    const collector = await collect(holder, dir);
    await holder.map(3 * MIB);
    await holder.tell('keep 400');
    await kill(collector);
    // The target takes a collector for gone that was silent for two seconds.
    await sleep(2200);
    await holder.tell('churn 3000');
    await holder.map(MIB);
    await holder.tell('unmap');
    await holder.map(2 * MIB);
    const snapshot = await snapshotOf(holder.pid, dir);
    expectSame(snapshot, await undisturbed(), mayLose);
    await holder.leave();
  });

  test('a collector that is killed in the middle of events, again and again', async () => {
    const dir = channelFolder();
    const holder = await Holder.alone({ ...preloaded(dir), ...ring });
    await holder.tell('keep 300');
    const address = await holder.map(MIB);
    holder.running.write('churn 30000\n');
    for (let round = 0; round < 4; round++) {
      const collector = await collect(holder, dir);
      await sleep(40 * round);
      await kill(collector);
    }
    await holder.running.line(/^churned$/);
    const { completeness, mappings } = await snapshotOf(holder.pid, dir);
    if (mayLose === 0) expect(completeness).toMatchObject(WHOLE);
    expect(completeness.mappingEventsLost).toBeLessThanOrEqual(4 * mayLose);
    const own = mappings.filter(({ owner, kind }) => owner === 'holder' && kind === 'program');
    expect(own.filter(({ operation, bytes }) => operation === 'mmap' && bytes === 8192)).toHaveLength(300);
    expect(own.find(({ start }) => Number(start) === address)).toMatchObject({ bytes: MIB });
    expect(own.filter(({ bytes }) => bytes === 64 << 10).length).toBeLessThanOrEqual(
      completeness.mappingEventsLost,
    );
    await holder.leave();
  });
});

test('a checkpoint that is gone: what is mapped is still told, by the names of now, and the gap is said', async () => {
  const dir = channelFolder();
  const holder = await Holder.alone({ ...preloaded(dir), OFFHEAP_RING_EVENTS: '256' });
  const collector = await collect(holder, dir);
  await holder.map(3 * MIB);
  // Asked in between, the collector reads it all, and the target has nothing to keep by itself.
  const checkpoints = () => readdirSync(dir).filter((name) => name.endsWith('.ledger'));
  while (checkpoints().length === 0) {
    await holder.tell('keep 30');
    await snapshotOf(holder.pid, dir);
  }
  await kill(collector);
  for (const name of checkpoints()) rmSync(join(dir, name));
  await holder.map(2 * MIB);
  const snapshot = await snapshotOf(holder.pid, dir);
  expect(snapshot.completeness.degraded.join()).toMatch(/an earlier collector was killed before it saved/);
  expect(snapshot.completeness.unexplainedBytes).toBeGreaterThanOrEqual(3 * MIB);
  const fresh = snapshot.mappings.find(({ bytes }) => bytes === 2 * MIB);
  expect(fresh).toMatchObject({ owner: 'holder', kind: 'program' });
  expect(functionsOf(snapshot, fresh!.stack)).toEqual(
    expect.arrayContaining(['hold_block', 'main', '_start']),
  );
});

test('two collectors at once: the second asks the first, and takes over when that is gone', async () => {
  const dir = channelFolder();
  const holder = await Holder.alone(preloaded(dir));
  await holder.map(MIB);
  const first = await collect(holder, dir);
  const second = await collect(holder, dir);
  const collectorPid = async () =>
    (JSON.parse((await offheap(['ps', '--json', '--dir', dir])).stdout) as { collectorPid: number }[])[0]!
      .collectorPid;
  expect(await collectorPid()).toBe(first.pid);
  await kill(first);
  expect((await second.ended).stderr).toMatch(/^offheap: the collector of process \d+ is gone; ask again\n$/);
  const third = await collect(holder, dir);
  expect(await collectorPid()).toBe(third.pid);
  expect(existsSync(join(dir, `collector-${first.pid}.sock`)), 'the dead one’s socket is cleared').toBe(
    false,
  );
  await kill(third);
});

test('a collector that nobody can ask: one line', async () => {
  // So long a path is no socket's; the collector says so, and collects.
  const dir = join(channelFolder(), 'long'.repeat(20));
  const holder = await Holder.underRun(['--dir', dir, '--quiet']);
  const refused = await offheap(['snapshot', String(holder.pid), '--dir', dir]);
  expect([refused.status, refused.stdout]).toEqual([1, '']);
  expect(refused.stderr).toMatch(/^offheap: process \d+ already collects [^\n]*; ask that one\n$/);
  expect((await holder.leave()).stderr).toMatch(
    /^offheap: the path .* is too long for a socket; choose a shorter/,
  );
});

test('the collector of `run` is killed: the command runs on, and another collector knows all', async () => {
  const dir = channelFolder();
  // Its standard input is its own: the pipe from the test closes with the collector.
  const command = ['sh', '-c', '(echo map 3145728; echo churn 1000; sleep 30) | "$0"', buildC('holder')];
  const running = startOffheap(['run', '--quiet', '--dir', dir, '--', ...command]);
  const [, pidText] = await running.line(/^READY (\d+)$/);
  await running.line(/^churned$/);
  running.kill('SIGKILL');
  await expect.poll(() => processStatus(running.pid)?.state ?? 'Z').toBe('Z');
  const snapshot = await snapshotOf(Number(pidText), dir);
  expect(snapshot.process.state).toBe('running');
  expect(snapshot.completeness).toMatchObject(WHOLE);
  expect(snapshot.completeness.mappingEvents).toBeGreaterThan(2000);
  expect(snapshot.mappings.find(({ bytes }) => bytes === 3 * MIB)).toMatchObject({ owner: 'holder' });
});
