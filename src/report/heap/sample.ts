import { sampleSnapshot } from '../sample.js';
import type { HeapCounts, Snapshot, SnapshotFrame, SnapshotHeap, SnapshotHeapSite } from '../schema.js';
import { NO_HEAP } from './sites.js';

/** The sample snapshot with a heap: a cache in a library that grows, buffers of the program, an unknown stack. */
export function sampleHeapSnapshot(cached = 20_000, estimated = false): Snapshot {
  const snapshot = sampleSnapshot();
  const sites = [
    site({ stack: 11, owner: 'libcache.so.1', kind: 'library', caller: 'libstdc++.so.6' }, cached, 100),
    site({ stack: 12, owner: 'python3.11', kind: 'program', caller: 'libc.so.6' }, 50, 4096),
    site({ stack: 0, owner: 'no stack', kind: 'unexplained', caller: null }, 1, 64),
  ];
  if (estimated) for (const each of sites) each.standardErrorBytes = 10_000;
  const heap: SnapshotHeap = {
    ...NO_HEAP,
    mode: estimated ? 'sampled' : 'exact',
    sampleBytes: 524_288,
    estimated,
    ...sum(sites),
    standardErrorBytes: estimated ? 17_321 : 0,
    owners: sites.map(({ stack: _, caller: __, peakBytes: ___, ...each }) => ({ ...each, path: null })),
    sites,
  };
  snapshot.stacks[11] = [
    frame('libstdc++.so.6', 'operator new(unsigned long)'),
    frame('libcache.so.1', 'cache_insert'),
    frame('python3.11', 'main'),
  ];
  snapshot.stacks[12] = [
    frame('libc.so.6', 'getdelim'),
    frame('python3.11', 'read_lines'),
    frame('python3.11', 'main'),
  ];
  snapshot.completeness.heapEvents = 1_234_567;
  return { ...snapshot, heap };
}

function site(
  whose: Pick<SnapshotHeapSite, 'stack' | 'owner' | 'kind' | 'caller'>,
  live: number,
  bytes: number,
): SnapshotHeapSite {
  return {
    ...whose,
    liveBytes: live * bytes,
    liveAllocations: live,
    allocations: 5 * live,
    frees: 4 * live,
    temporary: 3 * live,
    allocatedBytes: 5 * live * bytes,
    peakBytes: 2 * live * bytes,
    standardErrorBytes: 0,
    standardErrorAllocations: 0,
  };
}

function sum(sites: readonly SnapshotHeapSite[]): HeapCounts {
  const total = (name: keyof HeapCounts) => sites.reduce((all, each) => all + each[name], 0);
  return {
    liveBytes: total('liveBytes'),
    liveAllocations: total('liveAllocations'),
    allocations: total('allocations'),
    frees: total('frees'),
    temporary: total('temporary'),
    allocatedBytes: total('allocatedBytes'),
    peakBytes: total('peakBytes'),
    standardErrorBytes: 0,
    standardErrorAllocations: 0,
  };
}

function frame(module: string, name: string): SnapshotFrame {
  const at = { address: '0x7f0000002000', fileAddress: '0x2000' };
  return { module, function: name, file: null, line: null, inlined: false, language: 'native', ...at };
}
