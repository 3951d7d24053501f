// The case that beat every heap profiler, with the real UCX: memory mapped inside the application's munmap.
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { SnapshotFrame } from '../src/report/schema.js';
import { attach } from '../src/session/attach.js';
import { shimPath } from '../src/session/shim.js';
import { buildC } from './support/build.js';
import { libraryPath, needs, pythonPath } from './support/needs.js';
import {
  channelFolder,
  functionsOf,
  offheap,
  ownerOf,
  preloaded,
  readSnapshot,
  scratchFolder,
  snapshotOf,
  startOffheap,
} from './support/offheap.js';
import { LIBUCP, ROOT } from './support/paths.js';
import { type Ended, finish, Running } from './support/running.js';

/** An element of the pool that each unmapping takes, and the chunk by which the pool grows. */
const BYTES_PER_UNMAP = 144;
const CHUNK_BYTES = 151_552;
const ITERATIONS = 150_000;
/** UCX says at these levels whether the hooks that it has put into libc work. */
const SELF_TEST = { UCX_MEM_LOG_LEVEL: 'debug', UCX_LOG_LEVEL: 'diag' };
const SELF_TEST_FAILED =
  /missing installed memory events|failed to install mmap events|rcache failed to install UCM event handler|could not create UCP registration cache/;

/** KiB of anonymous memory by which the loop made the program grow. */
function grownKib({ stdout }: Ended): number {
  const at = (when: string) => Number(new RegExp(`^${when} .*anonymous_kib=(\\d+)`, 'm').exec(stdout)?.[1]);
  return at('after') - at('before');
}

function expectHooksToWork({ stdout, stderr }: Ended): void {
  const said = stdout + stderr;
  expect(said).toContain('mmap installed events test: got 0x300ff out of 0x300ff');
  expect(said).toContain('mmap existing events test: got 0x200ff out of 0x200ff');
  expect(said).not.toMatch(SELF_TEST_FAILED);
}

test('a Python program: the library is first by growth, with 99 % of it, from inside munmap', async (context) => {
  needs(context, 'ucx', 'python');
  const dir = channelFolder();
  const leak = [join(ROOT, 'examples/ucx-rcache/leak.py'), '--seconds', '200', '--rate', '30000'];
  const running = startOffheap(['run', '--dir', dir, '--quiet', '--', pythonPath(), ...leak]);
  const [, pidText] = await running.line(/^READY pid=(\d+)/);
  const pid = Number(pidText);
  const cycles = async (count: number) => {
    while (Number((await running.line(/^ +[\d.]+ s +(\d+) cycles/))[1]) < count);
  };
  await cycles(30_000);
  const first = await snapshotOf(pid, dir);
  await cycles(180_000);
  const second = await snapshotOf(pid, dir);
  running.kill('SIGTERM');
  await running.ended;

  const [fastest] = [...second.owners].sort((a, b) => b.growthBytesPerMinute - a.growthBytesPerMinute);
  expect(fastest).toMatchObject({ owner: 'libucs.so.0', kind: 'library' });
  const growth = second.owners.reduce((sum, each) => sum + Math.max(0, each.growthBytesPerMinute), 0);
  expect(fastest!.growthBytesPerMinute / growth).toBeGreaterThan(0.99);

  const held = (snapshot: typeof first) => ownerOf(snapshot, 'libucs.so.0', 'library').residentBytes;
  const grown = second.rss.anonymousBytes - first.rss.anonymousBytes;
  expect(grown).toBeGreaterThan(10e6);
  expect((held(second) - held(first)) / grown).toBeGreaterThan(0.99);

  const { callers, triggers, bytes } = ownerOf(second, 'libucs.so.0', 'library');
  expect(triggers.munmap! / bytes).toBeGreaterThan(0.99);
  expect(callers['libucm.so.0']! / bytes).toBeGreaterThan(0.99);
  const chunk = second.mappings.findLast(
    ({ owner, enclosing }) => owner === 'libucs.so.0' && enclosing === 'munmap',
  );
  const functions = functionsOf(second, chunk!.stack);
  const order = ['ucm_orig_mmap_syscall', 'ucs_rcache_mp_chunk_alloc', 'ucs_mpool_grow', 'ucm_munmap'];
  expect(functions.filter((name) => order.includes(name!))).toEqual(order);
  const python = second.stacks[chunk!.stack]!.filter(({ language }) => language === 'python');
  expect(python.map((frame) => frame.function).slice(-2), 'the lines that trigger it').toEqual([
    'main',
    '<module>',
  ]);
  expect(python[0]).toMatchObject({ file: expect.stringContaining('leak.py'), line: expect.any(Number) });
  const modules = second.stacks[chunk!.stack]!.map(({ module }) => module);
  expect(modules.lastIndexOf('libucm.so.0'), 'the interpreter stands below').toBeLessThan(
    modules.length - 10,
  );
  // The block that is just being mapped, at the address that the last one had, may look unexplained twice.
  expect(second.completeness.unexplainedBytes).toBeLessThanOrEqual(1 << 16);
  expect(second.completeness).toMatchObject({ mappingEventsLost: 0, degraded: [] });
});

