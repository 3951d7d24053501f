// Every resident byte of real programs, against the kernel. With OFFHEAP_ACCOUNT=all, as `npm run test:account` has it, the
// figures of each are printed.
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { renderColumns } from '../src/report/columns.js';
import type { AccountReport, Snapshot } from '../src/report/schema.js';
import { checkSums } from './support/account.js';
import { AccountedTarget } from './support/accounted.js';
import { buildC, buildGo, buildJava, buildRust } from './support/build.js';
import { HANGS_AFTER_MS } from './support/limits.js';
import { DEBIAN_PYTHON, libraryPath, type Need, needs, pythonPath } from './support/needs.js';
import { channelFolder, Holder, offheap } from './support/offheap.js';
import { LIBUCP, ROOT, TARGET_SOURCES } from './support/paths.js';
import { Running } from './support/running.js';

interface Program {
  needs?: Need[];
  command: () => string[];
  preload?: () => string[];
  env?: Record<string, string>;
  /** Makes it hold something, once it runs. */
  fill?: (target: AccountedTarget) => Promise<unknown>;
}

const churn = (): string[] => [buildC('malloc_churn'), '4', '2000000'];
/** Allocates, then waits at its prompt, as a program does most of its life. */
const NODE_HOLDS = 'globalThis.kept = Array.from({ length: 3e5 }, (_, i) => ({ i })); process.stdin.resume()';
const PYTHON_HOLDS =
  'import sys, array; kept = [str(i) for i in range(300000)] + [array.array("d", bytes(8 << 20))]; sys.stdin.read()';

const NUMPY_HOLDS =
  'import sys, numpy; kept = [numpy.arange(n) for n in range(3000)] + [numpy.ones((1000, 1000)) @ numpy.ones((1000, 1000))]; print("READY", flush=True); sys.stdin.read()';

const redisSocket = (): string => join(tmpdir(), `offheap-redis-${process.pid}`);
async function fillRedis(): Promise<void> {
  const client = () => spawnSync('redis-cli', ['-s', redisSocket(), 'debug', 'populate', '100000']);
  const limit = performance.now() + HANGS_AFTER_MS;
  while (client().status !== 0 && performance.now() < limit) await sleep(50);
}

const programs: Record<string, Program> = {
  'C by every path': { command: () => [buildC('every_path'), 'hold'] },
  'malloc in threads': { command: churn },
  jemalloc: { needs: ['jemalloc'], command: churn, preload: () => [libraryPath('libjemalloc.so.2')!] },
  tcmalloc: {
    needs: ['tcmalloc'],
    command: churn,
    preload: () => [libraryPath('libtcmalloc_minimal.so.4')!],
  },
  mimalloc: { needs: ['mimalloc'], command: churn, preload: () => [libraryPath('libmimalloc.so.2')!] },
  CPython: { needs: ['python'], command: () => [pythonPath(), '-c', PYTHON_HOLDS] },
  'CPython, busy': { needs: ['python'], command: () => [pythonPath(), `${TARGET_SOURCES}/python_churn.py`] },
  'CPython with numpy': {
    needs: ['numpy'],
    command: () => [DEBIAN_PYTHON, '-c', NUMPY_HOLDS],
    fill: (target) => target.line(/^READY/),
  },
  Redis: {
    needs: ['redis'],
    command: () => [
      'redis-server',
      ...['--port', '0', '--unixsocket', redisSocket(), '--save', '', '--enable-debug-command', 'yes'],
    ],
    fill: fillRedis,
  },
  Node: { command: () => [process.execPath, '-e', NODE_HOLDS] },
  'Node, busy': { command: () => [process.execPath, `${TARGET_SOURCES}/node_churn.mjs`] },
  Java: { needs: ['java'], command: () => ['java', '-Xmx128m', '-cp', buildJava(), 'Churn', 'hold'] },
  'Go with cgo': { needs: ['go'], command: () => [buildGo()] },
  Rust: { needs: ['rust'], command: () => [buildRust(), 'hold'] },
  'the UCX leak': {
    needs: ['ucx'],
    command: () => [buildC('ucx_leak'), LIBUCP, '150000'],
    env: { UCX_WARN_UNUSED_ENV_VARS: 'n' },
  },
};

