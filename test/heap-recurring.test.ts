// The stacks that the shim keeps and finds again: its own check holds each capture against a whole walk.
import { expect, test } from 'vitest';
import { channelFiles } from '../src/drain/directory.js';
import { Channel } from '../src/wire/channel.js';
import { buildCxx } from './support/build.js';
import { PROGRAMS, type Program } from './support/heap-programs.js';
import { channelFolder, preloaded } from './support/offheap.js';
import { run } from './support/recorded.js';
import { buildShimMutant } from './support/shim-mutant.js';

/** The proof that nothing has changed since a stack was kept, and none. */
const UNPROVEN = {
  source: 'preload/unwind/recurring_stacks.h',
  from: 'stack->repeats(start.frame, start.rsp, start.rbp, window)',
  to: 'window.high != 0 && stack->count() > 0 && stack->frames()[stack->count() - 1].rsp == start.rsp',
};

/** Room for all events: nobody reads them. */
const CHUNKS = 16_384;

const SHAPES: Program = {
  name: 'stacks of every shape',
  require: () => {},
  command: () => [buildCxx('heap_shapes'), '300000'],
};

/** The captures of a program and its children that were checked, and those that were wrong. */
async function checkedCaptures({ command, env = {} }: Program, shim?: string) {
  const directory = channelFolder();
  const [program, ...args] = command();
  const ended = await run(program, args, {
    env: {
      ...preloaded(directory),
      ...(shim === undefined ? {} : { LD_PRELOAD: shim }),
      ...{ OFFHEAP_HEAP: 'exact', OFFHEAP_VERIFY: '1', OFFHEAP_HEAP_CHUNKS: String(CHUNKS) },
      ...env,
    },
  });
  expect(ended.status, ended.stderr.toString()).toBe(0);
  const headers = channelFiles(directory).map(({ path }) => new Channel(path).header());
  expect(headers.map(({ heapControl }) => heapControl.mode)).toEqual(headers.map(() => 'exact'));
  return {
    checked: headers.reduce((sum, { capturesVerified }) => sum + capturesVerified, 0),
    wrong: headers.reduce((sum, { captureMismatches }) => sum + captureMismatches, 0),
  };
}

const tallies: number[] = [];
const cases = [SHAPES, ...PROGRAMS].map((program) => [program.name, program] as const);

test.for(cases)(
  '%s: stacks that are found again are what a whole walk finds',
  async ([, program], context) => {
    program.require(context);
    const { checked, wrong } = await checkedCaptures(program);
    expect(checked).toBeGreaterThan(10_000);
    expect(wrong).toBe(0);
    tallies.push(checked);
  },
);

test('these were more than a million', (context) => {
  if (tallies.length < cases.length) context.skip('needs all the programs above');
  expect(tallies.reduce((sum, checked) => sum + checked, 0)).toBeGreaterThan(1_000_000);
});

test('stacks that are taken for known unproven are found out', { timeout: 180_000 }, async () => {
  expect((await checkedCaptures(SHAPES, buildShimMutant(UNPROVEN))).wrong).toBeGreaterThan(0);
});
