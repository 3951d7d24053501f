import { expect, test } from 'vitest';
import { RecentCalls } from './recent-calls.js';
import { syntheticEvent } from './synthetic-event.js';

const call = (stack: number) => ({ ...syntheticEvent('munmap', [0, 0, 0, 0, 0, 0]), stack });

test('the newest calls of an operation, oldest first, from a number on', () => {
  const recent = new RecentCalls();
  expect([recent.count('munmap'), recent.stacks('munmap', 0)]).toEqual([0, []]);
  for (let stack = 1; stack <= 100; stack++) recent.note(call(stack));
  expect(recent.count('munmap')).toBe(100);
  expect(recent.stacks('munmap', 0)).toEqual(Array.from({ length: 64 }, (_, i) => i + 37));
  expect(recent.stacks('munmap', 98)).toEqual([99, 100]);
  expect(recent.stacks('munmap', 100)).toEqual([]);
  expect(recent.stacks('mmap', 0)).toEqual([]);
});

test('the second event of a call, a failure and a call without a stack are none', () => {
  const recent = new RecentCalls();
  recent.note({ ...call(1), phase: 'end' });
  recent.note({ ...call(1), phase: 'failed' });
  recent.note(call(0));
  expect(recent.count('munmap')).toBe(0);
});
