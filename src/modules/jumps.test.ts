import { expect, test } from 'vitest';
import { jumpTarget } from './jumps.js';

const AT = 0x7f00_0000_1000;
const target = (text: string, pointers: Record<number, number> = {}) =>
  jumpTarget(Buffer.from(text.replaceAll(' ', '').padEnd(40, '9'), 'hex'), AT, (at) => pointers[at] ?? null);

test('the jumps that hookers write', () => {
  expect(target('e9 fb0f0000')).toBe(AT + 0x1000);
  expect(target('e9 fbefffff')).toBe(AT - 0x1000);
  expect(target('49bb 887766554433 0000 41ffe3')).toBe(0x3344_5566_7788);
  expect(target('48b8 887766554433 0000 ffe0')).toBe(0x3344_5566_7788);
  expect(target('68 88776655 c7442404 44330000 c3')).toBe(0x3344_5566_7788);
  expect(target('ff25 00000000', { [AT + 6]: 4711 })).toBe(4711);
  expect(target('f30f1efa e9 fb0f0000')).toBe(AT + 4 + 0x1000);
});

test('what is none', () => {
  expect(target('b809000000 0f05')).toBeNull();
  expect(target('ff25 00000000')).toBeNull();
  expect(target('49bb 887766554433 0000 41ffd3')).toBeNull();
  expect(jumpTarget(Buffer.of(0xe9, 0, 0), AT, () => null)).toBeNull();
});