/** UCX's functions from the leaf's caller on, in the release that the example pins. */
const UCX_TOWER = [
  'ucm_orig_mmap_syscall replace.c:62',
  'ucs_rcache_mp_chunk_alloc rcache.c:245',
  'ucs_mpool_grow mpool.c:266',
  'ucs_mpool_get_grow mpool.c:312',
  'ucs_rcache_unmapped_callback rcache.c:667',
  'ucm_event_dispatch event.c:145',
  'ucm_dispatch_vm_munmap event.h:77',
  'ucm_munmap event.c:218',
];

test('CPython gives an arena back: its line, its allocator and UCX with lines stand in one tower', async (context) => {
  needs(context, 'ucx', 'python', 'libbacktrace');
  const source = join(ROOT, 'examples/ucx-rcache/leak.py');
  const scratch = scratchFolder();
  const [file, graph] = [join(scratch, 'snapshot.json'), join(scratch, 'graph.folded')];
  const running = startOffheap([
    ...['run', '--dir', channelFolder(), '--quiet', '--snapshot', file, '--flamegraph', graph, '--'],
    ...[pythonPath(), source, '--seconds', '120', '--rate', '0', '--churn', 'arenas'],
  ]);
  // Three arenas each, and a chunk is for 1052.
  await running.line(/^ +[\d.]+ s +(?:[5-9]\d\d|\d{4,}) cycles/);
  running.kill('SIGTERM');
  await running.ended;

  const lines = readFileSync(source, 'utf8').split('\n');
  const lineOf = (text: string) => 1 + lines.lastIndexOf(text);
  const pythonTower = [
    `churn_arenas leak.py:${lineOf('    del objects')}`,
    `run leak.py:${lineOf('            churn()')}`,
    `main leak.py:${lines.findIndex((line) => line.startsWith('    run(')) + 1}`,
    `<module> leak.py:${lineOf('    main()')}`,
  ];
  const said = ({ function: name, file, line }: SnapshotFrame) => `${name} ${basename(file ?? '')}:${line}`;
  const snapshot = readSnapshot(file);
  const towers = snapshot.mappings
    .filter(({ owner, enclosing }) => owner === 'libucs.so.0' && enclosing === 'munmap')
    .map(({ stack }) => snapshot.stacks[stack]!)
    .filter((stack) => stack.some((frame) => frame.function === 'churn_arenas'));
  expect(towers.length).toBeGreaterThan(0);
  for (const [leaf, ...stack] of towers) {
    expect(leaf).toMatchObject({ function: 'syscall', module: 'libc.so.6' });
    expect(stack.splice(0, UCX_TOWER.length).map(said)).toEqual(UCX_TOWER);
    const release = stack.splice(
      0,
      stack.findIndex(({ language }) => language === 'python'),
    );
    expect(release.length).toBeGreaterThan(1);
    for (const { module } of release) expect(module).toMatch(/^(lib)?python3/);
    const names = release.map((frame) => frame.function).filter((name) => name !== null);
    if (names.length > 0) expect(names).toEqual(expect.arrayContaining(['_PyObject_Free', 'list_dealloc']));
    expect(stack.splice(0, pythonTower.length).map(said)).toEqual(pythonTower);
    expect(stack[0]!.function).toBe('_PyEval_EvalFrameDefault');
    expect(stack.at(-1)!.function).toBe('_start');
  }
  const box = (tower: readonly string[]) =>
    tower
      .map((each) => each.replace(/ .*/, ''))
      .reverse()
      .join(';');
  const tower = `;_PyEval_EvalFrameDefault;${box(pythonTower)};[^\\n]+;${box(UCX_TOWER)};syscall;\\[mmap inside munmap\\] \\d+$`;
  expect(readFileSync(graph, 'utf8')).toMatch(new RegExp(tower, 'm'));
});

