// `offheap run` follows the processes that its command starts, few or thousands.
import { readdirSync } from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { ProcessEntry } from '../src/session/processes.js';
import { buildC } from './support/build.js';
import { needs, pythonPath } from './support/needs.js';
import { channelFolder, Holder, offheap, ownerOf, snapshotOf, startOffheap } from './support/offheap.js';

const MIB = 1 << 20;

test('a child is a process of its own: found, asked, reported', async () => {
  const dir = channelFolder();
  const running = startOffheap(['run', '--dir', dir, '--', 'sh', '-c', '"$0"; exit 3', buildC('holder')]);
  const child = await Holder.of(running);
  await child.map(6 * MIB);
  const entries = JSON.parse((await offheap(['ps', '--json', '--dir', dir])).stdout) as ProcessEntry[];
  const living = entries.filter(({ state }) => state === 'running');
  expect(living.map(({ command }) => command.at(-1))).toEqual([buildC('holder'), buildC('holder')]);
  expect(living.map(({ collectorPid }) => collectorPid)).toEqual([running.pid, running.pid]);
  expect(living[1]).toMatchObject({ pid: child.pid, parentPid: living[0]!.pid });

  const snapshot = await snapshotOf(child.pid, dir);
  expect(ownerOf(snapshot, 'holder', 'program').bytes).toBeGreaterThanOrEqual(6 * MIB);
  const { stdout } = await offheap([
    'eval',
    String(child.pid),
    'processes.map((each) => each.pid)',
    '--json',
    '--dir',
    dir,
  ]);
  expect(JSON.parse(stdout)).toEqual([living[0]!.pid, child.pid]);

  const { status, stderr } = await child.leave();
  expect(status).toBe(3);
  expect(stderr).toMatch(new RegExp(`^child ${child.pid} .*holder: exited; .*holder`, 'm'));
});

test('a forked child holds what its parent held, by the parent’s stacks', async (context) => {
  needs(context, 'python');
  const dir = channelFolder();
  const script =
    'a = bytearray(20_000_000); import os; pid = os.fork(); b = bytearray(3_000_000); os.write(1, b"READY %d\\n" % os.getpid()); input() if pid == 0 else os.wait()';
  const running = startOffheap(['run', '--quiet', '--dir', dir, '--', pythonPath(), '-c', script]);
  const first = Number((await running.line(/^READY (\d+)/))[1]);
  const second = Number((await running.line(/^READY (\d+)/))[1]);
  const [parent, child] = [
    await snapshotOf(Math.min(first, second), dir),
    await snapshotOf(Math.max(first, second), dir),
  ];
  const large = (of: typeof parent) =>
    of.mappings.find(({ bytes }) => bytes >= 20_000_000 && bytes < 21_000_000);
  expect(large(parent)).toBeDefined();
  expect(large(child)).toMatchObject({
    start: large(parent)!.start,
    owner: large(parent)!.owner,
    operation: 'mmap',
  });
  const names = (of: typeof parent) => of.stacks[large(of)!.stack]!.map((frame) => frame.function);
  expect(names(child)).toEqual(names(parent));
  await running.end('\n');
});

describe('thousands of short lives', () => {
  /** Of so many channels the collector may keep some open, for children of the ended that show themselves late. */
  const few = 64;
  /**
   * Starts children in a row, as fast as it can, and then waits, a minute at most, until few channels are left. Prints how
   * often it waited, each time by one more child, and the channels and the collector's descriptors of then.
   */
  const script = `
    i=0; while [ $i -lt "$1" ]; do /bin/true; i=$((i+1)); done
    waits=0
    while set -- "$OFFHEAP_DIR"/*.channel; [ $# -gt ${few} ] && [ $waits -lt 600 ]; do
      sleep 0.1; waits=$((waits+1))
    done
    echo $waits; echo $#; ls /proc/$PPID/fd | wc -l; exit 5`;
  const children = 1200;

  test('cost neither descriptors nor shared memory, and are counted', async () => {
    const dir = channelFolder();
    const env = { OFFHEAP_DIR: dir };
    const { status, stdout, stderr } = await offheap(
      ['run', '--', 'sh', '-c', script, 'sh', String(children)],
      { env },
    );
    expect(status).toBe(5);
    const [waits, channels, descriptors] = stdout.trim().split('\n').map(Number);
    expect(descriptors).toBeLessThan(200);
    expect(channels).toBeLessThanOrEqual(few);
    const shown = stderr.match(/^child \d+ /gm) ?? [];
    expect(shown.length).toBeGreaterThan(0);
    expect(shown.length).toBeLessThanOrEqual(10);
    const [, more] = /^… and ([\d,]+) more that ended$/m.exec(stderr) ?? [];
    // Beside them ls and wc.
    expect(shown.length + Number(more?.replaceAll(',', ''))).toBe(children + waits! + 2);
    expect(readdirSync(dir)).toEqual([]);
  });

  test('and all their channels stay where a folder was named', async () => {
    const dir = channelFolder();
    await offheap(['run', '--quiet', '--dir', dir, '--', 'sh', '-c', script, 'sh', '40'], {});
    const entries = JSON.parse((await offheap(['ps', '--json', '--dir', dir])).stdout) as ProcessEntry[];
    const trues = entries.filter(({ command }) => command.join() === '/bin/true');
    expect(new Set(trues.map(({ pid }) => pid)).size).toBe(40);
    expect(new Set(trues.map(({ state }) => state))).toEqual(new Set(['exited']));
  });
});

test('a child that outlives the command runs on, and others can watch it', async () => {
  const dir = channelFolder();
  const script = 'sleep 600 >/dev/null 2>&1 & read line';
  const running = startOffheap(['run', '--quiet', '--dir', dir, '--', 'sh', '-c', script]);
  const living = async () => {
    const entries = JSON.parse((await offheap(['ps', '--json', '--dir', dir])).stdout) as ProcessEntry[];
    return entries.filter(({ state }) => state === 'running');
  };
  await expect
    .poll(async () => (await living()).map(({ command }) => command.join(' ')))
    .toContain('sleep 600');
  expect((await running.end('\n')).status).toBe(0);
  const alive = await living();
  onTestFinished(() => {
    for (const { pid } of alive) process.kill(pid, 'SIGKILL');
  });
  expect(alive).toMatchObject([{ command: ['sleep', '600'], collectorPid: null }]);
  const snapshot = await snapshotOf(alive[0]!.pid, dir);
  expect(snapshot.process.state).toBe('running');
  expect(snapshot.completeness).toMatchObject({ mappingEventsLost: 0, unexplainedBytes: 0 });
});
