// What a target is asked to do: by a thread of its own, where that may be, or not at all.
import { expect, type TestContext, test } from 'vitest';
import type { Session } from '../src/session/session.js';
import { AccountedTarget } from './support/accounted.js';
import { buildC, buildSharedC } from './support/build.js';
import { libraryPath, needs } from './support/needs.js';

/** Long enough for any thread that may. */
const LONG_MS = 20_000;
/** Long enough for hundreds that may not. */
const SHORT_MS = 1500;

function trimmed(session: Session, limitMs = LONG_MS): Promise<unknown> {
  return session.trim({ limitMs });
}

function fragments(env: Record<string, string>, preload: string[] = []): Promise<AccountedTarget> {
  return AccountedTarget.start([buildC('heap_fragments')], { env, preload });
}

test.for(['off', 'sampled', 'exact'])('a thread trims the heap on request, in mode %s', async (mode) => {
  await using target = await fragments({ OFFHEAP_HEAP: mode });
  await target.line(/^ready/);
  const heapBefore = target.session.heap.totals();
  const answer = target.session.trim({ limitMs: LONG_MS });
  await target.tell('work');
  const { by, predictedBytes, returnedBytes, before, after } = await answer;
  expect(by).toBe('malloc_trim');
  expect(returnedBytes).toBeGreaterThan(30e6);
  expect(Math.abs(returnedBytes - predictedBytes!)).toBeLessThan(0.01 * returnedBytes);
  expect(before.allocatorBytes - after.allocatorBytes).toBe(returnedBytes);
  // The thread's own allocations went on being recorded as before.
  await target.tell('work');
  const heap = target.session.heap.totals();
  expect(heap.mode).toBe(mode);
  expect(heap.allocations - heapBefore.allocations).toBe(mode === 'exact' ? 128 : 0);
  if (mode === 'exact') {
    expect(heap.liveAllocations).toBe(heapBefore.liveAllocations);
    expect(heap.unknownFrees).toBe(heapBefore.unknownFrees);
  }
});

test('a process that does not allocate is told so in one line, and asked again later', async () => {
  await using target = await fragments({});
  await target.line(/^ready/);
  await expect(trimmed(target.session, 50)).rejects.toMatchObject({
    code: 'REQUEST_UNANSWERED',
    message: 'no thread of the process has called its allocator within 0.05 s; try again when it works',
  });
  // Withdrawn: whoever allocates now finds nothing to do.
  const resident = target.session.account().anonymousBytes;
  await target.tell('work');
  expect(target.session.account().anonymousBytes).toBeGreaterThan(resident - 1e6);
  const answer = target.session.trim({ limitMs: LONG_MS });
  await target.tell('work');
  expect((await answer).returnedBytes).toBeGreaterThan(30e6);
});

async function expectPassedOver(mode: string, preload: string[] = []): Promise<void> {
  await using target = await AccountedTarget.start([buildC('heap_unsafe_points'), mode], { preload });
  await target.line(/^ready/);
  await expect(trimmed(target.session, SHORT_MS)).rejects.toMatchObject({
    code: 'REQUEST_UNANSWERED',
    message: expect.stringMatching(/outside of signal handlers and its allocator .*, \d+ looks in all/),
  });
  const answer = trimmed(target.session);
  target.endInput();
  await expect(answer).resolves.toMatchObject({ by: 'malloc_trim' });
}

test('never in a signal handler', () => expectPassedOver('handler'));

test('never in a signal handler on a stack of its own', () => expectPassedOver('alternate'));

test('never inside of the allocator', () => expectPassedOver('inside', [buildSharedC('libnested_malloc')]));

test.for([
  ['jemalloc', 'libjemalloc.so.2', 'mallctl arena.purge'],
  ['tcmalloc', 'libtcmalloc_minimal.so.4', 'MallocExtension_ReleaseFreeMemory'],
  ['mimalloc', 'libmimalloc.so.2', 'mi_collect'],
] as const)('%s is asked by its own function', async ([need, library, by], context: TestContext) => {
  needs(context, need);
  await using target = await fragments({}, [libraryPath(library)!]);
  await target.line(/^ready/);
  const answer = target.session.trim({ limitMs: LONG_MS });
  await target.tell('work');
  const { predictedBytes, returnedBytes, ...said } = await answer;
  expect(said.by).toBe(by);
  expect(predictedBytes).toBeNull();
  if (need === 'jemalloc') expect(returnedBytes).toBeGreaterThan(30e6);
});
