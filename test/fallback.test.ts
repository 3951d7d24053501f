import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { buildC, buildSharedC } from './support/build.js';
import { PausableTarget } from './support/pausable.js';
import { record, run as runAlone } from './support/recorded.js';

const REFUSED = expect.stringMatching(/^rewriting was refused; calls are seen by relocation only/);

test('where instructions may not be rewritten: the program’s calls once each, and it is said', async () => {
  const alone = await runAlone(buildC('every_path'));
  const { recorder, run, main } = await record(buildC('every_path'), [], { env: { OFFHEAP_SITES: 'off' } });
  using _ = recorder;
  expect(run.status).toBe(0);
  expect(run.stdout.toString()).toBe(alone.stdout.toString());

  const made = Object.fromEntries(
    [...run.stdout.toString().matchAll(/^count (\w+) (\d+)$/gm)].map(([, name, n]) => [name!, Number(n)]),
  );
  const recorded = Object.fromEntries(
    Object.entries(main.calls).map(([name, { ok, failed }]) => [name, ok + failed]),
  );
  expect(recorded).toEqual({
    ...made,
    // What libc calls in its own functions is unseen: brk and sbrk (four of eight are by syscall()) and posix_madvise.
    brk: made.brk! - 4,
    madvise: made.madvise! - 1,
    // libc makes pkey_mprotect without a key an mprotect; the kernel takes it as it is.
    mprotect: made.mprotect! - 1,
    pkey_mprotect: made.pkey_mprotect! + 1,
  });
  const { completeness } = main.snapshot();
  expect(completeness.sitesPatched).toBe(0);
  expect(completeness.degraded).toEqual(expect.arrayContaining([REFUSED]));
});

test('in threads too, by relocation: each call once', async () => {
  const { recorder, run, main } = await record(buildC('threads'), ['4', '1000'], {
    env: { OFFHEAP_SITES: 'off' },
  });
  using _ = recorder;
  expect(run.status).toBe(0);
  expect(main.calls).toMatchObject({ mmap: { ok: 4000, failed: 0 }, munmap: { ok: 4000, failed: 0 } });
});

/** Pauses a running target until its snapshot shows memory that nobody was seen mapping. */
async function unexplainedOf(command: string[], env: Record<string, string>): Promise<number> {
  await using target = await PausableTarget.start(command, { env });
  do {
    const { completeness, mappings, rss } = target.recorded.snapshot();
    const unexplained = mappings.filter(({ kind }) => kind === 'unexplained');
    const bytes = unexplained.reduce((sum, mapping) => sum + mapping.bytes, 0);
    expect(completeness.unexplainedBytes).toBe(bytes);
    if (bytes > 0 && unexplained.some(({ residentBytes }) => residentBytes > 0)) {
      expect(rss.explainedPercent).toBeLessThan(100);
      return bytes;
    }
    target.resume();
    await sleep(1);
  } while (await target.pause());
  return 0;
}

test('what libc maps for itself is unexplained there, not silent', async () => {
  const command = [buildC('malloc_churn'), '2', '400000'];
  expect(await unexplainedOf(command, { OFFHEAP_SITES: 'off' })).toBeGreaterThan(0);
});

test('what inline system calls of a library map that is not listed is unexplained, not silent', async () => {
  const command = [buildC('inline_syscall'), buildSharedC('libinline'), '20000'];
  expect(await unexplainedOf(command, { OFFHEAP_SCAN: 'libnothing' })).toBeGreaterThan(0);
});
