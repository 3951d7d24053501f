// `offheap run`: what the command sees of it, and what it leaves behind.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { diffSnapshots } from '../src/report/diff.js';
import { buildC } from './support/build.js';
import {
  channelFolder,
  functionsOf,
  Holder,
  offheap,
  ownerOf,
  readSnapshot,
  scratchFolder,
  snapshotOf,
  startOffheap,
} from './support/offheap.js';
import { finish } from './support/running.js';
import { shapeProblems } from './support/snapshot-shape.js';

const MIB = 1 << 20;
const run = (...command: string[]) => offheap(['run', '--dir', channelFolder(), '--', ...command]);

describe('status', () => {
  test.each([0, 1, 7, 255])('of a command that ends with %d', async (status) => {
    expect((await run('sh', '-c', `exit ${status}`)).status).toBe(status);
  });

  test.each([
    ['TERM', 15],
    ['KILL', 9],
    ['SEGV', 11],
    ['INT', 2],
  ])('of a command that SIG%s ends', async (signal, number) => {
    const ended = await run('sh', '-c', `kill -${signal} $$`);
    expect([ended.status, ended.signal]).toEqual([128 + number, null]);
  });
});

test('the streams are the command’s own, byte for byte', async () => {
  const script = 'cat; printf "out\\0\\377 no newline"; printf "err\\n" >&2';
  const options = { input: 'in\u0000put' };
  const without = await finish('sh', ['-c', script], options);
  const quiet = await offheap(
    ['run', '--quiet', '--dir', channelFolder(), '--', 'sh', '-c', script],
    options,
  );
  expect(quiet).toEqual(without);
  const loud = await offheap(['run', '--dir', channelFolder(), '--', 'sh', '-c', script], options);
  expect(loud.stdout).toBe(without.stdout);
  expect(loud.stderr.startsWith(without.stderr)).toBe(true);
  expect(loud.stderr).toMatch(/exited with status 0.*\n.* mapping events, none lost/);
});

test('options behind the command are the command’s', async () => {
  const { stdout } = await offheap(['run', '--dir', channelFolder(), 'echo', '--quiet', '-h', '--', 'x']);
  expect(stdout).toBe('--quiet -h -- x\n');
});

describe('signals', () => {
  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s is passed on', async (signal) => {
    const name = signal.slice(3);
    const script = `trap 'echo got ${name}; exit 5' ${name}; echo ready; while :; do sleep 0.1; done`;
    const running = startOffheap(['run', '--quiet', '--dir', channelFolder(), '--', 'sh', '-c', script]);
    await running.line(/^ready$/);
    running.kill(signal);
    const { status, stdout } = await running.ended;
    expect([status, stdout]).toEqual([5, `ready\ngot ${name}\n`]);
  });

  test('a command that a passed signal ends: 128 and its number', async () => {
    const holder = await Holder.underRun(['--quiet', '--dir', channelFolder()]);
    holder.running.kill('SIGTERM');
    expect((await holder.running.ended).status).toBe(128 + 15);
  });
});