const MOST_SAMPLES = 12;
const EXPLAINED_PERCENT = 99.9;
/** A thread that was stopped between the kernel's answer and its record has mapped what nobody has told yet. */
const MOST_UNTOLD = 2;

interface Row {
  program: string;
  samples: number;
  residentBytes: number;
  /** In the worst account, and in the worst that says all that was told. */
  leastPercent: number;
  explainedPercent: number;
  differenceBytes: number;
}
const rows: Row[] = [];

test.for(Object.entries(programs))(
  '%s: the tree adds up to the kernel’s figure, and nearly all of it has an owner',
  async ([name, program], context) => {
    needs(context, ...(program.needs ?? []));
    await using target = await AccountedTarget.start(program.command(), {
      preload: program.preload?.() ?? [],
      env: program.env ?? {},
    });
    await program.fill?.(target);
    const accounts: AccountReport[] = [];
    while (accounts.length < MOST_SAMPLES && target.running) {
      const account = await target.accountPaused();
      if (account === undefined || account.tree === null) break;
      accounts.push(account);
      await sleep(40);
    }
    expect(accounts.length).toBeGreaterThan(0);
    for (const account of accounts) {
      const { tree, totalBytes, swapBytes, differenceBytes } = account;
      expect(tree!.residentBytes + tree!.swapBytes).toBe(totalBytes + swapBytes);
      expect(differenceBytes).toBe(0);
      checkSums(tree!);
    }
    const explained = accounts.map(({ explainedPercent }) => explainedPercent).sort((a, b) => a - b);
    const told = explained[Math.min(MOST_UNTOLD, explained.length - 1)]!;
    const last = accounts.at(-1)!;
    rows.push({
      program: name,
      samples: accounts.length,
      residentBytes: last.totalBytes,
      leastPercent: explained[0]!,
      explainedPercent: told,
      differenceBytes: Math.max(...accounts.map(({ differenceBytes }) => Math.abs(differenceBytes))),
    });
    expect(told, JSON.stringify(last.unexplained.slice(0, 5))).toBeGreaterThanOrEqual(EXPLAINED_PERCENT);
  },
);

test('a process that maps and unmaps meanwhile: what differs is told, and no owner is lost', async () => {
  await using target = await AccountedTarget.start([buildC('threads'), '4', '200000']);
  let accounts = 0;
  for (; accounts < 40 && target.running; accounts++) {
    const { tree, totalBytes, swapBytes, differenceBytes, explainedPercent } = target.account();
    if (tree === null) break;
    expect(tree.residentBytes + tree.swapBytes).toBe(totalBytes + swapBytes - differenceBytes);
    expect(Math.abs(differenceBytes)).toBeLessThan(0.5 * totalBytes);
    expect(explainedPercent).toBeGreaterThan(50);
    checkSums(tree);
  }
  expect(accounts).toBeGreaterThan(3);
});

test('a process that ends while it is read has an account to its end, and then what was last seen', async () => {
  for (let round = 0; round < 4; round++) {
    await using target = await AccountedTarget.start([buildC('threads'), '4', '2000']);
    let last = target.account();
    for (let i = 0; i < 10_000 && last.tree !== null; i++) last = target.account();
    await target.finish();
    last = target.account();
    expect(last).toMatchObject({ tree: null, unexplained: [], differenceBytes: 0 });
    expect(last.problems).toEqual([expect.stringContaining('has ended')]);
  }
});

test('a process that is not recorded has an account too, which says so', async () => {
  const running = new Running('sleep', ['60']);
  const text = await offheap(['account', String(running.pid), '--dir', channelFolder()]);
  expect(text).toMatchObject({ status: 0, stderr: '' });
  expect(text.stdout).toMatch(/^sleep 60 \(pid \d+\), running\nresident .*\nexplained /);
  expect(text.stdout).toMatch(/ files .*█/);
  expect(text.stdout).toContain('! this process is not recorded');
  const { stdout } = await offheap(['account', String(running.pid), '--json', '--dir', channelFolder()]);
  const account = JSON.parse(stdout) as AccountReport;
  expect(account).toMatchObject({ schema: 'offheap.account/1', recorded: false, differenceBytes: 0 });
  expect(account.tree!.residentBytes).toBe(account.totalBytes);
});

