import { expect, test } from 'vitest';
import { buildCxx } from './support/build.js';
import { heapNeeds } from './support/heap-needs.js';
import { PROGRAMS, type Program } from './support/heap-programs.js';
import { buildVerify, checkCaptures, type Mutation, type Tally } from './support/heap-verify.js';

/** Of the million that the checks must come to together. */
const SHAPES_ALLOCATIONS = 300_000;

const SHAPES: Program = {
  name: 'stacks of every shape',
  require: () => {},
  command: () => [buildCxx('heap_shapes'), String(SHAPES_ALLOCATIONS)],
};

const tallies: Tally[] = [];

const cases = [SHAPES, ...PROGRAMS].map((program) => [program.name, program] as const);

test.for(cases)('%s: each capture is what a whole walk and libunwind find', async ([, program], context) => {
  heapNeeds(context, 'libunwind');
  program.require(context);
  const every = program.checkEvery ?? 1;
  const tally = await checkCaptures(buildVerify(), program.command(), { every, env: program.env });
  expect(tally).toMatchObject({ walkMismatches: 0, libunwindMismatches: 0, firstMismatch: '', tooDeep: 0 });
  expect(tally.checkedByWalk).toBeGreaterThan(tally.captures / every - 100);
  expect(tally.checkedByLibunwind).toBe(tally.checkedByWalk);
  expect(tally.captures).toBeGreaterThan(10_000);
  // Else little was tested: a walk that keeps nothing is always right, and a comparison of nothing too.
  expect(tally.unchangedFrames / tally.frames).toBeGreaterThan(0.1);
  expect((tally.comparedFrames * every) / tally.frames).toBeGreaterThan(0.3);
  expect(tally.incomplete / tally.checkedByWalk).toBeLessThan(0.02);
  tallies.push(tally);
});

test('the checks came to more than a million', (context) => {
  if (tallies.length < cases.length) context.skip('needs all the programs above');
  const checked = tallies.reduce((sum, tally) => sum + tally.checkedByWalk, 0);
  expect(checked).toBeGreaterThan(1_000_000);
});

const REUSE = 'preload/unwind/reuse.h';

const MUTATIONS: Mutation[] = [
  {
    name: 'nothing-proven',
    header: REUSE,
    from: 'bool prove(const StackMemory& memory) {',
    to: 'bool prove(const StackMemory& memory) {\n        if (memory.high() != 0) return true;',
  },
  {
    name: 'saved-words-not-proven',
    header: REUSE,
    from: 'while (word > last) {',
    to: 'while (false && word > last) {',
  },
  {
    name: 'frame-pointer-not-compared',
    header: REUSE,
    from: '((youngest_->mark & 1) == 0 || youngest_->rbp == rbp)',
    to: '((youngest_->mark & 1) == 0 || youngest_->rbp == rbp || rbp != 0)',
  },
];

test.for(MUTATIONS)('a capture with $name is found out', async (mutation, context) => {
  heapNeeds(context, 'libunwind');
  const library = buildVerify(mutation);
  const tally = await checkCaptures(library, [buildCxx('heap_shapes'), '100000']);
  expect(tally.walkMismatches).toBeGreaterThan(100);
  expect(tally.libunwindMismatches).toBeGreaterThan(0);
});
