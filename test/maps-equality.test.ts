import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { differencesFromKernel, followStacks } from '../src/session/in-step.js';
import { buildC, buildGo, buildJava, buildRust } from './support/build.js';
import { libraryPath, type Need, needs, pythonPath } from './support/needs.js';
import { TARGET_SOURCES } from './support/paths.js';
import { PausableTarget } from './support/pausable.js';

/**
 * What a paused target's kernel and its ledger differ in, beyond the stacks that the kernel extends by itself. Undefined
 * where a thread was stopped within the few instructions between taking a place in the ring and filling it.
 */
function differences({ recorded, pid }: PausableTarget) {
  const found = differencesFromKernel(recorded.recording, pid);
  if (found === undefined) return undefined;
  return { ...found, missingInLedger: followStacks(recorded.recording, found.missingInLedger) };
}

interface Program {
  needs?: Need[];
  command: () => string[];
  preload?: () => string[];
  /** Leaves calls by siglongjmp before their result is recorded: what they mapped stays unexplained. */
  abandonsCalls?: boolean;
}

const churn = (): string[] => [buildC('malloc_churn'), '4', '400000'];

const programs: Record<string, Program> = {
  threads: { command: () => [buildC('threads'), '4', '30000'] },
  'two threads that reuse addresses': { command: () => [buildC('address_reuse'), '40000'] },
  signals: { command: () => [buildC('signals'), '20000'], abandonsCalls: true },
  coroutines: { command: () => [buildC('coroutines'), '20000'] },
  'malloc in threads': { command: churn },
  jemalloc: { needs: ['jemalloc'], command: churn, preload: () => [libraryPath('libjemalloc.so.2')!] },
  tcmalloc: {
    needs: ['tcmalloc'],
    command: churn,
    preload: () => [libraryPath('libtcmalloc_minimal.so.4')!],
  },
  mimalloc: { needs: ['mimalloc'], command: churn, preload: () => [libraryPath('libmimalloc.so.2')!] },
  CPython: { needs: ['python'], command: () => [pythonPath(), `${TARGET_SOURCES}/python_churn.py`] },
  Node: { command: () => [process.execPath, `${TARGET_SOURCES}/node_churn.mjs`] },
  Java: { needs: ['java'], command: () => ['java', '-Xmx128m', '-cp', buildJava(), 'Churn'] },
  'Go with cgo': { needs: ['go'], command: () => [buildGo()] },
  Rust: { needs: ['rust'], command: () => [buildRust()] },
};

const MOST_COMPARISONS = 12;

test.for(Object.entries(programs))(
  '%s, paused anywhere: as the kernel has it',
  async ([, program], context) => {
    needs(context, ...(program.needs ?? []));
    await using target = await PausableTarget.start(program.command(), {
      preload: program.preload?.() ?? [],
    });
    let compared = 0;
    do {
      const found = differences(target);
      if (found !== undefined) {
        compared++;
        // A release is recorded before it happens and an acquisition after it: whatever is on its way, nothing is in
        // the ledger that the kernel doesn't have.
        expect(found.missingInKernel).toEqual([]);
        if (!program.abandonsCalls)
          expect(found.missingInLedger.length).toBeLessThanOrEqual(target.threadsInShim());
        const { completeness } = target.recorded.snapshot();
        const bytes = found.missingInLedger.reduce((sum, { start, end }) => sum + end - start, 0);
        expect(completeness.unexplainedBytes).toBe(bytes);
      }
      target.resume();
      await sleep(compared);
    } while (compared < MOST_COMPARISONS && (await target.pause()));
    expect(compared).toBeGreaterThan(0);
    expect(target.recorded.recording.ledger.counters).toMatchObject({
      contradictions: 0,
      unmatched: 0,
      unplaced: 0,
    });
  },
);

test('C by every path, holding some of each sort: as the kernel has it', async () => {
  await using target = await PausableTarget.start([buildC('every_path'), 'hold']);
  target.resume();
  await target.ready();
  expect(await target.pause()).toBe(true);
  expect(differences(target)).toEqual({ missingInLedger: [], missingInKernel: [] });
  target.resume();
  expect(await target.finish()).toBe(0);
});