describe('what it writes at the end', () => {
  test('a snapshot that keeps to the schema, with what the command held', async () => {
    const file = join(scratchFolder(), 'last.json');
    const dir = channelFolder();
    const holder = await Holder.underRun(['--dir', dir, '--snapshot', file, '--interval', '50']);
    const address = await holder.map(8 * MIB);
    await holder.map(2 * MIB);
    await holder.tell('unmap');
    await holder.tell('churn 100');
    // Of the dead it says what was resident when somebody last looked: when its turn is, depends on how fast the machine is.
    await snapshotOf(holder.pid, dir);
    const { status, stderr } = await holder.leave(3);
    expect(status).toBe(3);

    const snapshot = readSnapshot(file);
    expect(shapeProblems(snapshot)).toEqual([]);
    expect(snapshot.process).toMatchObject({
      pid: holder.pid,
      parentPid: holder.running.pid,
      command: [buildC('holder')],
      state: 'exited',
      exit: 3,
    });
    expect(Date.parse(snapshot.process.startedAt)).toBeLessThan(Date.parse(snapshot.takenAt));
    const held = snapshot.mappings.find(({ start }) => Number(start) === address);
    expect(held).toMatchObject({
      bytes: 8 * MIB,
      owner: 'holder',
      kind: 'program',
      operation: 'mmap',
      enclosing: null,
    });
    expect(held).toMatchObject({ threadId: holder.pid, residentBytes: 8 * MIB, reserved: false });
    expect(functionsOf(snapshot, held!.stack)).toEqual(
      expect.arrayContaining(['hold_block', 'main', '_start']),
    );
    expect(snapshot.completeness).toMatchObject({
      mappingEventsLost: 0,
      truncatedStacks: 0,
      sitesOverwritten: 0,
      unexplainedBytes: 0,
      degraded: [],
    });
    expect(snapshot.completeness.mappingEvents).toBeGreaterThan(200);
    expect(stderr).toMatch(/holder \(pid \d+\), exited with status 3/);
    expect(stderr).toMatch(/^holder +program\b.*8\.4\d? MB/m);
  });

  test('the parts of a snapshot agree with one another', async () => {
    const file = join(scratchFolder(), 'last.json');
    const holder = await Holder.underRun(['--quiet', '--dir', channelFolder(), '--snapshot', file]);
    await holder.map(MIB);
    await holder.tell('keep 100');
    await holder.leave();
    const { owners, mappings, stacks, rss } = readSnapshot(file);
    expect(new Set(owners.map(({ owner, kind }) => `${kind} ${owner}`)).size).toBe(owners.length);
    for (const { owner, kind, ...sums } of owners) {
      const own = mappings.filter((each) => each.owner === owner && each.kind === kind);
      const total = (of: (each: (typeof own)[number]) => number) =>
        own.reduce((sum, each) => sum + of(each), 0);
      expect(sums).toMatchObject({
        mappings: own.length,
        bytes: total(({ bytes }) => bytes),
        residentBytes: total(({ residentBytes }) => residentBytes),
        reservedBytes: total(({ bytes, reserved }) => (reserved ? bytes : 0)),
      });
      expect(Object.values(sums.triggers).reduce((a, b) => a + b, 0)).toBe(sums.bytes);
      expect(Object.values(sums.callers).reduce((a, b) => a + b, 0)).toBeLessThanOrEqual(sums.bytes);
    }
    const used = new Set(mappings.map(({ stack }) => stack).filter((stack) => stack !== 0));
    expect(new Set(Object.keys(stacks).map(Number))).toEqual(used);
    const sorted = [...mappings].sort((a, b) => Number(a.start) - Number(b.start));
    sorted.reduce((end, { start, bytes }) => {
      expect(Number(start)).toBeGreaterThanOrEqual(end);
      return Number(start) + bytes;
    }, 0);
    expect(rss.anonymousBytes).toBeLessThanOrEqual(rss.totalBytes);
  });

  test.each([
    ['graph.svg', /^<\?xml|^<svg/, /hold_block/],
    ['graph.html', /^<!doctype html>/i, /hold_block/],
    ['graph.folded', /^/, /;main;hold_block;.*mmap.* 1048576$/m],
  ])('a flame graph, %s', async (name, beginning, content) => {
    const file = join(scratchFolder(), name);
    const holder = await Holder.underRun(['--quiet', '--dir', channelFolder(), '--flamegraph', file]);
    await holder.map(MIB);
    await holder.leave();
    const graph = readFileSync(file, 'utf8');
    expect(graph).toMatch(beginning);
    expect(graph).toMatch(content);
  });

  test('two snapshots differ by what grew', async () => {
    const folder = scratchFolder();
    const files = [4, 6].map((mebibytes) => ({ mebibytes, file: join(folder, `${mebibytes}.json`) }));
    for (const { mebibytes, file } of files) {
      const holder = await Holder.underRun(['--quiet', '--dir', channelFolder(), '--snapshot', file]);
      await holder.map(mebibytes * MIB);
      await holder.leave();
    }
    const [a, b] = files.map(({ file }) => file) as [string, string];
    const { stdout } = await offheap(['diff', a, b, '--json']);
    const change = JSON.parse(stdout) as ReturnType<typeof diffSnapshots>;
    expect(change).toEqual(JSON.parse(JSON.stringify(diffSnapshots(readSnapshot(a), readSnapshot(b)))));
    expect(change.owners[0]).toMatchObject({ owner: 'holder', bytes: 2 * MIB });
    expect((await offheap(['diff', a, b])).stdout).toMatch(/holder +program\b.*\+2\.10? MB/);
  });
});

describe('channels', () => {
  test('stay in the folder that was named, to be read again', async () => {
    const dir = channelFolder();
    const holder = await Holder.underRun(['--quiet', '--dir', dir]);
    await holder.map(MIB);
    await holder.leave();
    expect(readdirSync(dir).filter((name) => name.endsWith('.channel'))).toHaveLength(1);
    expect(readdirSync(dir).filter((name) => name.endsWith('.sock'))).toEqual([]);
    const { stdout } = await offheap(['snapshot', String(holder.pid), '--dir', dir]);
    const snapshot = JSON.parse(stdout) as ReturnType<typeof readSnapshot>;
    expect(ownerOf(snapshot, 'holder', 'program').bytes).toBeGreaterThanOrEqual(MIB);
    expect(snapshot.process.state).toBe('exited');
  });

  test('are removed where no folder was named', async () => {
    const dir = channelFolder();
    const holder = await Holder.underRun(['--quiet'], { OFFHEAP_DIR: dir });
    expect(readdirSync(dir).some((name) => name.startsWith(`${holder.pid}-`))).toBe(true);
    await holder.leave();
    expect(readdirSync(dir)).toEqual([]);
  });

  test('a folder that is not there is made, for this user alone', async () => {
    const dir = join(channelFolder(), 'deep', 'er');
    expect((await offheap(['run', '--quiet', '--dir', dir, '--', 'true'])).status).toBe(0);
    expect(existsSync(dir)).toBe(true);
  });
});

test('a program that the command execs goes on in the same process', async () => {
  const dir = channelFolder();
  const file = join(scratchFolder(), 'last.json');
  const running = startOffheap([
    'run',
    '--quiet',
    '--dir',
    dir,
    '--snapshot',
    file,
    '--',
    'sh',
    '-c',
    'exec "$0"',
    buildC('holder'),
  ]);
  const holder = await Holder.of(running);
  await holder.map(3 * MIB);
  const asked = await offheap(['eval', String(holder.pid), 'ledger.byOwner().length > 0', '--dir', dir]);
  expect([asked.stderr, asked.stdout]).toEqual(['', 'true\n']);
  await holder.leave();
  const snapshot = readSnapshot(file);
  expect(snapshot.process.command).toEqual([buildC('holder')]);
  expect(ownerOf(snapshot, 'holder', 'program').bytes).toBeGreaterThanOrEqual(3 * MIB);
});
