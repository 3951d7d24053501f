import { join } from 'node:path';
import { expect, test } from 'vitest';
import { channelFiles } from '../src/drain/directory.js';
import { Channel } from '../src/wire/channel.js';
import { HeapChannel } from '../src/wire/heap.js';
import { buildC, buildSharedC } from './support/build.js';
import { recordHeap } from './support/heap-recorded.js';
import { channelFolder, offheap, preloaded, readSnapshot, scratchFolder } from './support/offheap.js';
import { Recorder, run } from './support/recorded.js';
import { Running } from './support/running.js';

const EVENTS = 4_000_000;
/** A pool that is full within milliseconds. */
const SMALL_POOL = { OFFHEAP_HEAP_CHUNKS: '64' };
/** The target takes a collector that was silent for two seconds for gone. */
const BUSY_MS = 4000;

test('a pool that is always full: threads wait, and no event is lost', async () => {
  const heap = await recordHeap([buildC('heap_flood'), String(EVENTS)], { env: SMALL_POOL, counting: true });
  expect(heap.run.status).toBe(0);
  expect(heap.totals).toMatchObject({ mode: 'exact', lost: 0, damaged: 0 });
  expect(heap.totals.waits).toBeGreaterThan(0);
  expect(heap.totals.allocations).toBe(heap.counts!.allocations);
  expect(heap.totals.frees).toBe(heap.counts!.frees);
});

test('a collector whose JavaScript is busy for seconds reads on', async () => {
  using recorder = new Recorder();
  const gated = recorder.environment({ preload: [buildSharedC('libgate')] });
  const running = new Running(buildC('heap_flood'), [String(5 * EVENTS)], {
    env: { ...gated, ...SMALL_POOL, OFFHEAP_HEAP: 'exact' },
  });
  await running.line(/^WAITING$/);
  recorder.poll();
  const heap = new HeapChannel(recorder.of(running.pid)[0]!.recording.drain.channel.path);
  heap.start();
  const ended = running.end('\n');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BUSY_MS);
  expect((await ended).status).toBe(0);
  recorder.finish();
  heap.finish();
  const totals = heap.totals();
  expect(totals).toMatchObject({ mode: 'exact', lost: 0, damaged: 0 });
  expect(totals.waits).toBeGreaterThan(0);
  expect(totals.events).toBeGreaterThan(4 * EVENTS);
  heap.close();
});

test('what launches the target is waited for', async () => {
  const file = join(scratchFolder(), 'snapshot.json');
  const { status } = await offheap(
    ['run', '--quiet', '--heap', 'exact', '--snapshot', file, '--', buildC('heap_flood'), String(EVENTS)],
    { env: { ...SMALL_POOL, OFFHEAP_DIR: channelFolder() } },
  );
  expect(status).toBe(0);
  const { heap, completeness } = readSnapshot(file);
  expect(heap.mode).toBe('exact');
  expect(completeness.heapEventsLost).toBe(0);
});

test('without a collector the target never waits: it samples on, and says so', async () => {
  const directory = channelFolder();
  const ended = await run(buildC('heap_flood'), [String(EVENTS)], {
    env: { ...preloaded(directory), ...SMALL_POOL, OFFHEAP_HEAP: 'exact' },
  });
  expect(ended.status).toBe(0);
  const header = new Channel(channelFiles(directory)[0]!.path).header();
  expect(header).toMatchObject({ heapWaits: 0, heapControl: { mode: 'sampled' } });
  expect(header.heapEventsLost).toBeGreaterThan(0);
  expect(header.degraded).toContainEqual(expect.stringMatching(/^the collector was too slow for exact/));
});