test('a running collector is asked', async () => {
  const dir = channelFolder();
  const holder = await Holder.underRun(['--quiet', '--dir', dir]);
  await holder.map(8 << 20);
  const { stdout, stderr } = await offheap(['account', String(holder.pid), '--json', '--dir', dir]);
  expect(stderr).toBe('');
  const { tree, owners, recorded } = JSON.parse(stdout) as AccountReport;
  expect(recorded).toBe(true);
  const program = tree!.children
    .find(({ kind }) => kind === 'anonymous')
    ?.children.find(({ name }) => name === 'holder');
  expect(program?.residentBytes).toBeGreaterThanOrEqual(8 << 20);
  expect(owners.find(({ owner }) => owner === 'holder')?.residentBytes).toBe(program?.residentBytes);

  const snapshot = await offheap(['snapshot', String(holder.pid), '--dir', dir]);
  const { accountHistory } = JSON.parse(snapshot.stdout) as Snapshot;
  expect(accountHistory.timesMs.length).toBeGreaterThan(0);
  const branches = accountHistory.series.filter(({ owner }) => owner === null);
  const firstBytes = branches.reduce((sum, { bytes }) => sum + bytes[0]!, 0);
  expect(firstBytes).toBeGreaterThan(1e6);
  expect(branches.map(({ branch }) => branch)).toEqual(
    expect.arrayContaining(['anonymous', 'files', 'profiler']),
  );
  await holder.leave();
});

test('a process that may not be read: one line with the capability, and what is known all the same', async () => {
  const isRoot = process.getuid?.() === 0;
  // Somebody else's: root's for a user, and for root one asked by a user.
  const running = isRoot ? new Running('sleep', ['60']) : undefined;
  const pid = running?.pid ?? 1;
  // That user may not be able to read this checkout: all is loaded before root becomes one.
  const script = `
    const { accountUnrecorded } = await import('${ROOT}/dist/index.js');
    if (${isRoot}) { process.setgroups([]); process.setgid(65534); process.setuid(65534); }
    try { accountUnrecorded(${pid}); } catch (error) { console.error(error.message); }`;
  const asked = spawnSync(process.execPath, ['--input-type=module', '--eval', script], { encoding: 'utf8' });
  expect(asked.stderr).toMatch(
    new RegExp(
      `^process ${pid} may not be examined by you: it belongs to user 0; .* CAP_SYS_PTRACE; known without: resident \\d.*\n$`,
    ),
  );
});

test('no such process', async () => {
  const asked = await offheap(['account', '4194303', '--dir', channelFolder()]);
  expect(asked).toMatchObject({ status: 1, stdout: '' });
  expect(asked.stderr).toMatch(/^offheap: there is no process 4194303.*\n$/);
});

afterAll(() => {
  if (process.env.OFFHEAP_ACCOUNT !== 'all') return;
  const lines = renderColumns<Row>(
    [
      { title: 'PROGRAM', align: 'left', cell: (row) => row.program },
      { title: 'ACCOUNTS', align: 'right', cell: (row) => String(row.samples) },
      { title: 'RESIDENT', align: 'right', cell: (row) => `${(row.residentBytes / 1e6).toFixed(1)} MB` },
      { title: 'EXPLAINED', align: 'right', cell: (row) => `${row.explainedPercent.toFixed(3)} %` },
      { title: 'LEAST', align: 'right', cell: (row) => `${row.leastPercent.toFixed(3)} %` },
      { title: 'DIFFERENCE', align: 'right', cell: (row) => `${row.differenceBytes} B` },
    ],
    rows,
    100,
  );
  process.stdout.write(`\n${lines.join('\n')}\n`);
});
