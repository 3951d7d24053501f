import { NO_HEAP } from './heap/sites.js';
import type { Snapshot, SnapshotFrame, SnapshotMapping, SnapshotOwner } from './schema.js';

/** A small snapshot of the kind that the tool exists for: a library that maps memory inside the program's munmap. */
export function sampleSnapshot(chunks = 381): Snapshot {
  const mappings = [
    ...Array.from({ length: chunks }, (_, index) => leakedChunk(index)),
    mapping({
      start: '0x55d0a0000000',
      bytes: 4_194_304,
      owner: 'libc.so.6',
      kind: 'allocator',
      stack: 2,
    }),
    mapping({ start: '0x7ffd00000000', bytes: 135_168, owner: '[stack]', kind: 'stack', stack: 0 }),
  ];
  const owners = [
    owner('libucs.so.0', 'library', mappings, 419_430_400),
    owner('libc.so.6', 'allocator', mappings, 0),
    owner('[stack]', 'stack', mappings, 0),
  ];
  return {
    schema: 'offheap.snapshot/1',
    process: {
      pid: 4242,
      parentPid: 1,
      command: ['python3', 'decode.py'],
      startedAt: '2026-01-21T10:00:00.000Z',
      state: 'running',
      exit: null,
    },
    takenAt: '2026-01-21T10:01:01.200Z',
    observedSeconds: 61.2,
    completeness: {
      mappingEvents: 1_014_072,
      mappingEventsLost: 0,
      heapEvents: 0,
      heapEventsLost: 0,
      truncatedStacks: 0,
      sitesPatched: 12,
      sitesOverwritten: 0,
      unexplainedBytes: 0,
      kernelMappings: null,
      gaps: [],
      observerEffects: [],
      hookers: [],
      unnamedFrames: 0,
      unnamedFramesBy: {},
      degraded: [],
    },
    rss: {
      totalBytes: 76_000_000,
      anonymousBytes: 62_000_000,
      fileBytes: 14_000_000,
      sharedBytes: 0,
      swapBytes: 0,
      explainedPercent: 100,
    },
    owners,
    mappings,
    heap: NO_HEAP,
    stacks: {
      1: [
        frame('libc.so.6', 'syscall'),
        frame('libucm.so.0', 'ucm_orig_mmap_syscall'),
        frame('libucs.so.0', 'ucs_rcache_mp_chunk_alloc'),
        frame('libucs.so.0', 'ucs_mpool_grow'),
        frame('libucs.so.0', 'ucs_rcache_unmapped_callback'),
        frame('libucm.so.0', 'ucm_event_dispatch'),
        frame('libucm.so.0', 'ucm_munmap'),
        frame('python3.11', '_PyObject_Free'),
        frame('python3.11', 'main'),
      ],
      2: [frame('libc.so.6', 'sbrk'), frame('libc.so.6', 'malloc'), frame('python3.11', 'main')],
    },
    hints: [],
    verdict: {
      ...{ verdict: 'leak outside the heap', owner: 'libucs.so.0', stack: null, confidence: 0.9, frames: [] },
      evidence: 'What libucs.so.0 holds rose by 57.7 MB within 61 s.',
    },
    verdicts: [],
    accountHistory: { timesMs: [], series: [] },
  };
}

function leakedChunk(index: number): SnapshotMapping {
  const start = `0x${(0x7f00_0000_0000 + index * 151_552).toString(16)}`;
  const at = { start, bytes: 151_552, stack: 1 };
  return mapping({ ...at, owner: 'libucs.so.0', kind: 'library', enclosing: 'munmap' });
}

function mapping(given: Partial<SnapshotMapping> & { bytes: number }): SnapshotMapping {
  return {
    start: '0x0',
    residentBytes: given.bytes,
    owner: '?',
    kind: 'unexplained',
    operation: 'mmap',
    enclosing: null,
    threadId: 4242,
    mappedAt: '2026-01-21T10:00:30.000Z',
    reserved: false,
    stack: 0,
    ...given,
  };
}

function frame(module: string, name: string): SnapshotFrame {
  const at = { address: '0x7f0000001000', fileAddress: '0x1000' };
  return { module, function: name, file: null, line: null, inlined: false, language: 'native', ...at };
}

function owner(
  name: string,
  kind: SnapshotOwner['kind'],
  mappings: readonly SnapshotMapping[],
  growthBytesPerMinute: number,
): SnapshotOwner {
  const own = mappings.filter((mapping) => mapping.owner === name);
  const bytes = own.reduce((sum, mapping) => sum + mapping.bytes, 0);
  const trigger = own[0]?.enclosing ?? 'none';
  return {
    owner: name,
    path: kind === 'library' ? `/usr/lib/${name}` : null,
    kind,
    mappings: own.length,
    bytes,
    reservedBytes: 0,
    residentBytes: bytes,
    growthBytesPerMinute,
    callers: { 'libucm.so.0': bytes },
    triggers: { [trigger]: bytes },
  };
}
