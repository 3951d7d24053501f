import { join } from 'node:path';
import { expect, test } from 'vitest';
import { buildC, buildCxx } from './support/build.js';
import { buildCountingShim, comparable, readCounts } from './support/heap-counts.js';
import { PROGRAMS } from './support/heap-programs.js';
import { recordHeap } from './support/heap-recorded.js';
import { channelFolder, offheap, readSnapshot, scratchFolder } from './support/offheap.js';

// The counting shim stands behind ours, which takes it for the allocator: both see the same calls, from the loader's
// first to the last one before exit_group, of a program that is never twice the same too.

const programs = PROGRAMS.map((program) => [program.name, program] as const);

test.for(programs)(
  '%s: the last snapshot has a counting shim’s counts, exactly',
  async ([, program], context) => {
    program.require(context);
    const [counts, file] = [scratchFolder(), join(scratchFolder(), 'snapshot.json')];
    const options = ['--heap', 'exact', '--quiet', '--dir', channelFolder(), '--snapshot', file];
    const ended = await offheap(['run', ...options, '--', ...program.command()], {
      env: { ...program.env, LD_PRELOAD: buildCountingShim(), OFFHEAP_COUNTS: counts },
    });
    expect(ended.stderr).toBe('');
    expect(ended.status).toBe(0);
    const { process: target, heap, completeness } = readSnapshot(file);
    expect(heap.mode).toBe('exact');
    expect(heap.allocations).toBeGreaterThan(10_000);
    expect(completeness.heapEventsLost).toBe(0);
    expect(comparable(heap)).toEqual(readCounts(counts, target.pid));
  },
);

const targets = {
  'every way to allocate': () => [buildCxx('heap_cxx')],
  'sizes at the limits': () => [buildC('heap_results')],
  'two threads that free each other’s blocks': () => [buildC('heap_flood'), '1000000'],
};

test.each(Object.entries(targets))(
  '%s: totals, and the sites together, are a counting shim’s',
  async (_, command) => {
    const heap = await recordHeap(command(), { counting: true });
    expect(heap.run.status, heap.run.stderr.toString()).toBe(0);
    expect(heap.totals).toMatchObject({ mode: 'exact', lost: 0, damaged: 0, withoutLane: 0 });
    expect(comparable(heap.totals)).toEqual(heap.counts);
    const sum = (column: 'liveBytes' | 'liveAllocations' | 'allocations' | 'frees' | 'allocatedBytes') =>
      heap.sites.reduce((all, site) => all + site[column], 0);
    expect({
      allocations: sum('allocations'),
      frees: sum('frees'),
      unknownFrees: 0,
      liveBytes: sum('liveBytes'),
      liveAllocations: sum('liveAllocations'),
      allocatedBytes: sum('allocatedBytes'),
    }).toEqual(heap.counts);
  },
);
