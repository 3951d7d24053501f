import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, type TestContext, test } from 'vitest';
import { buildCxx } from './support/build.js';
import { preloadable } from './support/heap-needs.js';
import { type RecordedHeap, recordHeap, sumOf } from './support/heap-recorded.js';
import { scratchFolder } from './support/offheap.js';
import { TARGET_SOURCES } from './support/paths.js';
import { run as runAlone } from './support/recorded.js';

const PLACES = [
  ...[
    'by_malloc',
    'by_cfree',
    'by_free_sized',
    'by_free_aligned_sized',
    'by_calloc',
    'by_realloc',
    'by_memalign',
    'by_posix',
    'by_aligned_alloc',
  ],
  ...['by_new', 'by_new_array', 'by_new_sized', 'by_new_nothrow', 'by_new_array_nothrow'],
  ...['by_new_aligned', 'by_new_array_aligned', 'by_new_aligned_sized', 'by_new_object'],
];

function countsOf(heap: RecordedHeap, place: string) {
  return {
    allocations: sumOf(heap, 'allocations', place),
    frees: sumOf(heap, 'frees', place),
    live: sumOf(heap, 'liveAllocations', place),
  };
}

/** Each place of test/targets/heap_cxx.cc makes a thousand blocks and keeps a hundred. */
const ONCE = { allocations: 1000, frees: 900, live: 100 };
/** realloc makes each of its own out of another. */
const TWICE = { allocations: 2000, frees: 1900, live: 100 };

function expectEachCountedOnce(heap: RecordedHeap): void {
  const found = Object.fromEntries(PLACES.map((place) => [place, countsOf(heap, place)]));
  expect(found).toEqual(
    Object.fromEntries(PLACES.map((place) => [place, place === 'by_realloc' ? TWICE : ONCE])),
  );
  expect(heap.totals).toMatchObject({ lost: 0, damaged: 0 });
}

async function expectWorksWith(
  allocator: 'jemalloc' | 'tcmalloc' | 'mimalloc',
  where: 'preload' | 'before',
  context: TestContext,
): Promise<void> {
  const library = preloadable(context, allocator);
  // Debian's mimalloc is C: it can't throw, and ends the program instead.
  const args = allocator === 'mimalloc' ? [] : ['throw'];
  const alone = await runAlone(buildCxx('heap_cxx'), args, { env: { LD_PRELOAD: library } });
  const heap = await recordHeap([buildCxx('heap_cxx'), ...args], { [where]: [library] });
  expect(heap.run.stderr.toString()).toBe('');
  expect(heap.run.status).toBe(0);
  expect(heap.run.stdout.toString()).toBe(alone.stdout.toString());
  expectEachCountedOnce(heap);
}

test('glibc: every malloc and operator new counts once', async () => {
  expectEachCountedOnce(await recordHeap([buildCxx('heap_cxx')]));
});

test('glibc: reallocarray, which is a jump to realloc there, counts once', async () => {
  expect(countsOf(await recordHeap([buildCxx('heap_cxx')]), 'by_reallocarray')).toEqual(ONCE);
});

// jemalloc's aligned operators are calls of aligned_alloc by name.
test.for(['jemalloc', 'tcmalloc', 'mimalloc'] as const)(
  '%s behind the shim: each counts once',
  (allocator, context) => expectWorksWith(allocator, 'preload', context),
);

test.for(['jemalloc', 'tcmalloc', 'mimalloc'] as const)(
  '%s ahead of the shim: each counts once',
  (allocator, context) => expectWorksWith(allocator, 'before', context),
);

/** The program with the allocator among its own libraries. */
function linkedWith(library: string): string {
  const program = join(scratchFolder(), 'heap_cxx');
  execFileSync('g++', ['-O2', '-g', '-o', program, join(TARGET_SOURCES, 'heap_cxx.cc'), library]);
  return program;
}

test.for(['jemalloc', 'tcmalloc', 'mimalloc'] as const)(
  '%s linked: each counts once',
  async (allocator, context) => {
    const heap = await recordHeap([linkedWith(preloadable(context, allocator))]);
    expect(heap.run.status, heap.run.stderr.toString()).toBe(0);
    expectEachCountedOnce(heap);
  },
);
