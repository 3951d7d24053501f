import { expect, test } from 'vitest';
import { Poller } from './poller.js';

/** Polls a target that yields `batches`, then ends or fails; gives what `onEnd` got. */
function run(batches: number[], failure?: Error): Promise<unknown> {
  return new Promise((resolve) => {
    const target = {
      ended: false,
      poll(): number {
        const events = batches.shift();
        if (events === undefined && failure) throw failure;
        if (events === undefined) this.ended = true;
        return events ?? 0;
      },
    };
    new Poller(target, resolve).start();
  });
}

test('polls until the target has ended', async () => {
  const batches = [5, 0, 3];
  expect(await run(batches)).toBeUndefined();
  expect(batches).toEqual([]);
});

test('hands on what a poll throws, and stops', async () => {
  const failure = new Error('damaged');
  expect(await run([1], failure)).toBe(failure);
});

test('a poller stopped from inside of a poll polls no more', async () => {
  let polls = 0;
  let ended = false;
  const poller = new Poller(
    {
      ended: true,
      poll: () => {
        polls++;
        poller.stop();
        return 0;
      },
    },
    () => {
      ended = true;
    },
  );
  poller.start();
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect([polls, ended]).toEqual([1, false]);
});
