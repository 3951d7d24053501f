import { expect, test } from 'vitest';
import type { Frame } from '../symbolize/frame.js';
import { type Described, DescribedFrames } from './described-frames.js';

const frame = (name: string): Frame => ({
  module: 'app',
  function: name,
  ...{ file: null, line: null, inlined: false, language: 'native' },
  address: '0x1',
  fileAddress: '0x1',
});

const described = (name: string, isKnown = true): Described => ({ frames: [frame(name)], isKnown });
const nameIn = (frames: readonly Frame[]) => frames[0]!.function!;

test('an address is described once for each generation and kind of address', () => {
  const frames = new DescribedFrames();
  const names: string[] = [];
  const ask = (address: number, exact: boolean, generation: number, name: string) =>
    names.push(nameIn(frames.of({ address, exact, generation }, 0, () => described(name))));
  ask(4096, false, 1, 'first');
  ask(4096, false, 1, 'again');
  ask(4096, true, 1, 'exact');
  ask(4096, false, 2, 'later');
  ask(4097, false, 1, 'beside');
  expect(names).toEqual(['first', 'first', 'exact', 'later', 'beside']);
});

test('what may become known is asked for again', () => {
  const frames = new DescribedFrames();
  const at = { address: 4096, exact: false, generation: 0 };
  expect(nameIn(frames.of(at, 0, () => described('unknown', false)))).toBe('unknown');
  expect(nameIn(frames.of(at, 0, () => described('known')))).toBe('known');
});

test('once more lines are known, an address is described anew, and once', () => {
  const frames = new DescribedFrames();
  const at = { address: 4096, exact: false, generation: 0 };
  expect(nameIn(frames.of(at, 0, () => described('early')))).toBe('early');
  expect(nameIn(frames.of(at, 1, () => described('later')))).toBe('later');
  expect(nameIn(frames.of(at, 1, () => described('again')))).toBe('later');
});
