import { expect, test } from 'vitest';
import fc from '../../../test/support/properties.js';
import { PerfMapLines } from './perf-map.js';

function read(text: string | Buffer) {
  const lines = new PerfMapLines();
  const pieces: [number, number, string][] = [];
  const buffer = Buffer.from(text as string);
  const taken = lines.read(buffer, 7, ({ start, bytes, name }) => {
    pieces.push([start, bytes, Buffer.from(name).toString()]);
  });
  return { pieces, taken, malformed: lines.malformed };
}

test('reads lines with and without 0x, and leaves one that is not whole', () => {
  expect(read('7f00 1a JS:~f g.js:1:2\n0x00007F10 0x10 void A.b()\r\n7f20 10 half')).toEqual({
    pieces: [
      [0x7f00, 0x1a, 'JS:~f g.js:1:2'],
      [0x7f10, 0x10, 'void A.b()'],
    ],
    taken: 51,
    malformed: 0,
  });
});

test('a line that is none is counted and stops nothing', () => {
  const bad = ['zz 10 f', '10', '10 20', 'x', '0x 10 f', '11112222333344445 10 f', ' 10 10 f', '10  f'];
  expect(read(`${bad.join('\n')}\n\n40 8 good\n`)).toMatchObject({
    pieces: [[0x40, 8, 'good']],
    malformed: bad.length,
  });
});

test('any bytes, cut anywhere, give the same as all at once', () => {
  const line = fc.oneof(
    fc
      .tuple(fc.nat(), fc.nat(), fc.string())
      .map(([a, b, c]) => `${a.toString(16)} ${b.toString(16)} ${c}\n`),
    fc.string({ unit: 'binary' }),
  );
  fc.assert(
    fc.property(fc.array(line), fc.nat(), (parts, where) => {
      const text = Buffer.from(parts.join(''));
      const cut = text.length === 0 ? 0 : where % text.length;
      const first = read(text.subarray(0, cut));
      const second = read(text.subarray(first.taken));
      expect([...first.pieces, ...second.pieces]).toEqual(read(text).pieces);
    }),
  );
});
