// Programs that fork: each process has an account of its own. The large ones are asked with OFFHEAP_ACCOUNT=all only, as
// `npm run test:account` has it.
import { execFileSync, type SpawnOptions, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, type TestContext, test } from 'vitest';
import type { AccountReport } from '../src/report/schema.js';
import type { ProcessEntry } from '../src/session/index.js';
import { checkSums } from './support/account.js';
import { hasTool, needs } from './support/needs.js';
import { channelFolder, offheap, startOffheap } from './support/offheap.js';
import { ROOT } from './support/paths.js';

const CLI = join(ROOT, 'bin', 'offheap.mjs');
const EXPLAINED_PERCENT = 99.9;
const POSTGRES = '/usr/lib/postgresql/15/bin';

function check(account: AccountReport): void {
  const { tree, totalBytes, swapBytes, differenceBytes } = account;
  expect(tree!.residentBytes + tree!.swapBytes).toBe(totalBytes + swapBytes - differenceBytes);
  checkSums(tree!);
  const what = `${account.process.command.join(' ').slice(0, 60)}: ${JSON.stringify(account.unexplained.slice(0, 3))}`;
  expect(account.explainedPercent, what).toBeGreaterThanOrEqual(EXPLAINED_PERCENT);
}

test('a forked child’s memory from before the fork has its owners', async () => {
  const dir = channelFolder();
  const script = '(echo CHILD $BASHPID; read line <&3) 3<&0; true';
  const running = startOffheap(['run', '--quiet', '--dir', dir, '--', 'bash', '-c', script]);
  const [, pid] = await running.line(/^CHILD (\d+)$/);
  const { stdout, stderr } = await offheap(['account', pid!, '--json', '--dir', dir]);
  expect(stderr).toBe('');
  const account = JSON.parse(stdout) as AccountReport;
  check(account);
  expect(account.unexplained).toEqual([]);
  await running.end('\n');
});

/** All processes with a channel here, asked by the user that runs them. */
function accountAll(dir: string, user: SpawnOptions): AccountReport[] {
  const ask = (...args: string[]) =>
    spawnSync(process.execPath, [CLI, ...args, '--json', '--dir', dir], {
      ...user,
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    }).stdout as string;
  const entries = JSON.parse(ask('ps')) as ProcessEntry[];
  const accounts = entries
    .filter(({ state }) => state === 'running')
    // One that has ended meanwhile has no account.
    .map(({ pid }) => ask('account', String(pid)))
    .filter((text) => text !== '')
    .map((text) => JSON.parse(text) as AccountReport);
  return accounts.filter(({ tree }) => tree !== null);
}

function print(program: string, accounts: readonly AccountReport[]): void {
  const least = Math.min(...accounts.map(({ explainedPercent }) => explainedPercent));
  const residentBytes = accounts.reduce((sum, { totalBytes }) => sum + totalBytes, 0);
  const differenceBytes = Math.max(...accounts.map((account) => Math.abs(account.differenceBytes)));
  process.stdout.write(
    `\n${program}: ${accounts.length} processes, ${(residentBytes / 1e6).toFixed(1)} MB, explained ${least.toFixed(3)} % at least, ${differenceBytes} B beside the kernel's figure at most\n`,
  );
}

/** Not of the quick half. */
function large(name: string, body: (context: TestContext) => Promise<void>): void {
  if (process.env.OFFHEAP_ACCOUNT === 'all') test(name, body);
}

large('chromium, all of its processes', async (context) => {
  needs(context, 'chromium');
  const dir = channelFolder();
  const profile = mkdtempSync(join(tmpdir(), 'offheap-chromium-'));
  onTestFinished(() => rmSync(profile, { recursive: true, force: true, maxRetries: 5 }));
  const options = ['--headless', '--no-sandbox', '--disable-gpu', '--remote-debugging-port=0'];
  const running = startOffheap([
    'run',
    '--quiet',
    '--dir',
    dir,
    '--',
    'chromium',
    ...options,
    `--user-data-dir=${profile}`,
    'about:blank',
  ]);
  await running.complaint(/DevTools listening/);
  await sleep(2000);
  const accounts = accountAll(dir, {});
  running.kill('SIGTERM');
  await running.ended;
  print('chromium', accounts);
  expect(accounts.length).toBeGreaterThan(3);
  for (const account of accounts) check(account);
});

large('PostgreSQL, its server and a session that sorts', async (context) => {
  if (!existsSync(POSTGRES) || !hasTool('psql'))
    context.skip('needs PostgreSQL 15 (apt-get install postgresql)');
  // It refuses to run as root.
  const isRoot = process.getuid?.() === 0;
  const numberOf = (option: string) => Number(execFileSync('id', [option, 'postgres'], { encoding: 'utf8' }));
  const user = isRoot ? { uid: numberOf('-u'), gid: numberOf('-g') } : {};
  const canRead = spawnSync(process.execPath, [CLI, '--help'], user).status === 0 || !isRoot;
  if (!canRead) context.skip('the user postgres may not read this checkout');
  const dir = channelFolder();
  const home = mkdtempSync(join(tmpdir(), 'offheap-postgres-'));
  onTestFinished(() => rmSync(home, { recursive: true, force: true, maxRetries: 5 }));
  if (isRoot) for (const folder of [dir, home]) chownSync(folder, user.uid!, user.gid!);
  const here = { ...user, cwd: home };
  const data = join(home, 'data');
  execFileSync(join(POSTGRES, 'initdb'), ['-D', data, '-A', 'trust'], { ...here, stdio: 'ignore' });
  const server = ['-D', data, '-k', home, '-c', 'listen_addresses=', '-c', 'shared_buffers=64MB'];
  const run = ['run', '--quiet', '--dir', dir, '--', join(POSTGRES, 'postgres'), ...server];
  const child = spawn(process.execPath, [CLI, ...run], { ...here, stdio: 'ignore' });
  const ended = once(child, 'exit');
  try {
    const psql = ['-h', home, ...(isRoot ? ['-U', 'postgres'] : []), 'postgres', '-qc'];
    const fill = "create table t as select i, repeat('x', 100) s from generate_series(1, 100000) i";
    for (let tries = 0; spawnSync('psql', [...psql, fill], here).status !== 0 && tries < 50; tries++) {
      await sleep(200);
    }
    const sorting = spawn(
      'psql',
      [...psql, 'select count(*), pg_sleep(30) from (select * from t order by s, i) x'],
      here,
    );
    await sleep(2000);
    const accounts = accountAll(dir, here);
    sorting.kill('SIGINT');
    print('PostgreSQL', accounts);
    expect(accounts.length).toBeGreaterThan(4);
    for (const account of accounts) check(account);
  } finally {
    child.kill('SIGTERM');
    await ended;
  }
});
