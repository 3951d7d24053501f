// In the guest of boot.sh alone: memory and settings that this project's own machines don't have.
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, copyFileSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { type Account, takeAccount } from '../../src/account/account.js';
import { inferClaims } from '../../src/account/inferred-claims.js';
import { readMaps } from '../../src/account/maps.js';
import type { Ways } from '../../src/account/reading.js';
import { readThreadStacks } from '../../src/account/thread-stacks.js';
import type { AccountReport } from '../../src/report/schema.js';
import { attach } from '../../src/session/attach.js';
import { shimPath } from '../../src/session/shim.js';
import { checkSums } from '../support/account.js';
import { buildC } from '../support/build.js';
import { channelFolder, Holder, offheap, preloaded, scratchFolder } from '../support/offheap.js';
import { ROOT } from '../support/paths.js';
import { Running } from '../support/running.js';

const PAGE = 4096;
const HUGE = 2 << 20;
const NOBODY = 65534;
const WAYS: Ways[] = [{}, { maps: 'text' }, { pages: 'entries' }, { maps: 'text', pages: 'entries' }];

/** The program of kinds.c, once the kernel has merged and swapped what it may. */
async function kinds(): Promise<{ pid: number; areas: Map<string, { start: number; end: number }> }> {
  const built = join(scratchFolder(), 'kinds');
  execFileSync('cc', ['-O2', '-o', built, join(ROOT, 'test', 'other-kernel', 'kinds.c')]);
  const running = new Running(built, [], { limitMs: 300_000 });
  await running.line(/^READY$/);
  const areas = new Map(
    [...running.stdout.matchAll(/^(\S+) (0x[0-9a-f]+) (\d+)$/gm)].map(
      ([, name, start, bytes]) =>
        [name!, { start: Number(start), end: Number(start) + Number(bytes) }] as const,
    ),
  );
  const scans = () => Number(readFileSync('/sys/kernel/mm/ksm/full_scans', 'utf8'));
  const until = scans() + 3;
  while (scans() < until) await sleep(100);
  return { pid: running.pid, areas };
}

const accountOf = (pid: number, ways: Ways = {}): Account =>
  takeAccount(pid, (areas) => inferClaims(areas, readThreadStacks(pid)), { ways });

function flat(node: Account['tree']): Account['tree'][] {
  return [node, ...node.children.flatMap(flat)];
}

