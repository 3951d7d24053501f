// The heap from the target's malloc to the session's rows, the command line and the files.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { HeapSite } from '../src/report/heap/sites.js';
import type { Snapshot, SnapshotHeapSite } from '../src/report/schema.js';
import { attach } from '../src/session/attach.js';
import type { Session } from '../src/session/session.js';
import { HeapHolder } from './support/heap-holder.js';
import { channelFolder, functionsOf, offheap, readSnapshot, scratchFolder } from './support/offheap.js';
import { shapeProblems } from './support/snapshot-shape.js';

const EXACT = { OFFHEAP_HEAP: 'exact' };

async function attached(pid: number, dir: string): Promise<Session> {
  const session = await attach(pid, { dir });
  onTestFinished(() => session.close());
  return session;
}

/** The one site that allocates in a function of the holder's. */
function siteIn(snapshot: Snapshot, name: string): SnapshotHeapSite {
  const found = snapshot.heap.sites.filter(({ stack }) => functionsOf(snapshot, stack).includes(name));
  expect(found).toHaveLength(1);
  return found[0]!;
}

function rowsIn(rows: readonly HeapSite[], name: string): HeapSite[] {
  return rows.filter(({ frames }) => frames.some((frame) => frame.startsWith(`${name} (`)));
}

function expectSums({ heap }: Snapshot): void {
  for (const rows of [heap.sites, heap.owners]) {
    for (const name of ['liveBytes', 'liveAllocations', 'allocations', 'frees', 'temporary'] as const) {
      expect(rows.reduce((sum, row) => sum + row[name], 0)).toBe(heap[name]);
    }
  }
}

