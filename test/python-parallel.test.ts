// Python's frames of threads that map memory at once, for each version that is at hand, free-threaded ones included.
import { expect, onTestFinished, test } from 'vitest';
import { attach } from '../src/session/attach.js';
import { channelFolder, preloaded } from './support/offheap.js';
import { TARGET_SOURCES } from './support/paths.js';
import { pythons } from './support/pythons.js';
import { Running } from './support/running.js';

const MAPPINGS = 4 * 60;

test.each(pythons())('$name names each thread’s own', async ({ command, args, env }) => {
  const dir = channelFolder();
  const running = new Running(command, [...args, `${TARGET_SOURCES}/python_parallel.py`], {
    env: { ...env, ...preloaded(dir) },
  });
  await running.line(/^READY$/);
  const session = await attach(running.pid, { dir });
  onTestFinished(() => session.close());
  const { mappings, stacks, completeness } = session.snapshot();
  const stackBy = new Map(mappings.map(({ bytes, stack }) => [bytes, stacks[stack] ?? []]));

  const told = [...running.stdout.matchAll(/^(\d+) (\[\[.*\]\])$/gm)];
  expect(told).toHaveLength(MAPPINGS);
  for (const [, bytes, frames] of told) {
    const stack = stackBy.get(Number(bytes)) ?? [];
    const named = stack
      .filter(({ language }) => language === 'python')
      .map(({ function: name, file, line }) => [name, file, line]);
    expect({ bytes, frames: named }).toEqual({ bytes, frames: JSON.parse(frames!) });
  }
  expect(completeness).toMatchObject({ mappingEventsLost: 0, truncatedStacks: 0, degraded: [] });
});
