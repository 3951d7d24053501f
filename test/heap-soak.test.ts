import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { buildC } from './support/build.js';
import { channelFolder, readSnapshot, scratchFolder, startOffheap } from './support/offheap.js';

const EVENTS = Number(process.env.OFFHEAP_SOAK_EVENTS ?? 20_000_000);
/** At the slowest that it may be. */
const LIMIT_MS = 120_000 + EVENTS / 200;

const STOPPED_MS = 200;
const RUNNING_MS = 200;

/** The pool of chunks, windows of a few threads, the stack tree, and the mappings' part. */
const MOST_CHANNEL_BYTES = 128 << 20;
/** Node itself is most of it. */
const MOST_COLLECTOR_BYTES = 400 << 20;

function peakBytes(pid: number): number {
  const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1];
  return Number(kilobytes) * 1024;
}

/** What the files of a folder take of the memory. */
function bytesIn(folder: string): number {
  return readdirSync(folder)
    .map((file) => statSync(join(folder, file), { throwIfNoEntry: false })?.blocks ?? 0)
    .reduce((sum, blocks) => sum + blocks * 512, 0);
}

test(`${EVENTS} events through a collector that sleeps half of the time: none is lost, memory is bounded`, {
  timeout: LIMIT_MS,
}, async () => {
  const dir = channelFolder();
  const file = join(scratchFolder(), 'snapshot.json');
  const options = ['--heap', 'exact', '--quiet', '--dir', dir, '--snapshot', file];
  const collector = startOffheap(['run', ...options, '--', buildC('heap_flood'), String(EVENTS)], {
    limitMs: LIMIT_MS,
  });
  let hasEnded = false;
  void collector.ended.finally(() => (hasEnded = true));
  let channelBytes = 0;
  let collectorBytes = 0;
  let stops = 0;
  while (!hasEnded) {
    await sleep(RUNNING_MS);
    if (hasEnded) break;
    channelBytes = Math.max(channelBytes, bytesIn(dir));
    collectorBytes = Math.max(collectorBytes, peakBytes(collector.pid));
    collector.kill('SIGSTOP');
    stops++;
    await sleep(STOPPED_MS);
    collector.kill('SIGCONT');
  }
  const { status, stdout, stderr } = await collector.ended;
  expect(stderr).toBe('');
  expect(status).toBe(0);
  const [, pairs, kept] = /^pairs (\d+) kept (\d+)$/m.exec(stdout)!.map(Number);
  const { heap, completeness } = readSnapshot(file);
  expect(heap.mode).toBe('exact');
  expect(completeness.heapEventsLost).toBe(0);
  // Beside the flood, libc allocates for its threads and its output.
  expect(heap.allocations - pairs! - kept!).toBeLessThan(20);
  expect(heap.allocations - heap.frees).toBe(heap.liveAllocations);
  expect(heap.frees).toBeGreaterThanOrEqual(pairs!);
  expect(heap.liveAllocations - kept!).toBeLessThan(20);
  expect(stops).toBeGreaterThan(2);
  expect(channelBytes).toBeLessThan(MOST_CHANNEL_BYTES);
  expect(collectorBytes).toBeLessThan(MOST_COLLECTOR_BYTES);
});