describe('run', () => {
  test('--heap exact: what was kept, dropped and churned, by stack, to the block', async () => {
    const file = join(scratchFolder(), 'last.json');
    const dir = channelFolder();
    const holder = await HeapHolder.underRun('--dir', dir, '--heap', 'exact', '--snapshot', file);
    await holder.tell('keep 1000 100');
    await holder.tell('drop 400');
    await holder.tell('churn 5000 64');
    const { stderr } = await holder.leave();
    const snapshot = readSnapshot(file);
    expect(shapeProblems(snapshot)).toEqual([]);
    expect(snapshot.heap).toMatchObject({ mode: 'exact', estimated: false, standardErrorBytes: 0 });
    expect(snapshot.completeness).toMatchObject({ heapEventsLost: 0, degraded: [] });
    expect(siteIn(snapshot, 'keep_blocks')).toMatchObject({
      ...{ owner: 'heap_holder', kind: 'program', caller: 'heap_holder' },
      ...{ liveBytes: 60_000, liveAllocations: 600, allocations: 1000, frees: 400, allocatedBytes: 100_000 },
    });
    const churned = siteIn(snapshot, 'churn_blocks');
    expect(churned).toMatchObject({ liveBytes: 0, liveAllocations: 0, allocations: 5000, frees: 5000 });
    expect(churned.temporary).toBe(5000);
    expectSums(snapshot);
    expect(stderr).toMatch(
      /^heap \(exact\) 60\.\d kB live in 6\d\d allocations · .* temporary · heap_holder/m,
    );
  });

  test('--heap off records nothing, and says nothing', async () => {
    const file = join(scratchFolder(), 'last.json');
    const holder = await HeapHolder.underRun('--dir', channelFolder(), '--heap', 'off', '--snapshot', file);
    await holder.tell('keep 1000 100');
    const { stderr } = await holder.leave();
    const { heap, completeness } = readSnapshot(file);
    expect(heap).toMatchObject({ mode: 'off', allocations: 0, liveBytes: 0, sites: [] });
    expect(completeness).toMatchObject({ heapEvents: 0, degraded: [] });
    expect(stderr).not.toMatch(/^heap \(/m);
  });

  test('sampled by default: an estimate within five standard errors', async () => {
    const file = join(scratchFolder(), 'last.json');
    const options = ['--quiet', '--dir', channelFolder(), '--sample-bytes', '16384', '--snapshot', file];
    const holder = await HeapHolder.underRun(...options);
    await holder.tell('keep 20000 1000');
    await holder.leave();
    const snapshot = readSnapshot(file);
    expect(shapeProblems(snapshot)).toEqual([]);
    expect(snapshot.heap).toMatchObject({ mode: 'sampled', sampleBytes: 16_384, estimated: true });
    const { liveBytes, standardErrorBytes, liveAllocations } = siteIn(snapshot, 'keep_blocks');
    expect(standardErrorBytes).toBeGreaterThan(0);
    expect(standardErrorBytes).toBeLessThan(2e6);
    expect(Math.abs(liveBytes - 20e6)).toBeLessThan(5 * standardErrorBytes);
    expect(Math.abs(liveAllocations * 1000 - liveBytes)).toBeLessThan(1001);
    expectSums(snapshot);
  });

  test('a program after exec has a heap of its own', async () => {
    const file = join(scratchFolder(), 'last.json');
    const options = ['--quiet', '--dir', channelFolder(), '--heap', 'exact', '--snapshot', file];
    const holder = await HeapHolder.underRun(...options);
    await holder.tell('keep 100 1000');
    await holder.exec();
    await holder.tell('keep 7 1000');
    await holder.leave();
    expect(siteIn(readSnapshot(file), 'keep_blocks')).toMatchObject({ liveBytes: 7000, allocations: 7 });
  });

  test('a killed process: what it held at the end, that on its way too', async () => {
    const file = join(scratchFolder(), 'last.json');
    const options = ['--quiet', '--dir', channelFolder(), '--heap', 'exact', '--snapshot', file];
    const holder = await HeapHolder.underRun(...options);
    await holder.tell('keep 50 1000');
    process.kill(holder.pid, 'SIGKILL');
    await holder.running.ended;
    expect(siteIn(readSnapshot(file), 'keep_blocks')).toMatchObject({
      liveBytes: 50_000,
      liveAllocations: 50,
    });
  });
});

describe('the heap of a session', () => {
  test('by site, owner, thread, size and age', async () => {
    const dir = channelFolder();
    const holder = await HeapHolder.alone(dir, EXACT);
    await holder.tell('keep 300 100');
    await holder.tell('thread 200 5000');
    const session = await attached(holder.pid, dir);
    const { heap } = session;
    expect(session.ledger.heap).toBe(heap);
    expect(heap.mode).toBe('exact');
    const rows = heap.bySite();
    const [onThread, onMain] = rowsIn(rows, 'keep_blocks');
    expect(onThread).toMatchObject({ liveBytes: 1_000_000, liveAllocations: 200, owner: 'heap_holder' });
    expect(onThread!.frames).toContain('keep_on_thread (heap_holder)');
    expect(onMain).toMatchObject({ liveBytes: 30_000, liveAllocations: 300 });
    expect(heap.bySite(1)).toEqual([rows[0]]);
    const [owner] = heap.byOwner();
    expect(owner).toMatchObject({ owner: 'heap_holder', kind: 'program' });
    // Beside the blocks the loader's book-keeping for the thread.
    expect(owner!.liveBytes).toBeGreaterThanOrEqual(1_030_000);
    expect(owner!.liveBytes).toBeLessThan(1_031_000);
    const threads = heap.byThread();
    expect(threads.map(({ threadId }) => threadId === holder.pid)).toEqual([false, true]);
    expect(threads[0]).toMatchObject({ liveBytes: 1_000_000, liveAllocations: 200 });
    expect(threads[1]!.liveBytes + 1_000_000).toBe(owner!.liveBytes);
    const small = heap.bySize().find(({ fromBytes, belowBytes }) => fromBytes <= 100 && 100 < belowBytes!);
    expect(small).toMatchObject({ liveAllocations: 300, liveBytes: 30_000 });
    for (const bins of [heap.bySize(), heap.byAge()]) {
      expect(bins.reduce((sum, bin) => sum + bin.liveBytes, 0)).toBe(heap.totals().liveBytes);
    }
    expect(heap.totals()).toMatchObject({ mode: 'exact', unknownFrees: 0, estimated: false });
  });

  test('leaks: what was allocated since the mark and lives, the never freed first', async () => {
    const dir = channelFolder();
    const holder = await HeapHolder.alone(dir, EXACT);
    await holder.tell('keep 10 1000');
    const session = await attached(holder.pid, dir);
    const { heap } = session;
    expect(() => heap.leaks()).toThrow(expect.objectContaining({ code: 'NO_MARK' }));
    const first = heap.mark();
    expect(heap.leaks()).toEqual([]);
    await holder.tell('thread 5 10');
    await holder.tell('keep 20 1000');
    await holder.tell('drop 4');
    const all = heap.leaks();
    const leaks = all.filter(({ frames }) => frames[0] === 'keep_blocks (heap_holder)');
    expect(leaks).toMatchObject([
      { owner: 'heap_holder', liveBytes: 50, liveAllocations: 5, freed: 0, neverFreed: true },
      { owner: 'heap_holder', liveBytes: 16_000, liveAllocations: 16, freed: 4, neverFreed: false },
    ]);
    expect(all.findLastIndex(({ neverFreed }) => neverFreed)).toBe(all.length - 2);
    heap.mark();
    expect(heap.leaks()).toEqual([]);
    expect(heap.leaks(first)).toEqual(all);
  });

  test('modes are switched while it runs; what is no longer followed is labelled', async () => {
    const dir = channelFolder();
    const holder = await HeapHolder.alone(dir, { OFFHEAP_HEAP: 'off' });
    await holder.tell('keep 10 1000');
    const session = await attached(holder.pid, dir);
    const { heap } = session;
    expect(heap.mode).toBe('off');
    expect(heap.totals().liveBytes).toBe(0);
    session.ledger.heap.mode = 'exact';
    expect(heap.mode).toBe('exact');
    await holder.tell('keep 20 1000');
    expect(rowsIn(heap.bySite(), 'keep_blocks')).toMatchObject([{ liveBytes: 20_000 }]);
    heap.sampleBytes = 1000;
    heap.mode = 'sampled';
    expect([heap.mode, heap.sampleBytes]).toEqual(['sampled', 1000]);
    expect(heap.totals()).toMatchObject({ liveBytes: 0, before: { bytes: 20_000, allocations: 20 } });
    await holder.tell('keep 1000 1000');
    const { liveBytes, standardErrorBytes } = heap.totals();
    expect(Math.abs(liveBytes - 1e6)).toBeLessThan(5 * standardErrorBytes);
    heap.mode = 'off';
    expect(heap.totals()).toMatchObject({ mode: 'off', liveBytes: 0 });
  });

  test('what can’t be is refused by name', async () => {
    const dir = channelFolder();
    const holder = await HeapHolder.alone(dir, EXACT);
    const session = await attached(holder.pid, dir);
    const { heap } = session;
    const setMode = (mode: string) => {
      heap.mode = mode as 'off';
    };
    const setSampleBytes = (bytes: number) => {
      heap.sampleBytes = bytes;
    };
    expect(() => setMode('all')).toThrow(expect.objectContaining({ code: 'HEAP_MODE_UNKNOWN' }));
    for (const bytes of [0, -1, 1.5, 2 ** 32, Number.NaN]) {
      expect(() => setSampleBytes(bytes)).toThrow(expect.objectContaining({ code: 'SAMPLE_BYTES_REFUSED' }));
    }
    for (const mark of [99, -1, 1.5, Number.NaN]) {
      expect(() => heap.leaks(mark)).toThrow(expect.objectContaining({ code: 'NO_MARK' }));
    }
    const ended = new Promise((resolve) => session.on('exit', resolve));
    await holder.leave();
    await ended;
    expect(() => setMode('off')).toThrow(expect.objectContaining({ code: 'PROCESS_ENDED' }));
    expect(heap.mode).toBe('exact');
  });

  test('a forked child starts with nothing; its free of an inherited block is no alarm', async () => {
    const dir = channelFolder();
    const holder = await HeapHolder.alone(dir, EXACT);
    await holder.tell('keep 10 1000');
    const child = await holder.fork(3, 500);
    const session = await attached(child, dir);
    const snapshot = session.snapshot();
    expect(siteIn(snapshot, 'keep_blocks')).toMatchObject({ liveBytes: 1500, allocations: 3, frees: 0 });
    expect(snapshot.heap.unknownFrees).toBe(1);
    expect(snapshot.completeness.degraded).toEqual([]);
  });

  test('attaching to the dead: what it left', async () => {
    const dir = channelFolder();
    const holder = await HeapHolder.alone(dir, EXACT);
    await holder.tell('keep 30 1000');
    process.kill(holder.pid, 'SIGKILL');
    await holder.running.ended;
    const { heap } = await attached(holder.pid, dir);
    expect(rowsIn(heap.bySite(), 'keep_blocks')).toMatchObject([{ liveBytes: 30_000, liveAllocations: 30 }]);
  });
});

describe('the command line', () => {
  test('eval asks the collector that runs, and switches', async () => {
    const dir = channelFolder();
    const holder = await HeapHolder.underRun('--quiet', '--dir', dir, '--heap', 'exact');
    await holder.tell('keep 25 1000');
    const evaluate = async (expression: string) => {
      const asked = await offheap(['eval', '--json', String(holder.pid), expression, '--dir', dir]);
      expect(asked.stderr).toBe('');
      return JSON.parse(asked.stdout);
    };
    expect(rowsIn(await evaluate('heap.bySite()'), 'keep_blocks')).toMatchObject([{ liveBytes: 25_000 }]);
    expect(await evaluate("(heap.mode = 'sampled', ledger.heap.mode)")).toBe('sampled');
    expect(await evaluate('heap')).toMatchObject({ mode: 'sampled' });
    const wrong = await offheap(['eval', String(holder.pid), "heap.mode = 'all'", '--dir', dir]);
    expect(wrong).toMatchObject({ status: 1, stdout: '' });
    expect(wrong.stderr).toMatch(/^offheap: there is no heap mode "all"; choose off, sampled, exact\n$/);
  });

  test('flame graphs of the heap, and of what grew on it since the mark', async () => {
    const dir = channelFolder();
    const holder = await HeapHolder.underRun('--quiet', '--dir', dir, '--heap', 'exact');
    await holder.tell('keep 25 1000');
    const draw = async (...options: string[]) => {
      const file = join(scratchFolder(), 'heap.folded');
      const ended = await offheap(['flamegraph', String(holder.pid), '-o', file, '--dir', dir, ...options]);
      expect(ended).toMatchObject({ status: 0, stderr: '' });
      return readFileSync(file, 'utf8');
    };
    expect(await draw('--heap')).toMatch(/;main;keep_blocks 25000$/m);
    await offheap(['eval', String(holder.pid), 'mark().takenAt', '--dir', dir]);
    await holder.tell('keep 3 1000');
    expect(await draw('--heap', '--growth')).toMatch(/^[^\n]*;main;keep_blocks 3000\n$/);
    const svg = await offheap(['flamegraph', String(holder.pid), '--heap', '--dir', dir]);
    expect(svg.stdout).toContain('heap, live bytes: 28.0 kB in 28 allocations');
  });

  test('diff names the stacks that grew', async () => {
    const dir = channelFolder();
    const folder = scratchFolder();
    const holder = await HeapHolder.underRun('--quiet', '--dir', dir, '--heap', 'exact');
    const take = async (name: string) => {
      const file = join(folder, name);
      expect((await offheap(['snapshot', String(holder.pid), '-o', file, '--dir', dir])).status).toBe(0);
      return file;
    };
    await holder.tell('keep 5 1000');
    const before = await take('a.json');
    await holder.tell('keep 40 1000');
    const { stdout } = await offheap(['diff', before, await take('b.json')]);
    expect(stdout).toContain('heap: +40.0 kB in +40 allocations');
    expect(stdout).toMatch(
      /^heap_holder: \+40\.0 kB in \+40 allocations\n {4}keep_blocks \(heap_holder(, heap_holder\.c:\d+)?\)$/m,
    );
  });

  test('snapshots of two collectors, one after the other: the second begins anew, and diff compares no heaps', async () => {
    const dir = channelFolder();
    const folder = scratchFolder();
    const holder = await HeapHolder.alone(dir, EXACT);
    await holder.tell('keep 3000 100');
    const [first, second] = [join(folder, 'a.json'), join(folder, 'b.json')];
    for (const file of [first, second]) {
      expect((await offheap(['snapshot', String(holder.pid), '-o', file, '--dir', dir])).status).toBe(0);
    }
    expect(readSnapshot(first).heap.followedSince).toBe(null);
    const later = readSnapshot(second);
    expect(shapeProblems(later)).toEqual([]);
    expect(Date.parse(later.heap.followedSince!)).toBeGreaterThan(Date.parse(readSnapshot(first).takenAt));
    const { stdout } = await offheap(['diff', first, second]);
    expect(stdout).toContain('heap: not compared');
    await holder.leave();
  });

  test('top shows the heap in a line', async () => {
    const dir = channelFolder();
    const holder = await HeapHolder.alone(dir, EXACT);
    await holder.tell('keep 1000 1000');
    const { stdout } = await offheap(['top', String(holder.pid), '-n', '1', '--dir', dir]);
    expect(stdout).toMatch(
      /^heap \(exact\) 1\.00 MB live in 1,000 allocations · 1,000 made · heap_holder 1\.00 MB$/m,
    );
  });
});
