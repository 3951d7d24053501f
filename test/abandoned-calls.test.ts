// Calls that a signal handler leaves by siglongjmp, at each of the instructions that end them.
import { expect, test } from 'vitest';
import { buildC } from './support/build.js';
import { record } from './support/recorded.js';

/** So many instructions before its end a call has taken no place in the ring yet, and a few before its end it has committed. */
const COUNT = 200;

test('a place in the ring that a call has taken and left is given up by the next call, and counted', async () => {
  const { recorder, run, main } = await record(buildC('abandoned_calls'), [String(COUNT)]);
  using _ = recorder;
  expect(run.stdout.toString()).toBe(`abandoned ${COUNT}\n`);
  const { lost } = main.recording.drain;
  // Not one for each instruction: most of them are before the place is taken, or behind the commit.
  expect(lost.overwritten).toBeGreaterThan(20);
  expect(lost.overwritten).toBeLessThan(COUNT - 20);
  // Left between the instruction that takes the place and the one that notes it.
  expect(lost.uncommitted).toBeLessThan(10);
  const { completeness } = main.snapshot();
  expect(completeness.mappingEventsLost).toBe(lost.overwritten + lost.uncommitted);
  expect(completeness.degraded).toContain(
    'a signal handler jumped out of a recorded call; its outcome is unknown',
  );
  expect(completeness.degraded).toContain('events were lost, and the ledger may differ from the kernel');
});
