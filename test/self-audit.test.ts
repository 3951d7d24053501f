import { expect, onTestFinished, test } from 'vitest';
import { attach } from '../src/session/attach.js';
import { buildC, buildSharedC } from './support/build.js';
import { channelFolder, Holder, preloaded } from './support/offheap.js';
import { Running } from './support/running.js';

const BYTES = 3 << 20;

test('memory that the shim can’t see being mapped becomes a gap, and unexplained ranges, to the byte', async () => {
  const dir = channelFolder();
  const running = new Running(buildC('unseen_mapping'), [], { env: preloaded(dir) });
  const pid = Number((await running.line(/^READY (\d+)$/))[1]);
  const session = await attach(pid, { dir, intervalMs: 20 });
  onTestFinished(() => session.close());
  expect(session.account()).toMatchObject({ explainedPercent: 100, unexplainedBytes: 0 });

  const told = new Promise((resolve) => session.on('gap', resolve));
  running.write(`${BYTES}\n`);
  const start = (await running.line(/^mapped (0x[0-9a-f]+)$/))[1]!;
  const made = /^3\.15 MB were mapped by nobody .* made at run time \(at 0x[0-9a-f]+\)$/;
  const reason = expect.stringMatching(made);
  expect(await told).toEqual({ reason, bytes: BYTES, ranges: [{ start, bytes: BYTES }] });

  const account = session.account();
  expect(account.unexplainedBytes).toBe(BYTES);
  const [range, ...others] = account.unexplained;
  expect(others).toEqual([]);
  expect(range).toMatchObject({ start, bytes: BYTES, residentBytes: BYTES, protection: 'rw-p' });
  expect(account.explainedPercent).toBeCloseTo(100 * (1 - BYTES / account.anonymousBytes), 6);
  expect(account.owners.find(({ kind }) => kind === 'unexplained')?.residentBytes).toBe(BYTES);
  expect(account.problems).toEqual([reason]);
  expect(session.snapshot().completeness).toMatchObject({ unexplainedBytes: BYTES, gaps: [reason] });
  running.end();
});

test('a gap that grows is told again', async () => {
  const dir = channelFolder();
  const running = new Running(buildC('unseen_mapping'), [], { env: preloaded(dir) });
  const pid = Number((await running.line(/^READY (\d+)$/))[1]);
  const session = await attach(pid, { dir, intervalMs: 20 });
  onTestFinished(() => session.close());
  const told: number[] = [];
  session.on('gap', ({ bytes }) => void told.push(bytes));
  for (const times of [1, 2]) {
    running.write(`${BYTES}\n`);
    // The slower the areas are walked, the less often.
    await expect.poll(() => told.at(-1)).toBe(times * BYTES);
  }
});

/** The first gap that a running program's session tells. */
async function gapOf(
  running: Running,
  dir: string,
  grow: () => void,
): Promise<{ reason: string; bytes: number }> {
  const session = await attach(running.pid, { dir, intervalMs: 20 });
  onTestFinished(() => session.close());
  const told = new Promise<{ reason: string; bytes: number }>((resolve) => session.on('gap', resolve));
  grow();
  return told;
}

test('the library is named that makes system calls of its own', async () => {
  const dir = channelFolder();
  const library = buildSharedC('libinline');
  const env = { ...preloaded(dir), OFFHEAP_SCAN: 'libnothing' };
  const running = new Running(buildC('inline_syscall'), [library, '200', 'hold'], { env });
  await running.line(/^READY$/);
  const { reason, bytes } = await gapOf(running, dir, () => {});
  expect(bytes).toBe(100 * (64 << 10));
  expect(reason).toMatch(/most likely a system call of its own in libinline\.so \(mmap at 0x[0-9a-f]+\)$/);
});

test('the site is named that another hooker has overwritten', async () => {
  const dir = channelFolder();
  const running = new Running(buildC('restored_site'), [], { env: preloaded(dir) });
  await running.line(/^READY \d+$/);
  const { reason, bytes } = await gapOf(running, dir, () => running.write(`${BYTES}\n`));
  expect(bytes).toBe(BYTES);
  expect(reason).toContain(
    'most likely another hooker has overwritten 1 rewritten system-call site (mmap in libc.so.6)',
  );
});

test('no gap is told where all is seen, whatever a process maps', async () => {
  const dir = channelFolder();
  const holder = await Holder.alone(preloaded(dir));
  const session = await attach(holder.pid, { dir, intervalMs: 5 });
  onTestFinished(() => session.close());
  const gaps: unknown[] = [];
  session.on('gap', (gap) => void gaps.push(gap));
  for (let i = 0; i < 50; i++) await holder.map(1 << 20);
  await holder.tell('unmap');
  expect(session.account().unexplained).toEqual([]);
  expect(gaps).toEqual([]);
  await holder.leave();
});
