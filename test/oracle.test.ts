// What was recorded against the kernel's own count of the same calls, by bpftrace.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, type TestContext, test } from 'vitest';
import { buildC, buildSharedC } from './support/build.js';
import { needs } from './support/needs.js';
import { channelFolder, readSnapshot, scratchFolder } from './support/offheap.js';
import { ROOT } from './support/paths.js';
import { type Ended, finish } from './support/running.js';

const TRACEFS = 'mount -t tracefs none /sys/kernel/tracing';

function needsTracepoints(context: TestContext): void {
  needs(context, 'bpftrace');
  const works = spawnSync('unshare', [
    '-m',
    'sh',
    '-c',
    `${TRACEFS} && test -d /sys/kernel/tracing/events/syscalls`,
  ]);
  if (works.status === 0) return;
  if (process.env.OFFHEAP_CI_NO_SKIPS === '1') throw new Error('would be skipped: needs tracepoints');
  context.skip('needs root and a kernel with system-call tracepoints');
}

/** `offheap run --oracle`, where tracefs is mounted for it alone; or where none is. */
function runWithOracle(command: string[], options: string[] = [], mount = TRACEFS): Promise<Ended> {
  const cli = [process.execPath, join(ROOT, 'bin/offheap.mjs'), 'run', '--oracle', '--dir', channelFolder()];
  return finish('unshare', [
    '-m',
    'sh',
    '-c',
    `${mount}; exec "$@"`,
    'sh',
    ...cli,
    ...options,
    '--',
    ...command,
  ]);
}

test('every call of a program that maps by every path is recorded, as the kernel counts', async (context) => {
  needsTracepoints(context);
  const { status, stdout, stderr } = await runWithOracle([buildC('every_path')]);
  expect(status).toBe(0);
  const counts =
    /^offheap: oracle: every call that the kernel counted was recorded: mmap (\d+) of (\d+), munmap (\d+) of (\d+), mremap (\d+) of (\d+), brk (\d+) of (\d+)$/m;
  const [mmap, mmaps, munmap, munmaps, mremap, mremaps, brk, brks] =
    counts.exec(stderr)?.slice(1).map(Number) ?? [];
  expect([mmap, munmap, mremap, brk]).toEqual([mmaps, munmaps, mremaps, brks]);
  // Those of the program itself, and libc's beside.
  const made = Number(/^count munmap (\d+)$/m.exec(stdout)?.[1]);
  expect(munmap).toBeGreaterThanOrEqual(made);
  expect(made).toBeGreaterThan(5);
});

test('calls that the shim can’t see are missing against the kernel’s count, and that is told', async (context) => {
  needsTracepoints(context);
  const file = join(scratchFolder(), 'snapshot.json');
  const command = ['env', 'A=exec', buildC('inline_syscall'), buildSharedC('libinline'), '200'];
  const { stderr } = await runWithOracle(command, ['--snapshot', file]);
  const [, line = '', mmap, mmaps, munmap, munmaps] =
    /^offheap: oracle: (not every call was recorded: mmap (\d+) of (\d+), munmap (\d+) of (\d+),.*)$/m.exec(
      stderr,
    ) ?? [];
  expect([Number(mmaps) - Number(mmap), Number(munmaps) - Number(munmap)]).toEqual([200, 100]);
  expect(readSnapshot(file).completeness.gaps).toContain(line);
});

test('where the kernel can’t be asked, one line says what to do', async (context) => {
  needs(context, 'bpftrace');
  if (process.geteuid?.() !== 0) context.skip('needs root, for a kernel that could be asked');
  const unmounted = 'mount -t tmpfs none /sys/kernel';
  const { status, stdout, stderr } = await runWithOracle(['echo', 'ran'], [], unmounted);
  expect([status, stdout]).toEqual([1, '']);
  expect(stderr).toBe('offheap: the oracle needs tracefs; mount -t tracefs none /sys/kernel/tracing\n');
});
