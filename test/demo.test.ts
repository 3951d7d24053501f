// The examples do what their READMEs say.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { channelFolder, offheap, preloaded, readSnapshot } from './support/offheap.js';
import { ROOT } from './support/paths.js';
import { finish } from './support/running.js';

test('nested-mmap: the demo names the library, and shows the way into it', async () => {
  const demo = join(ROOT, 'examples', 'nested-mmap', 'demo.mjs');
  const env = { OFFHEAP_DIR: channelFolder() };
  const { status, stdout, stderr } = await finish(process.execPath, [demo], { env, cwd: ROOT });
  expect(status, stderr).toBe(0);
  const [, megabytes, growth] =
    /^demo: libnested\.so holds (\d+) MB, mapped inside munmap, and grows by (\d+) MB a minute\.$/m.exec(
      stdout,
    )!;
  // A quarter of a minute, however many requests that were.
  expect(Number(megabytes)).toBeGreaterThan(1);
  expect(Number(growth)).toBeGreaterThan(Number(megabytes));
  expect(stderr).toMatch(/^libnested\.so +library/m);
  const [, graph] = /^demo: flame graph: (\S+)$/m.exec(stdout)!;
  for (const name of ['handle_request', 'nested_munmap_hook', 'chunk_alloc', 'libnested.so']) {
    expect(readFileSync(graph!, 'utf8')).toContain(name);
  }
  const snapshot = readSnapshot(join(ROOT, 'build', 'examples', 'nested-mmap.json'));
  expect(snapshot.completeness).toMatchObject({ mappingEventsLost: 0, truncatedStacks: 0, degraded: [] });
});

test('node-repl: the program watches itself', async () => {
  const cwd = join(ROOT, 'examples', 'node-repl');
  const env = preloaded(channelFolder());
  const { status, stdout, stderr } = await finish(process.execPath, ['watch-self.mjs', '--seconds', '10'], {
    env,
    cwd,
  });
  expect([status, stderr]).toEqual([0, '']);
  const reports = [...stdout.matchAll(/^V8 heap ([\d.]+) MiB, kept (\d+) buffers\n((?: +.*\n)+)/gm)];
  // Every three seconds, of a machine that keeps up.
  expect(reports.length).toBeGreaterThanOrEqual(2);
  expect(Number(reports[1]![2])).toBeGreaterThan(Number(reports[0]![2]));
  expect(reports[1]![3]).toMatch(/MiB\/min +libc\.so\.6 \(allocator\)/);
});

test('node-repl: without the shim it says how to start it', async () => {
  const cwd = join(ROOT, 'examples', 'node-repl');
  const env = { OFFHEAP_DIR: channelFolder() };
  const { status, stderr } = await finish(process.execPath, ['watch-self.mjs'], { cwd, env });
  expect(status).toBe(1);
  expect(stderr).toMatch(/start it as +LD_PRELOAD="\$\(npx offheap preload\)" node watch-self\.mjs/);
});

test('the shim’s path is what LD_PRELOAD takes', async () => {
  const { stdout } = await offheap(['preload']);
  expect(existsSync(stdout.trim())).toBe(true);
  const env = { LD_PRELOAD: stdout.trim(), OFFHEAP_DIR: channelFolder() };
  expect(await finish('echo', ['said'], { env })).toMatchObject({ status: 0, stdout: 'said\n', stderr: '' });
});
