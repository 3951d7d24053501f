// The stacks that the shim keeps and finds again: its own check holds each capture against a whole walk.
import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { channelFiles } from '../src/drain/directory.js';
import { Channel } from '../src/wire/channel.js';
import { buildCxx } from './support/build.js';
import { PROGRAMS, type Program } from './support/heap-programs.js';
import { channelFolder, preloaded, scratchFolder } from './support/offheap.js';
import { ROOT } from './support/paths.js';
import { run } from './support/recorded.js';

const SOURCE = 'preload/unwind/recurring_stacks.h';
const PROOF = 'stack->repeats(start.frame, start.rsp, start.rbp, window)';
const NO_PROOF =
  'window.high != 0 && stack->count() > 0 && stack->frames()[stack->count() - 1].rsp == start.rsp';

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

/** The shim without the proof that nothing has changed since a stack was kept. */
function buildMutant(): string {
  const folder = scratchFolder();
  for (const part of ['preload', 'native']) {
    cpSync(join(ROOT, part), join(folder, part), { recursive: true });
  }
  const source = readFileSync(join(ROOT, SOURCE), 'utf8');
  expect(source.split(PROOF), `${SOURCE} has changed: mend the mutation`).toHaveLength(2);
  writeFileSync(join(folder, SOURCE), source.replace(PROOF, NO_PROOF));
  const build = join(folder, 'build');
  const quiet = { stdio: ['ignore', 'ignore', 'inherit'] as ['ignore', 'ignore', 'inherit'] };
  const output = `-DCMAKE_LIBRARY_OUTPUT_DIRECTORY=${build}`;
  execFileSync('cmake', ['-S', join(folder, 'preload'), '-B', build, output], quiet);
  execFileSync('cmake', ['--build', build, '--', '-j2'], quiet);
  return join(build, 'liboffheap.so');
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
  expect((await checkedCaptures(SHAPES, buildMutant())).wrong).toBeGreaterThan(0);
});
