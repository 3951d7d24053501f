// Leak or retention, on real targets with one disease each, in every mode of recording.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, type TestContext, test } from 'vitest';
import type { SnapshotVerdict } from '../src/report/schema.js';
import type { Session } from '../src/session/session.js';
import { AccountedTarget } from './support/accounted.js';
import { buildC } from './support/build.js';
import { needs } from './support/needs.js';
import { LIBUCP } from './support/paths.js';

const MODES = ['off', 'sampled', 'exact'] as const;
/** Many accounts in little time. */
const OFTEN = { intervalMs: 100, accountTimeShare: 0.5 };
const LIMIT_MS = 40_000;

/** The first verdict that is one, and is what a test waits for. */
async function verdictOf(
  session: Session,
  isFinal: (verdict: SnapshotVerdict) => boolean = () => true,
): Promise<SnapshotVerdict> {
  const end = performance.now() + LIMIT_MS;
  for (;;) {
    const { verdict } = session.snapshot();
    if (verdict.verdict !== 'unknown' && isFinal(verdict)) return verdict;
    if (performance.now() > end) return verdict;
    await sleep(300);
  }
}

const start = (command: string[], heap: string, env: Record<string, string> = {}) =>
  AccountedTarget.start(command, {
    ...OFTEN,
    env: { OFFHEAP_HEAP: heap, OFFHEAP_SAMPLE_BYTES: '65536', ...env },
  });

test.for(MODES)('a true leak is a leak, mode %s', async (mode) => {
  await using target = await start([buildC('heap_leak'), 'leak'], mode);
  await target.line(/^ready/);
  const verdict = await verdictOf(target.session);
  expect(verdict).toMatchObject({ verdict: 'leak', owner: mode === 'off' ? 'libc.so.6' : 'heap_leak' });
  expect(verdict.confidence).toBeGreaterThan(0.5);
  // By stack, where allocations are recorded.
  if (mode !== 'off')
    expect(verdict.frames.slice(0, 2)).toEqual(['keep_request (heap_leak)', 'serve (heap_leak)']);
  const { verdict: accounted, verdicts } = target.account();
  expect(accounted.verdict).toBe('leak');
  expect(verdicts.find(({ owner }) => owner === verdict.owner)!.verdict).toBe('leak');
});

test.for(MODES)('stable memory is none, mode %s', async (mode) => {
  await using target = await start([buildC('heap_leak'), 'stable'], mode);
  await target.line(/^ready/);
  expect(await verdictOf(target.session)).toMatchObject({ verdict: 'none', owner: null, frames: [] });
});

test.for(MODES)('few survivors among freed blocks are retention, mode %s', async (mode) => {
  await using target = await start([buildC('heap_fragments')], mode);
  await target.line(/^ready/);
  const verdict = await verdictOf(target.session);
  expect(verdict).toMatchObject({ verdict: 'retention', owner: 'libc.so.6' });
  expect(verdict.evidence).toMatch(
    /^libc\.so\.6 keeps \d\d\.\d MB that was freed, (9\d|100|8\d) % of the heap/,
  );
});

test('the UCX leak is one outside of the heap, and libucs’s', async (context: TestContext) => {
  needs(context, 'ucx');
  await using target = await start([buildC('ucx_leak'), LIBUCP, '3000000'], 'sampled', {
    UCX_WARN_UNUSED_ENV_VARS: 'n',
  });
  const verdict = await verdictOf(target.session, ({ verdict }) => verdict !== 'none');
  expect(verdict.verdict).toBe('leak outside the heap');
  expect(verdict.owner).toMatch(/^libucs/);
  expect(verdict.evidence).toContain('outside of all allocators');
});
