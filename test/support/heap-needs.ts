import { spawnSync } from 'node:child_process';
import type { TestContext } from 'vitest';
import { hasTool, libraryPath, needs, pythonPath } from './needs.js';

/** An interpreter that has the module, or null. */
export function pythonWith(module: string): string | null {
  const interpreters = [...(hasTool('python3') ? [pythonPath()] : []), '/usr/bin/python3'];
  const has = (python: string) => spawnSync(python, ['-c', `import ${module}`]).status === 0;
  return interpreters.find(has) ?? null;
}

export const BOOST_CONTEXT = 'libboost_context.so.1.74.0';

const ALLOCATORS = {
  jemalloc: 'libjemalloc.so.2',
  tcmalloc: 'libtcmalloc_minimal.so.4',
  mimalloc: 'libmimalloc.so.2',
} as const;

/** An allocator's library; skips the test where it is not installed. */
export function preloadable(context: TestContext, allocator: keyof typeof ALLOCATORS): string {
  needs(context, allocator);
  return libraryPath(ALLOCATORS[allocator])!;
}

const NEEDS = {
  sqlite3: { present: () => hasTool('sqlite3'), install: 'apt-get install sqlite3' },
  git: { present: () => hasTool('git'), install: 'apt-get install git' },
  libunwind: {
    present: () => libraryPath('libunwind.so.8') !== null,
    install: 'apt-get install libunwind-dev',
  },
  greenlet: { present: () => pythonWith('greenlet') !== null, install: 'apt-get install python3-greenlet' },
  boostContext: {
    present: () => libraryPath(BOOST_CONTEXT) !== null,
    install: 'apt-get install libboost-context1.74.0',
  },
} as const;

/** As `needs`, of what only tests of the heap use. */
export function heapNeeds(context: TestContext, ...needs: (keyof typeof NEEDS)[]): void {
  const absent = needs.filter((need) => !NEEDS[need].present());
  if (absent.length === 0) return;
  const reason = absent.map((need) => `needs ${need} (${NEEDS[need].install})`).join('; ');
  if (process.env.OFFHEAP_CI_NO_SKIPS === '1') throw new Error(`would be skipped: ${reason}`);
  context.skip(reason);
}
