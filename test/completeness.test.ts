import { expect, test } from 'vitest';
import { buildC, buildGo, buildJava, buildRust, buildSharedC } from './support/build.js';
import { groupByProgram, targetCalls } from './support/completeness.js';
import { libraryPath, type Need, needs, pythonPath } from './support/needs.js';
import { TARGET_SOURCES } from './support/paths.js';
import { Recorder } from './support/recorded.js';
import { straceRun } from './support/strace.js';

const ABANDONED = 'a signal handler jumped out of a recorded call; its outcome is unknown';
const OUT_OF_STEP = 'events were lost, and the ledger may differ from the kernel';

const BYPASSED =
  "another malloc comes before the shim's; its calls of itself, and some by code loaded later, are unseen";

/** A program whose memory system calls strace and the ledger both count. */
interface Program {
  needs?: Need[];
  /** Builds what has to be built. */
  command: () => string[];
  env?: Record<string, string>;
  /** Reasons that `completeness.degraded` must give, and no others. */
  degraded?: string[];
  /** Calls that the program may have left by siglongjmp: of mmap before the shim had recorded it, of munmap after that. */
  abandonable?: (stdout: string) => number;
}

const FORKED_UNSEEN = 'forked without fork(): what the parent had mapped has no stacks here';

const programs: Record<string, Program> = {
  'C by every path': { command: () => [buildC('every_path')] },
  threads: { command: () => [buildC('threads'), '4', '2000'] },
  'a thousand threads': { command: () => [buildC('thread_limit'), '1000'] },
  'two threads that reuse addresses': { command: () => [buildC('address_reuse'), '2000'] },
  fork: { command: () => [buildC('fork_tree')] },
  'vfork, posix_spawn and system': { command: () => [buildC('vfork_spawn'), '3'] },
  'raw clone': { command: () => [buildC('raw_clone')], degraded: [FORKED_UNSEEN] },
  signals: {
    command: () => [buildC('signals'), '200'],
    // A jump out of a handler that interrupted another one's leaves two.
    abandonable: (stdout) => 2 * Number(/jumped (\d+)/.exec(stdout)![1]),
  },
  coroutines: { command: () => [buildC('coroutines')] },
  dlopen: {
    command: () => [
      buildC('dlopen_cycle'),
      buildSharedC('plugin'),
      buildSharedC('plugin', { as: 'other.so' }),
    ],
  },
  'inline system calls in a listed library': {
    command: () => [buildC('inline_syscall'), buildSharedC('libinline')],
    env: { OFFHEAP_SCAN: 'libinline' },
  },
  'malloc in threads': { command: () => [buildC('malloc_churn')] },
  CPython: { needs: ['python'], command: () => [pythonPath(), `${TARGET_SOURCES}/python_churn.py`] },
  Node: { command: () => [process.execPath, `${TARGET_SOURCES}/node_churn.mjs`] },
  Java: { needs: ['java'], command: () => ['java', '-Xmx128m', '-cp', buildJava(), 'Churn'] },
  'Go with cgo': { needs: ['go'], command: () => [buildGo()] },
  Rust: { needs: ['rust'], command: () => [buildRust()] },
};

const allocators = [
  { need: 'jemalloc', soname: 'libjemalloc.so.2' },
  { need: 'tcmalloc', soname: 'libtcmalloc_minimal.so.4' },
  { need: 'mimalloc', soname: 'libmimalloc.so.2' },
] as const;

/** Runs a program under strace and the shim, and compares what each has counted for each program in each process. */
async function compare(
  program: Program,
  preload: { before?: string[]; preload?: string[] } = {},
): Promise<void> {
  using recorder = new Recorder();
  const [command, ...args] = program.command();
  const env = { ...recorder.environment(preload), ...program.env };
  const run = await straceRun(command!, args, { env });
  expect(run.status, run.stderr).toBe(0);
  recorder.finish();

  const reasons = new Set<string>();
  const groups = groupByProgram(run.images, recorder.processes);
  expect(groups).not.toHaveLength(0);
  expect(new Set(groups.map(({ recorded }) => recorded))).toEqual(new Set(recorder.processes));
  for (const { images, recorded } of groups) {
    const { own, traced } = targetCalls(images, recorded);
    const who = `${images[0]!.processId} ${recorded.facts.command.join(' ')}`;
    const abandonable = program.abandonable?.(run.stdout) ?? 0;
    if (abandonable > 0) {
      const { mmap, munmap } = recorded.calls;
      const unrecorded = traced.mmap!.ok - mmap!.ok;
      const unmade = munmap!.ok - traced.munmap!.ok;
      expect(unrecorded).toBeGreaterThanOrEqual(0);
      expect(unmade).toBeGreaterThanOrEqual(0);
      expect(unrecorded + unmade).toBeLessThanOrEqual(abandonable);
      mmap!.ok += unrecorded;
      munmap!.ok -= unmade;
    }
    expect(recorded.calls, who).toEqual(traced);
    // A child's own start: its channel is mapped and kept from its children and from core files, and its break is asked for.
    expect(own.startChild, who).toBe(images[0]!.execs === 0 ? 4 : 0);

    const { completeness } = recorded.snapshot();
    // A record that was left half written is one that is lost.
    expect(completeness.mappingEventsLost, who).toBeLessThanOrEqual(abandonable);
    if (completeness.mappingEventsLost > 0) {
      expect(completeness.degraded).toContain(ABANDONED);
      expect(completeness.degraded).toContain(OUT_OF_STEP);
    }
    // Those of sampled allocations count too.
    expect(completeness.truncatedStacks, who).toBeGreaterThanOrEqual(recorded.recording.truncatedStacks);
    expect(completeness.sitesOverwritten, who).toBe(0);
    for (const reason of completeness.degraded) reasons.add(reason);
  }
  // Whether a handler meets a call at the moment that it can spoil is chance.
  if (program.abandonable) for (const reason of [ABANDONED, OUT_OF_STEP]) reasons.delete(reason);
  expect([...reasons]).toEqual(program.degraded ?? []);
}

test.for(Object.entries(programs))('%s: as many calls as strace counts', async ([, program], context) => {
  needs(context, 'strace', ...(program.needs ?? []));
  await compare(program);
});

test.for(
  allocators.flatMap((allocator) => [
    { ...allocator, order: 'before' as const },
    { ...allocator, order: 'preload' as const },
  ]),
)('$need, $order: as many calls as strace counts', async ({ need, soname, order }, context) => {
  needs(context, 'strace', need);
  const degraded = order === 'before' ? [BYPASSED] : [];
  await compare({ command: () => [buildC('malloc_churn')], degraded }, { [order]: [libraryPath(soname)!] });
});
