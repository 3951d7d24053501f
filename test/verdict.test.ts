// Leak or retention, on real targets with one disease each, in every mode of recording.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, type TestContext, test } from 'vitest';
import type { SnapshotVerdict } from '../src/report/schema.js';
import type { Session } from '../src/session/session.js';
import { AccountedTarget } from './support/accounted.js';
import { buildC } from './support/build.js';
import { HANGS_AFTER_MS } from './support/limits.js';
import { libraryPath, needs } from './support/needs.js';
import { LIBUCP } from './support/paths.js';

const MODES = ['off', 'sampled', 'exact'] as const;
/** Many accounts in little time. */
const OFTEN = { intervalMs: 100, accountTimeShare: 0.5 };

/** The first verdict that is one, and is what a test waits for. */
async function verdictOf(
  session: Session,
  isFinal: (verdict: SnapshotVerdict) => boolean = () => true,
): Promise<SnapshotVerdict> {
  const end = performance.now() + HANGS_AFTER_MS;
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
  const verdict = await verdictOf(target.session, (told) => told.verdict === 'leak');
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

/** Resident bytes of the heap, as soon as its allocator tells. */
async function heapBytes(target: AccountedTarget): Promise<number> {
  await target.line(/^ready/);
  await target.tell('work');
  const { tree } = target.account();
  return tree!.children.find(({ kind }) => kind === 'allocators')!.residentBytes;
}

const within = (part: number, value: number, of: number) => Math.abs(value - of) <= part * of;

test.for([[], ['alike']])(
  'what would be saved is what is saved then, by malloc_trim and by jemalloc %s',
  async (more, context: TestContext) => {
    needs(context, 'jemalloc');
    const command = [buildC('heap_fragments'), '60000', ...more];
    await using target = await start(command, 'exact');
    const residentBytes = await heapBytes(target);
    const { savings, pins } = target.account();
    // The stack of the survivors is named, and pins nearly all that is free beside them.
    expect(pins![0]).toMatchObject({ owner: 'heap_fragments', kind: 'program' });
    expect(pins![0]!.frames.slice(0, 2)).toEqual([
      'keep_session (heap_fragments)',
      'serve_burst (heap_fragments)',
    ]);
    expect(pins![0]!.freeBytes).toBeGreaterThan(0.9 * savings!.pinnedFreeBytes);
    expect(target.session.heap.pins(1)[0]).toEqual(pins![0]);
    // The picture counts as much as the account does, but for a page that blocks begin or end in.
    const picture = await target.session.pagemap();
    const [, deadMegabytes] = /([\d.]+) MB \([\d.]+ %\) on pages where nothing lives/.exec(picture)!;
    expect(Math.abs(Number(deadMegabytes) * 1e6 - savings!.unpinnedBytes)).toBeLessThan(1e6);
    expect(picture).toContain('by keep_session (heap_fragments) ← serve_burst (heap_fragments)');

    const trim = target.session.trim();
    await target.tell('work');
    const { returnedBytes } = await trim;
    expect([returnedBytes, savings!.trimBytes]).toSatisfy(() =>
      within(0.2, savings!.trimBytes!, returnedBytes),
    );

    await using other = await AccountedTarget.start(command, {
      preload: [libraryPath('libjemalloc.so.2')!],
      env: { MALLOC_CONF: 'dirty_decay_ms:0' },
    });
    const savedBytes = residentBytes - (await heapBytes(other));
    expect([savedBytes, savings!.segregatedSavingBytes]).toSatisfy(() =>
      within(0.2, savings!.segregatedSavingBytes!, savedBytes),
    );
  },
);

test('a collector that knows only part of the heap names nobody who pins it', async () => {
  await using target = await start([buildC('heap_fragments'), '1000'], 'sampled');
  await target.line(/^ready/);
  expect(() => target.session.heap.pins()).toThrow(expect.objectContaining({ code: 'HEAP_NOT_EXACT' }));
  target.session.heap.mode = 'exact';
  expect(() => target.session.heap.pins()).toThrow(expect.objectContaining({ code: 'HEAP_NOT_EXACT' }));
  expect(target.account().pins).toBeNull();
  expect(await target.session.pagemap({ format: 'html' })).toContain('in use, in part at least');
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
