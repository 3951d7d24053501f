import { expect, onTestFinished, test } from 'vitest';
import { attach } from '../src/session/attach.js';
import { buildC } from './support/build.js';
import { channelFolder, Holder, preloaded } from './support/offheap.js';
import { Running } from './support/running.js';

const BYTES = 3 << 20;

test('memory that the shim can’t see being mapped becomes a gap, and unexplained ranges, to the byte', async () => {
  const dir = channelFolder();
  const running = new Running(buildC('unseen_mapping'), [], { env: preloaded(dir) });
  const pid = Number((await running.line(/^READY (\d+)$/))[1]);
  const session = await attach(pid, { dir, intervalMs: 20 });
  onTestFinished(() => session.close());
  expect(session.account()).toMatchObject({ explainedPercent: 100, unexplainedBytes: 0 });

  const told = new Promise((resolve) => session.on('gap', resolve));
  running.write(`${BYTES}\n`);
  const start = (await running.line(/^mapped (0x[0-9a-f]+)$/))[1]!;
  expect(await told).toEqual({ reason: expect.stringMatching(/made at run time/), bytes: BYTES });

  const account = session.account();
  expect(account.unexplainedBytes).toBe(BYTES);
  const [range, ...others] = account.unexplained;
  expect(others).toEqual([]);
  expect(range).toMatchObject({ start, bytes: BYTES, residentBytes: BYTES, protection: 'rw-p' });
  expect(account.explainedPercent).toBeCloseTo(100 * (1 - BYTES / account.anonymousBytes), 6);
  expect(account.owners.find(({ kind }) => kind === 'unexplained')?.residentBytes).toBe(BYTES);
  expect(session.snapshot().completeness.unexplainedBytes).toBe(BYTES);
  running.end();
});

test('no gap is told where all is seen, whatever a process maps', async () => {
  const dir = channelFolder();
  const holder = await Holder.alone(preloaded(dir));
  const session = await attach(holder.pid, { dir, intervalMs: 5 });
  onTestFinished(() => session.close());
  const gaps: unknown[] = [];
  session.on('gap', (gap) => void gaps.push(gap));
  for (let i = 0; i < 50; i++) await holder.map(1 << 20);
  await holder.tell('unmap');
  expect(session.account().unexplained).toEqual([]);
  expect(gaps).toEqual([]);
  await holder.leave();
});
