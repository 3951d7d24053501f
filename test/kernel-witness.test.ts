// What was recorded against the kernel's own records of mappings, which perf events bring.
import { expect, onTestFinished, test } from 'vitest';
import type { Completeness } from '../src/report/schema.js';
import { attach } from '../src/session/attach.js';
import type { Session } from '../src/session/session.js';
import { buildC, buildCxx, buildSharedC } from './support/build.js';
import { pythonPath } from './support/needs.js';
import { channelFolder, preloaded } from './support/offheap.js';
import { TARGET_SOURCES } from './support/paths.js';
import { Running } from './support/running.js';

/** A program that waits before it begins until the witness is there. */
class Witnessed {
  private constructor(
    readonly session: Session,
    readonly running: Running,
  ) {}

  static async start([command, ...args]: string[], env: Record<string, string> = {}): Promise<Witnessed> {
    const dir = channelFolder();
    const gated = preloaded(dir);
    gated.LD_PRELOAD += `:${buildSharedC('libgate')}`;
    const running = new Running(command!, args, { env: { ...gated, ...env } });
    await running.line(/^WAITING$/);
    const session = await attach(running.pid, { dir, intervalMs: 20, witness: true });
    onTestFinished(() => session.close());
    return new Witnessed(session, running);
  }

  async toItsEnd(): Promise<Completeness> {
    const ended = new Promise((resolve) => this.session.on('exit', resolve));
    await this.running.end('\n');
    await ended;
    return this.session.snapshot().completeness;
  }
}

const script = (name: string) => `${TARGET_SOURCES}/${name}`;
const libinline = () => buildSharedC('libinline');

/** Programs, and how many mappings they make at least. A ring of the kernel's holds some 5000 records. */
const PROGRAMS: Record<string, () => [least: number, command: string[], env?: Record<string, string>]> = {
  'maps by every path': () => [40, [buildC('every_path')]],
  'maps in threads that come and go': () => [1000, [buildC('threads'), '4', '250']],
  'maps where another thread has just unmapped': () => [200, [buildC('address_reuse'), '200']],
  'maps on coroutines’ stacks': () => [50, [buildC('coroutines'), '50']],
  'maps while exceptions unwind': () => [50, [buildCxx('exceptions'), '50']],
  'loads and unloads libraries': () => [
    10,
    [buildC('dlopen_cycle'), buildSharedC('plugin'), libinline(), '10'],
  ],
  'has calls of its own that are rewritten': () => [
    100,
    [buildC('inline_syscall'), libinline(), '100'],
    { OFFHEAP_SCAN: 'libinline' },
  ],
  'forks, and its children map': () => [1, [buildC('fork_tree')]],
  // The shim's own mappings are told in the process's name, whichever thread has made them.
  'has so many threads that the shim maps for them': () => [
    100,
    [buildC('heap_crowd'), '300'],
    { OFFHEAP_HEAP: 'exact' },
  ],
  'allocates in threads': () => [10, [buildC('malloc_churn'), '4', '20000']],
  'is Python': () => [50, [pythonPath(), script('python_churn.py')]],
  'is Node': () => [50, [process.execPath, script('node_churn.mjs')]],
};
const NOTHING_ASIDE = { underWay: 0, lost: 0, notCompared: 0, grownStacks: 0 };

test.for(Object.entries(PROGRAMS))(
  'the kernel counts what is recorded of a program that %s',
  async ([, program]) => {
    const [least, command, env] = program();
    const target = await Witnessed.start(command, env);
    const { kernelMappings, gaps } = await target.toItsEnd();
    const { counted, recorded, ...aside } = kernelMappings!;
    expect(counted).toBe(recorded);
    expect(recorded).toBeGreaterThanOrEqual(least);
    expect(aside).toEqual(NOTHING_ASIDE);
    expect(gaps).toEqual([]);
  },
);

test('a signal handler that leaves a call by siglongjmp before it is told hides no more than that one', async () => {
  const target = await Witnessed.start([buildC('signals'), '200']);
  const { kernelMappings } = await target.toItsEnd();
  const { counted, recorded, ...aside } = kernelMappings!;
  const jumps = Number(/jumped (\d+)/.exec(target.running.stdout)![1]);
  expect(counted - recorded).toBeGreaterThanOrEqual(0);
  expect(counted - recorded).toBeLessThanOrEqual(jumps);
  // Left between its place in the ring and the event, it holds up others, which are passed over.
  expect(recorded + aside.notCompared).toBeGreaterThan(1000);
  expect({ ...aside, notCompared: 0 }).toEqual(NOTHING_ASIDE);
});

test('what children by vfork map, which the kernel does not tell, accuses nobody', async () => {
  const target = await Witnessed.start([buildC('vfork_spawn'), '5']);
  const { kernelMappings, gaps } = await target.toItsEnd();
  const { counted, recorded, ...aside } = kernelMappings!;
  expect(recorded - counted).toBe(5);
  expect(aside).toEqual(NOTHING_ASIDE);
  expect(gaps).toEqual([]);
});

test('mappings that the shim can’t see are counted, those that are gone again with them', async () => {
  const command = [buildC('inline_syscall'), libinline(), '200', 'hold'];
  const { session, running } = await Witnessed.start(command, { OFFHEAP_SCAN: 'libnothing' });
  running.write('\n');
  await running.line(/^READY$/);
  const told =
    /^the kernel counted 200 mappings that nobody was seen to make; most likely .* of its own in libinline\.so/;
  await expect.poll(() => session.snapshot().completeness.gaps).toContainEqual(expect.stringMatching(told));
  const { counted, recorded } = session.snapshot().completeness.kernelMappings!;
  expect(counted - recorded).toBe(200);
});

test('without rewritten instructions just those calls are missing that go past the import tables', async () => {
  const command = [buildC('inline_syscall'), libinline(), '100'];
  const seen = await (await Witnessed.start(command, { OFFHEAP_SCAN: 'libinline' })).toItsEnd();
  const { kernelMappings, gaps } = await (
    await Witnessed.start(command, { OFFHEAP_SITES: 'off' })
  ).toItsEnd();
  const { counted, recorded, ...aside } = kernelMappings!;
  // The loader protects the library's relocations, unseen as well.
  expect(counted).toBe(seen.kernelMappings!.recorded + 1);
  expect(counted - recorded).toBeGreaterThanOrEqual(100);
  expect(aside).toEqual(NOTHING_ASIDE);
  expect(gaps).toContainEqual(
    expect.stringMatching(`^the kernel counted ${counted - recorded} mappings that nobody was seen to make`),
  );
});

test('where the kernel can’t be asked there are no figures, and the reason is told', async () => {
  const dir = channelFolder();
  const running = new Running(buildC('every_path'), [], { env: preloaded(dir) });
  await running.ended;
  const session = await attach(running.pid, { dir, witness: true });
  onTestFinished(() => session.close());
  const { kernelMappings, degraded, gaps } = session.snapshot().completeness;
  expect([kernelMappings, gaps]).toEqual([null, []]);
  expect(degraded).toContain("the kernel can't be asked what is mapped: the process has ended");
});
