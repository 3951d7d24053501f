// A kernel, or a process, that does not tell all: the same figures by a slower way, or a line about what is missing.
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { AccountNode, AccountReport, Snapshot, TrimReport } from '../src/report/schema.js';
import { shimPath } from '../src/session/shim.js';
import { buildC, buildSharedC } from './support/build.js';
import { HeapHolder } from './support/heap-holder.js';
import { channelFolder, Holder, offheap, preloaded, scratchFolder } from './support/offheap.js';
import { ROOT } from './support/paths.js';
import { Running } from './support/running.js';

const isRoot = process.geteuid?.() === 0;
const NOBODY = 65534;

test('a kernel without PROCMAP_QUERY and PAGEMAP_SCAN: the same figures', async () => {
  const dir = channelFolder();
  const holder = await Holder.alone(preloaded(dir));
  await holder.map(8 << 20);
  const asked = async (command: string, env: Record<string, string>) => {
    const options = command === 'account' ? ['--json', '--dir', dir] : ['--dir', dir];
    const { status, stdout, stderr } = await offheap([command, String(holder.pid), ...options], { env });
    expect(status, stderr).toBe(0);
    return { answer: JSON.parse(stdout), stderr };
  };
  const old = { LD_PRELOAD: buildSharedC('old_kernel') };

  const [fast, slow] = [await asked('account', {}), await asked('account', old)];
  expect(Number(/^refused (\d+)$/m.exec(slow.stderr)?.[1])).toBeGreaterThan(1);
  const [expected, found] = [fast.answer as AccountReport, slow.answer as AccountReport];
  expect(withoutHugePages(found.tree!)).toEqual(withoutHugePages(expected.tree!));
  expect(found).toMatchObject({ explainedPercent: 100, differenceBytes: 0, totalBytes: expected.totalBytes });

  const [sooner, later] = [await asked('snapshot', {}), await asked('snapshot', old)];
  const figures = ({ owners, rss, completeness }: Snapshot) => ({
    owners: owners.map(({ owner, kind, bytes, residentBytes }) => ({ owner, kind, bytes, residentBytes })),
    rss,
    completeness,
  });
  expect(figures(later.answer)).toEqual(figures(sooner.answer));
  await holder.leave();
});

/** Entries of the page map do not tell which pages are huge. */
function withoutHugePages(node: AccountNode): AccountNode {
  return { ...node, hugePageBytes: 0, children: node.children.map(withoutHugePages) };
}

test('a recorded process that may not be examined: what is known, and what is missing', async () => {
  // As an ordinary user all the way: files that this user can read, whoever may read this checkout.
  const folder = scratchFolder();
  const dir = channelFolder();
  const files = [shimPath(), buildC('undumpable')].map((path) =>
    join(folder, path.slice(path.lastIndexOf('/'))),
  );
  copyFileSync(shimPath(), files[0]!);
  copyFileSync(buildC('undumpable'), files[1]!);
  chmodSync(folder, 0o777);
  if (isRoot) chownSync(dir, NOBODY, NOBODY);
  const asUser = isRoot
    ? ['setpriv', '--reuid', String(NOBODY), '--regid', String(NOBODY), '--clear-groups']
    : [];
  const [program, ...args] = [...asUser, 'env', `LD_PRELOAD=${files[0]}`, `OFFHEAP_DIR=${dir}`, files[1]!];
  const running = new Running(program!, args);
  const pid = Number((await running.line(/^READY (\d+)$/))[1]);

  const script = `
    const { attach } = await import('${ROOT}/dist/index.js');
    if (${isRoot}) { process.setgroups([]); process.setgid(${NOBODY}); process.setuid(${NOBODY}); }
    const session = await attach(${pid}, { dir: '${dir}', witness: true });
    const { completeness, rss, owners } = session.snapshot();
    let refused = null;
    try { session.account(); } catch (error) { refused = error.message; }
    console.log(JSON.stringify({ completeness, rss, owners, refused }));
    await session.close();`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    encoding: 'utf8',
    env: { ...process.env, XDG_CACHE_HOME: folder },
  });
  expect(stderr).toBe('');
  const { completeness, rss, owners, refused } = JSON.parse(stdout) as Pick<
    Snapshot,
    'completeness' | 'rss' | 'owners'
  > & { refused: string };
  const missing = `process ${pid} may not be examined by you: it is yours, but guarded (capabilities, set-uid, PR_SET_DUMPABLE 0); run as that user, or with CAP_SYS_PTRACE`;
  // The second witness is another one who may not look.
  const paranoid = Number(readFileSync('/proc/sys/kernel/perf_event_paranoid', 'utf8'));
  const unheard =
    paranoid > 2
      ? `the kernel can't be asked what is mapped: kernel.perf_event_paranoid is ${paranoid}; set it to 2, or run with CAP_PERFMON or as root`
      : "the kernel can't be asked what is mapped: the process may not be examined by you, or a seccomp filter forbids perf events; run as that user, with CAP_PERFMON and CAP_SYS_PTRACE, or as root";
  expect(completeness.degraded).toEqual([missing, unheard]);
  expect(completeness.kernelMappings).toBe(null);
  expect(refused).toMatch(`${missing}; known without: resident `);
  // The ledger and the kernel's totals are known all the same.
  expect(owners.find(({ owner }) => owner === 'undumpable')?.bytes).toBe(4 << 20);
  expect(rss.anonymousBytes).toBeGreaterThan(4 << 20);
  await running.end();
});

test('memory that may not be read: what an allocator holds is not told, but it gives back what it can', async () => {
  const dir = channelFolder();
  const holder = await HeapHolder.alone(dir);
  await holder.tell('keep 4000 1000');
  await holder.tell('drop 3000');
  const command = ['account', String(holder.pid), '--trim', '--json', '--dir', dir];
  let isDone = false;
  const asked = offheap(command, { env: { LD_PRELOAD: buildSharedC('unreadable_memory') } }).finally(() => {
    isDone = true;
  });
  // One of its threads does it when it next allocates.
  while (!isDone) await holder.tell('churn 1 64');
  const { status, stdout, stderr } = await asked;
  expect([status, stderr]).toEqual([0, '']);
  const { trim, problems, explainedPercent } = JSON.parse(stdout) as AccountReport & { trim: TrimReport };
  expect(trim).toMatchObject({ by: 'malloc_trim', predictedBytes: null });
  expect(trim.returnedBytes).toBeGreaterThan(2_000_000);
  expect(explainedPercent).toBe(100);
  expect(problems.join('; ')).toContain("the inside of libc.so.6 can't be read");
  await holder.leave();
});
