// The ends of stacks that the shim keeps and puts back: the shim's own check holds each capture against a whole walk.
import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { channelFiles } from '../src/drain/directory.js';
import { Channel } from '../src/wire/channel.js';
import type { ChannelHeader } from '../src/wire/header.js';
import { needs, pythonPath } from './support/needs.js';
import { channelFolder, preloaded, scratchFolder } from './support/offheap.js';
import { ROOT } from './support/paths.js';
import { run } from './support/recorded.js';

const SOURCE = 'preload/unwind/remembered_tails.cc';
const PROOF = 'if (stack.repeats(start.frame, start.rsp, start.rbp, window)) return true;';

/** An interpreter's loop, which comes to the allocator by the same few ways in turn. */
async function checkedCaptures(shim: string | undefined): Promise<ChannelHeader> {
  const directory = channelFolder();
  const args = [join(ROOT, 'bench', 'targets', 'heap_python.py'), '5'];
  const env = {
    ...preloaded(directory),
    ...(shim === undefined ? {} : { LD_PRELOAD: shim }),
    ...{ OFFHEAP_HEAP: 'exact', OFFHEAP_VERIFY: '1', PYTHONMALLOC: 'malloc' },
  };
  const ended = await run(pythonPath(), args, { env });
  expect(ended.status, ended.stderr.toString()).toBe(0);
  return new Channel(channelFiles(directory)[0]!.path).header();
}

/** The shim without the proof that nothing has changed since a tail was kept. */
function buildMutant(): string {
  const folder = scratchFolder();
  for (const part of ['preload', 'native']) {
    cpSync(join(ROOT, part), join(folder, part), { recursive: true });
  }
  const source = readFileSync(join(ROOT, SOURCE), 'utf8');
  expect(source.split(PROOF), `${SOURCE} has changed: mend the mutation`).toHaveLength(2);
  writeFileSync(join(folder, SOURCE), source.replace(PROOF, 'return true;'));
  const build = join(folder, 'build');
  const quiet = { stdio: ['ignore', 'ignore', 'inherit'] as ['ignore', 'ignore', 'inherit'] };
  const output = `-DCMAKE_LIBRARY_OUTPUT_DIRECTORY=${build}`;
  execFileSync('cmake', ['-S', join(folder, 'preload'), '-B', build, output], quiet);
  execFileSync('cmake', ['--build', build, '--', '-j2'], quiet);
  return join(build, 'liboffheap.so');
}

test('ends of stacks that are put back are what a whole walk finds', async (context) => {
  needs(context, 'python');
  const { capturesVerified, captureMismatches } = await checkedCaptures(undefined);
  expect(capturesVerified).toBeGreaterThan(50_000);
  expect(captureMismatches).toBe(0);
});

test('ends that are put back unproven are found out', { timeout: 180_000 }, async (context) => {
  needs(context, 'python');
  expect((await checkedCaptures(buildMutant())).captureMismatches).toBeGreaterThan(0);
});
