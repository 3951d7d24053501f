// What was recorded against the kernel's own records of mappings, which perf events bring.
import { expect, onTestFinished, test } from 'vitest';
import type { Completeness } from '../src/report/schema.js';
import { attach } from '../src/session/attach.js';
import { buildC, buildSharedC } from './support/build.js';
import { channelFolder, preloaded } from './support/offheap.js';
import { Running } from './support/running.js';

/** What is known once a program that waited for the witness has done its work and been quiet for a while. */
async function witnessed(
  name: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<Completeness> {
  const dir = channelFolder();
  const running = new Running(buildC(name), [...args, 'wait'], { env: { ...preloaded(dir), ...env } });
  await running.line(/^WAITING$/);
  const session = await attach(running.pid, { dir, intervalMs: 20, witness: true });
  onTestFinished(() => session.close());
  running.write('\n');
  await running.line(/^READY$/);
  const completeness = () => session.snapshot().completeness;
  await expect.poll(() => completeness().kernelMappings!.counted, { timeout: 10_000 }).toBeGreaterThan(0);
  const found = completeness();
  running.end();
  return found;
}

test('of a program that maps by every path the kernel counts what was recorded', async () => {
  const { kernelMappings, gaps } = await witnessed('every_path', []);
  const { counted, recorded, lost, notCompared } = kernelMappings!;
  // Where an address was used again for what is protected otherwise, neither is counted.
  expect(counted).toBeLessThanOrEqual(recorded);
  expect(counted).toBeGreaterThan(5);
  expect([lost, notCompared, gaps]).toEqual([0, 0, []]);
});

test('of threads that come and go and map at once the kernel counts what was recorded', async () => {
  const { kernelMappings, gaps } = await witnessed('threads', ['4', '250']);
  const { counted, recorded } = kernelMappings!;
  // Areas of new stacks that became one with others, whose protection was changed, are not counted.
  expect(counted).toBeGreaterThanOrEqual(1000);
  expect(counted).toBeLessThanOrEqual(recorded);
  expect(recorded).toBeLessThan(1050);
  expect(gaps).toEqual([]);
});

test('mappings that the shim can’t see are counted, those that are gone again with them', async () => {
  const env = { OFFHEAP_SCAN: 'libnothing' };
  const { kernelMappings, gaps } = await witnessed('inline_syscall', [buildSharedC('libinline'), '200'], env);
  expect(kernelMappings).toEqual({ counted: 200, recorded: 0, lost: 0, notCompared: 0 });
  const told =
    /^the kernel counted 200 mappings that nobody was seen to make; most likely .* of its own in libinline\.so/;
  expect(gaps).toContainEqual(expect.stringMatching(told));
});

test('where the kernel can’t be asked there are no figures, and the reason is told', async () => {
  const dir = channelFolder();
  const running = new Running(buildC('every_path'), [], { env: preloaded(dir) });
  await running.ended;
  const session = await attach(running.pid, { dir, witness: true });
  onTestFinished(() => session.close());
  const { kernelMappings, degraded, gaps } = session.snapshot().completeness;
  expect([kernelMappings, gaps]).toEqual([null, []]);
  expect(degraded).toContain("the kernel can't be asked what is mapped: the process has ended");
});
