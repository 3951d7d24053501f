// Memory that is named in the kernel by who mapped it. Whether this kernel can or not: strace answers for it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Snapshot } from '../src/report/schema.js';
import { buildC } from './support/build.js';
import { needs } from './support/needs.js';
import { channelFolder, offheap, readSnapshot, scratchFolder } from './support/offheap.js';

/** The names that a program's memory is given, by its calls; the kernel's answer is `result`. */
async function labelled(command: string[], result: string) {
  const folder = scratchFolder();
  const [log, snapshot] = [join(folder, 'calls'), join(folder, 'snapshot.json')];
  const strace = ['strace', '-f', '-qq', '-o', log, '-e', 'trace=prctl,mmap', '-e', `inject=prctl:${result}`];
  const options = ['run', '--label', '--quiet', '--dir', channelFolder(), '--snapshot', snapshot];
  const ended = await offheap([...options, '--', ...strace, ...command]);
  const calls = readFileSync(log, 'utf8').split('\n');
  const names = calls.flatMap((line) => {
    const match = /PR_SET_VMA_ANON_NAME, (0x[0-9a-f]+), (\d+), "(.*)"\)/.exec(line);
    return match === null ? [] : [{ start: match[1]!, bytes: Number(match[2]), name: match[3]! }];
  });
  return { ended, calls, names, snapshot };
}

test('what a program, its threads and its allocator map is named by them', async (context) => {
  needs(context, 'strace');
  const { ended, calls, names } = await labelled([buildC('malloc_churn'), '2', '20000'], 'retval=0');
  expect(ended.status).toBe(0);
  const byName = new Set(names.map(({ name }) => name));
  expect(byName).toEqual(new Set(['offheap:offheap', 'offheap:malloc_churn stack', 'offheap:libc.so.6']));
  // Each range as it was mapped, right behind its call.
  for (const { start, bytes, name } of names) {
    if (name === 'offheap:offheap') continue;
    // Threads' calls are told in two lines.
    const mapped = new RegExp(`mmap(\\(.*, ${bytes}, .*MAP_ANONYMOUS.*| resumed>)\\) += ${start}$`);
    expect(
      calls.some((line) => mapped.test(line)),
      `${name} at ${start}`,
    ).toBe(true);
  }
});

test('a program sees nothing of it: the same output, status and errors', async (context) => {
  needs(context, 'strace');
  const { ended, names } = await labelled([buildC('errno_keeper')], 'retval=0');
  const plain = await offheap(['run', '--quiet', '--dir', channelFolder(), '--', buildC('errno_keeper')]);
  expect([ended.status, ended.stdout]).toEqual([plain.status, plain.stdout]);
  expect(names.length).toBeGreaterThan(1);
});

test('a kernel that can’t name memory is asked once, and it is said', async (context) => {
  needs(context, 'strace');
  const command = buildC('malloc_churn');
  const { names } = await labelled([command, '2', '20000'], 'error=EINVAL');
  expect(names.map(({ name }) => name)).toEqual(['offheap:offheap']);
});

test('what the kernel of this machine says of it', async () => {
  const file = join(scratchFolder(), 'snapshot.json');
  const options = ['run', '--label', '--quiet', '--dir', channelFolder(), '--snapshot', file];
  const { status } = await offheap([...options, '--', buildC('malloc_churn'), '2', '20000']);
  const { completeness }: Snapshot = readSnapshot(file);
  expect(status).toBe(0);
  const lacks = completeness.degraded.some((reason) => /^this kernel can't name memory/.test(reason));
  expect(completeness.degraded).toHaveLength(lacks ? 1 : 0);
});

test('where the kernel has no room for more areas, naming stops', async (context) => {
  needs(context, 'strace');
  // Of the first two calls the one asks whether the kernel can.
  const { names, ended } = await labelled([buildC('malloc_churn'), '2', '20000'], 'error=ENOMEM:when=2+');
  expect(ended.status).toBe(0);
  // strace's own process is asked as well.
  expect(names.length).toBeLessThan(8);
});
