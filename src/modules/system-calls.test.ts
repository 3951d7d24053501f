import { expect, test } from 'vitest';
import { systemCallsIn } from './system-calls.js';

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');
const calls = (text: string) => [...systemCallsIn(hex(text))];

test('the number that an instruction before the call loads', () => {
  expect(calls('b809000000 0f05 c3')).toEqual([{ offset: 5, number: 9 }]);
  expect(calls('48c7c00c000000 0f05')).toEqual([{ offset: 7, number: 12 }]);
  expect(calls('6a19 58 0f05')).toEqual([{ offset: 3, number: 25 }]);
  // Arguments in between.
  expect(calls('b809000000 4989ca 4d89c0 0f05')).toEqual([{ offset: 11, number: 9 }]);
});

test('the last of several numbers counts, and none that reaches into the call', () => {
  expect(calls('b80b000000 b809000000 0f05')).toEqual([{ offset: 10, number: 9 }]);
  expect(calls('b80900 0f05')).toEqual([{ offset: 3, number: null }]);
});

test('a number that stands nowhere near, or is none of a system call, is unknown', () => {
  expect(calls(`b809000000 ${'90'.repeat(60)} 0f05`)).toEqual([{ offset: 65, number: null }]);
  expect(calls('b8ffffff7f 0f05')).toEqual([{ offset: 5, number: null }]);
});

test('all of them, at the edges too; none in code without', () => {
  expect(calls('0f05 0f05 90 0f05').map(({ offset }) => offset)).toEqual([0, 2, 5]);
  expect(calls('0f')).toEqual([]);
  expect(calls('')).toEqual([]);
});