describe('UCX works as without the tool, wherever it stands', () => {
  /** The command for `offheap run`, by when UCX is loaded. */
  const orders: Record<string, () => string[]> = {
    'opened after the start': () => [buildC('ucx_leak')],
    'linked with the program': () => [
      buildC('ucx_leak', {
        as: 'ucx_leak-linked',
        flags: ['-Wl,--no-as-needed', LIBUCP, `-Wl,-rpath,${join(LIBUCP, '..')}`],
      }),
    ],
    'preloaded behind the shim': () => ['env', `LD_PRELOAD=${shimPath()}:${LIBUCP}`, buildC('ucx_leak')],
    'preloaded ahead of the shim': () => ['env', `LD_PRELOAD=${LIBUCP}:${shimPath()}`, buildC('ucx_leak')],
  };

  test.for(Object.keys(orders))('%s', async (order, context) => {
    needs(context, 'ucx');
    const file = join(scratchFolder(), 'snapshot.json');
    const command = [...orders[order]!(), LIBUCP, String(ITERATIONS)];
    const [program = ''] = command.slice(-3);
    const without = await finish(program, command.slice(-2));
    const ended = await offheap(
      ['run', '--dir', channelFolder(), '--snapshot', file, '--quiet', '--', ...command],
      {
        env: SELF_TEST,
      },
    );
    expect(ended.status).toBe(0);
    expectHooksToWork(ended);
    expect(grownKib(without)).toBeGreaterThan(18_000);
    expect(Math.abs(grownKib(ended) / grownKib(without) - 1)).toBeLessThan(0.02);

    const snapshot = readSnapshot(file);
    const { bytes, triggers } = ownerOf(snapshot, 'libucs.so.0', 'library');
    // The pool had a chunk or two from the set-up.
    expect(triggers.munmap).toBeGreaterThan(ITERATIONS * BYTES_PER_UNMAP - 2 * CHUNK_BYTES);
    expect(bytes - triggers.munmap!).toBeLessThan(2 * CHUNK_BYTES);
    const chunk = snapshot.mappings.find(
      ({ owner, enclosing }) => owner === 'libucs.so.0' && enclosing === 'munmap',
    );
    expect(functionsOf(snapshot, chunk!.stack).slice(-5)).toEqual(
      expect.arrayContaining(['churn_once', 'main', '_start']),
    );
    expect(snapshot.completeness).toMatchObject({ mappingEventsLost: 0, truncatedStacks: 0 });
  });
});

