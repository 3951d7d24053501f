import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { buildC, buildSharedC } from './support/build.js';
import { type Run, record, run as runAlone } from './support/recorded.js';

/** What the outside can see of a run. */
const visible = ({ status, signal, stdout, stderr }: Run) => ({ status, signal, stdout, stderr });

const fallback = { OFFHEAP_SITES: 'off' };

describe.each([
  ['instructions rewritten', {}],
  ['imports redirected', fallback],
])('%s', (_, env) => {
  test('errno, results and registers are those that the kernel and libc give; bytes stay bytes', async () => {
    const alone = await runAlone(buildC('errno_keeper'));
    const { recorder, run } = await record(buildC('errno_keeper'), [], { env });
    using _ = recorder;
    expect(alone.status, alone.stderr.toString()).toBe(0);
    expect(visible(run)).toEqual(visible(alone));
  });

  test('what a program reads and writes passes byte for byte', async () => {
    const input = randomBytes(1 << 20);
    const { recorder, run } = await record(buildC('stdin_echo'), ['9'], { env, input });
    using _ = recorder;
    expect(run.stdout.equals(input)).toBe(true);
    expect(run.stderr.toString()).toBe(`READY\nechoed ${input.length} bytes\n`);
    expect(run.status).toBe(9);
  });

  test.each([
    ['return', 0, null],
    ['exit', 3, null],
    ['_exit', 4, null],
    ['thread', 7, null],
    ['pthread_exit', 0, null],
    ['abort', null, 'SIGABRT'],
    ['kill', null, 'SIGKILL'],
    ['segv', null, 'SIGSEGV'],
  ])('ends by %s as ever, and leaves all that it recorded', async (way, status, signal) => {
    const { recorder, run, main } = await record(buildC('exit_paths'), [way], { env });
    using _ = recorder;
    expect(visible(run)).toEqual({ status, signal, stdout: Buffer.from('READY\n'), stderr: Buffer.alloc(0) });
    const { mappings, completeness } = main.snapshot();
    expect(completeness.mappingEventsLost).toBe(0);
    const kept = mappings.filter(({ bytes, owner }) => bytes === 1 << 20 && owner === 'exit_paths');
    expect(kept).toHaveLength(1);
  });
});

test('a library that is unloaded while others map memory, its inline calls being looked for', async () => {
  const args = [buildSharedC('libinline'), '300'];
  const { recorder, run, main } = await record(buildC('dlopen_race'), args, {
    env: { OFFHEAP_SCAN: 'libinline' },
  });
  using _ = recorder;
  expect(visible(run)).toMatchObject({ status: 0, signal: null, stdout: Buffer.from('READY\n') });
  const { completeness } = main.snapshot();
  expect(completeness.mappingEventsLost).toBe(0);
});