test('huge, merged and swapped memory is named for what it is, and all adds up, by every way', async ({
  annotate,
}) => {
  const { pid, areas } = await kinds();
  const smaps = readFileSync(`/proc/${pid}/smaps`, 'utf8');
  const sum = (field: string) =>
    1024 *
    [...smaps.matchAll(new RegExp(`^${field}: +(\\d+) kB$`, 'gm'))].reduce(
      (all, [, kB]) => all + Number(kB),
      0,
    );
  for (const ways of WAYS) {
    const account = accountOf(pid, ways);
    const { tree, totals, outside, differenceBytes } = account;
    expect([ways, differenceBytes]).toEqual([ways, 0]);
    expect(tree.residentBytes + tree.swapBytes).toBe(totals.totalBytes + totals.swapBytes);
    checkSums(tree);
    expect(outside).toEqual([
      expect.objectContaining({ name: 'explicit huge pages', bytes: 5 * HUGE, residentBytes: 4 * HUGE }),
    ]);
    expect(tree.swapBytes).toBe(sum('Swap'));
    expect(tree.swapBytes).toBeGreaterThanOrEqual(32 * PAGE);
    // Entries of the page map don't tell, and before Linux 6.7 there is nothing else.
    expect([sum('AnonHugePages'), 0]).toContain(tree.hugePageBytes);
  }
  expect(sum('AnonHugePages')).toBeGreaterThanOrEqual(2 * HUGE);
  expect(sum('Private_Hugetlb') + sum('Shared_Hugetlb')).toBe(4 * HUGE);
  const { special } = accountOf(pid);
  expect(special?.hugePageBytes).toBe(sum('AnonHugePages'));
  await annotate(`merged: ${special?.mergedBytes}, the kernel tells of ${sum('KSM')}`);
  const tells = /^KSM:/m.test(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'));
  expect(special?.mergedBytes).toBe(tells ? sum('KSM') : null);
  if (tells) expect(special?.mergedBytes).toBeGreaterThanOrEqual(32 * PAGE);
  const swapped = areas.get('swapped')!;
  expect(readMaps(pid).some(({ start, end }) => start <= swapped.start && swapped.end <= end)).toBe(true);
  expect(flat(accountOf(pid).tree).some(({ swapBytes }) => swapBytes > 0)).toBe(true);
});

test('labels stand in smaps and pmap, where the kernel can', async ({ annotate }) => {
  const dir = channelFolder();
  const env = { ...preloaded(dir), OFFHEAP_LABEL: '1' };
  const holder = await Holder.alone(env);
  const address = await holder.map(1 << 20);
  const session = await attach(holder.pid, { dir });
  onTestFinished(() => session.close());
  const { degraded } = session.snapshot().completeness;
  const named = readMaps(holder.pid).filter(({ path }) => path.startsWith('[anon:offheap:'));
  const can = !degraded.some((reason) => /^this kernel can't name memory/.test(reason));
  await annotate(can ? `named: ${named.map(({ path }) => path).join(' ')}` : 'this kernel can’t name memory');
  if (!can) {
    expect(named).toEqual([]);
    return;
  }
  expect(named.find(({ start, end }) => start <= address && address < end)?.path).toBe(
    '[anon:offheap:holder]',
  );
  const pmap = spawnSync('pmap', ['-X', String(holder.pid)], { encoding: 'utf8' });
  if (pmap.status === 0) expect(pmap.stdout).toContain('offheap:holder');
  expect(session.account()).toMatchObject({ differenceBytes: 0, explainedPercent: 100 });
  await holder.leave();
});

test('labels stop at a share of the areas that a process may have, and that is said', async ({
  annotate,
}) => {
  const most = readFileSync('/proc/sys/vm/max_map_count', 'utf8');
  onTestFinished(() => writeFileSync('/proc/sys/vm/max_map_count', most));
  const dir = channelFolder();
  const plain = await Holder.alone(preloaded(dir));
  const without = readMaps(plain.pid).length;
  await plain.leave();
  writeFileSync('/proc/sys/vm/max_map_count', String(2 * without + 2));
  const holder = await Holder.alone({ ...preloaded(dir), OFFHEAP_LABEL: '1' });
  // The shim has read it by now, and it holds for this process, too, which needs more.
  writeFileSync('/proc/sys/vm/max_map_count', most);
  for (let i = 0; i < 30; i++) await holder.map(PAGE * (1 + (i % 3)));
  const session = await attach(holder.pid, { dir });
  onTestFinished(() => session.close());
  const { degraded } = session.snapshot().completeness;
  const areas = readMaps(holder.pid);
  const named = areas.filter(({ path }) => path.startsWith('[anon:offheap:'));
  await annotate(`${areas.length} areas, ${named.length} of them named; ${degraded.join('; ')}`);
  expect(degraded).toEqual([
    expect.stringMatching(/^labels have split memory|^this kernel can't name memory/),
  ]);
  expect(areas.length).toBeLessThan(2 * without);
  await holder.leave();
});

/** As an ordinary user who is no parent of the target's: what attach and an account say. */
async function asNobody(): Promise<{
  degraded: string[];
  account: AccountReport | null;
  refused: string | null;
}> {
  const folder = mkdtempSync('/tmp/offheap-user-');
  const dir = channelFolder();
  const files = [shimPath(), buildC('holder')].map((path) => join(folder, basename(path)));
  copyFileSync(shimPath(), files[0]!);
  copyFileSync(buildC('holder'), files[1]!);
  chmodSync(folder, 0o777);
  chownSync(dir, NOBODY, NOBODY);
  const asUser = ['setpriv', '--reuid', String(NOBODY), '--regid', String(NOBODY), '--clear-groups'];
  const [program, ...args] = [...asUser, 'env', `LD_PRELOAD=${files[0]}`, `OFFHEAP_DIR=${dir}`, files[1]!];
  const holder = await Holder.of(new Running(program!, args, { limitMs: 300_000 }));
  await holder.map(4 << 20);
  const text = `
    const { attach } = await import('${ROOT}/dist/index.js');
    const session = await attach(${holder.pid}, { dir: '${dir}', witness: true });
    const { degraded, kernelMappings } = session.snapshot().completeness;
    let [account, refused] = [null, null];
    try { account = session.account(); } catch (error) { refused = error.message; }
    console.log(JSON.stringify({ degraded, kernelMappings, account, refused }));
    await session.close();`;
  const { stdout, stderr } = spawnSync(
    asUser[0]!,
    [...asUser.slice(1), process.execPath, '--input-type=module', '--eval', text],
    { encoding: 'utf8', env: { ...process.env, XDG_CACHE_HOME: folder } },
  );
  expect(stderr).toBe('');
  await holder.leave();
  return JSON.parse(stdout);
}

function setting(path: string, value: string): void {
  const before = readFileSync(path, 'utf8');
  writeFileSync(path, value);
  onTestFinished(() => writeFileSync(path, before));
}

test.for(['2', '3', '4'])(
  'kernel.perf_event_paranoid %s, as an ordinary user',
  async (value, { annotate }) => {
    setting('/proc/sys/kernel/perf_event_paranoid', value);
    const { degraded, account } = await asNobody();
    await annotate(`said: ${degraded.join('; ') || 'nothing'}`);
    // Debian's kernels refuse users from 3 on, others know no such value.
    const refusal = `the kernel can't be asked what is mapped: kernel.perf_event_paranoid is ${value}; set it to 2, or run with CAP_PERFMON or as root`;
    expect([[], [refusal]]).toContainEqual(degraded);
    if (value === '2') expect(degraded).toEqual([]);
    expect(account?.explainedPercent).toBe(100);
  },
);

test.for(['1', '2'])('kernel.yama.ptrace_scope %s, as an ordinary user', async (value, { annotate }) => {
  setting('/proc/sys/kernel/yama/ptrace_scope', value);
  const { degraded, account, refused } = await asNobody();
  await annotate(`said: ${[...degraded, ...(account?.problems ?? []), refused].join('; ')}`);
  expect(refused).toBe(null);
  expect(account?.explainedPercent).toBe(100);
  // Where entries are all there is, only the superuser is told which are the page of zeros.
  expect(Math.abs(account!.differenceBytes)).toBeLessThanOrEqual(4 * PAGE);
  expect(degraded.join('; ')).toContain(
    `kernel.yama.ptrace_scope is ${value}; set it to 0, or run with CAP_SYS_PTRACE`,
  );
});

test('offheap says the same on the command line', async () => {
  const dir = channelFolder();
  const holder = await Holder.alone(preloaded(dir));
  const { status, stdout } = await offheap(['account', String(holder.pid), '--dir', dir, '--json']);
  expect([status, JSON.parse(stdout).explainedPercent]).toEqual([0, 100]);
  await holder.leave();
});
