import { expect, test } from 'vitest';
import type { Frame } from '../symbolize/frame.js';
import { DescribedFrames } from './described-frames.js';

const frame = (name: string): Frame => ({
  module: 'app',
  function: name,
  ...{ file: null, line: null, inlined: false, language: 'native' },
  address: '0x1',
  fileAddress: '0x1',
});

test('an address is described once for each generation and kind of address', () => {
  const frames = new DescribedFrames();
  const names: string[] = [];
  const ask = (address: number, exact: boolean, generation: number, name: string) =>
    names.push(
      frames.of({ address, exact, generation }, () => ({ frame: frame(name), isFinal: true })).function!,
    );
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
  expect(frames.of(at, () => ({ frame: frame('unknown'), isFinal: false })).function).toBe('unknown');
  expect(frames.of(at, () => ({ frame: frame('known'), isFinal: true })).function).toBe('known');
});