test('hooks by relocation: named all the same', async (context) => {
  needs(context, 'ucx');
  const file = join(scratchFolder(), 'snapshot.json');
  const command = [buildC('ucx_leak'), LIBUCP, '100000'];
  const env = { UCX_MEM_MMAP_HOOK_MODE: 'reloc' };
  const without = await finish(command[0]!, command.slice(1), { env });
  const ended = await offheap(
    ['run', '--dir', channelFolder(), '--snapshot', file, '--quiet', '--', ...command],
    {
      env,
    },
  );
  expect(ended.status).toBe(0);
  expect(Math.abs(grownKib(ended) / grownKib(without) - 1)).toBeLessThan(0.02);
  expect(ownerOf(readSnapshot(file), 'libucs.so.0', 'library').triggers.munmap).toBeGreaterThan(
    100_000 * BYTES_PER_UNMAP - 2 * CHUNK_BYTES,
  );
});

test('where the shim is blind to its hooks, what it leaks is unexplained, to 2 %', async (context) => {
  needs(context, 'ucx');
  const dir = channelFolder();
  const running = new Running(buildC('ucx_leak'), [LIBUCP, String(ITERATIONS), 'hold'], {
    env: { ...preloaded(dir), OFFHEAP_SITES: 'off', UCX_MEM_MMAP_HOOK_MODE: 'reloc' },
  });
  const anonymousKib = async (when: string) =>
    Number((await running.line(new RegExp(`^${when} .*anonymous_kib=(\\d+)`)))[1]);
  const before = await anonymousKib('before');
  const session = await attach(running.pid, { dir, intervalMs: 100 });
  onTestFinished(() => session.close());
  const unexplainedBefore = session.account().unexplainedBytes;
  running.write('\n');
  const grownBytes = ((await anonymousKib('after')) - before) * 1024;
  expect(grownBytes).toBeGreaterThan(18e6);

  const account = session.account();
  expect(Math.abs((account.unexplainedBytes - unexplainedBefore) / grownBytes - 1)).toBeLessThan(0.02);
  const listedBytes = account.unexplained.reduce((sum, { residentBytes }) => sum + residentBytes, 0);
  expect(listedBytes).toBe(account.unexplainedBytes);
  // Told once the audit has looked twice.
  await expect.poll(() => session.account().problems.join()).toMatch(/no instruction was rewritten/);
  running.end('\n');
});

test('with UCX deaf, nothing grows', async (context) => {
  needs(context, 'ucx');
  const file = join(scratchFolder(), 'snapshot.json');
  const command = [buildC('ucx_leak'), LIBUCP, String(ITERATIONS)];
  const ended = await offheap(
    ['run', '--dir', channelFolder(), '--snapshot', file, '--quiet', '--', ...command],
    {
      env: { UCX_MEM_MMAP_HOOK_MODE: 'none' },
    },
  );
  expect(ended.status).toBe(0);
  expect(grownKib(ended)).toBeLessThan(300);
  for (const { triggers } of readSnapshot(file).owners) expect(triggers.munmap ?? 0).toBe(0);
});

describe("Debian's UCX 1.13", () => {
  test('hooks by rewritten code: works, and does not leak', async (context) => {
    needs(context, 'debianUcx');
    const command = [buildC('ucx_leak'), libraryPath('libucp.so.0')!, String(ITERATIONS)];
    const ended = await offheap(['run', '--dir', channelFolder(), '--', ...command], { env: SELF_TEST });
    expect(ended.status).toBe(0);
    expect(ended.stdout + ended.stderr).not.toMatch(SELF_TEST_FAILED);
    expect(grownKib(ended)).toBeLessThan(1000);
    expect(ended.stderr).toMatch(/mapping events, none lost/);
  });

  test('hooks by relocation hang by themselves, with the shim as without', async (context) => {
    needs(context, 'debianUcx');
    const command = ['timeout', '-s', 'KILL', '4', buildC('ucx_leak'), libraryPath('libucp.so.0')!, '1000'];
    const env = { UCX_MEM_MMAP_HOOK_MODE: 'reloc' };
    const without = await finish(command[0]!, command.slice(1), { env });
    const ended = await offheap(['run', '--dir', channelFolder(), '--quiet', '--', ...command], { env });
    expect([ended.status, ended.stdout.includes('READY')]).toEqual([
      without.status ?? 128 + 9,
      without.stdout.includes('READY'),
    ]);
  });
});
