import { expect, test } from 'vitest';
import fc from '../../../test/support/properties.js';
import type { CodePiece } from './code-store.js';
import { JitdumpRecords, positionAt, readJitdumpHeader } from './jitdump.js';
import { debugInfo, dumpHeader, load, move } from './jitdump-sample.js';

function read(bytes: Buffer, cuts: readonly number[] = []) {
  const pieces: (CodePiece & { text: string })[] = [];
  const records = new JitdumpRecords({
    timeOf: (stampNs) => stampNs - 1000,
    take: (piece) => void pieces.push({ ...piece, text: Buffer.from(piece.name).toString() }),
  });
  let at = 0;
  for (const end of [...cuts, bytes.length]) {
    // What is read may end before what the file has.
    const taken = records.read(bytes.subarray(at, end), at, end - at);
    expect(taken).toBeGreaterThanOrEqual(0);
    at = Math.min(bytes.length, at + taken);
  }
  return { pieces, records };
}

test('the header says whose it is and by which clock', () => {
  expect(readJitdumpHeader(dumpHeader({ processId: 42 }))).toEqual({
    headerBytes: 40,
    processId: 42,
    hasMonotonicTimes: true,
  });
  expect(readJitdumpHeader(dumpHeader({ flags: 1 }))).toMatchObject({ hasMonotonicTimes: false });
  expect(readJitdumpHeader(dumpHeader({ magic: 0x4454694a }))).toMatch(/^it is no jitdump file/);
  expect(readJitdumpHeader(dumpHeader({ version: 2 }))).toBe('it is of version 2, not 1');
  expect(readJitdumpHeader(dumpHeader().subarray(0, 39))).toBe('its header is cut');
});

test('code that is loaded and moved, with its times and where its source positions lie', () => {
  const positions = debugInfo(0x7000, [{ address: 0x7000, line: 3, file: 'a.js' }]);
  const bytes = Buffer.concat([
    load({ stampNs: 1500, start: 0x6000, bytes: 0x10, index: 1, name: 'first' }),
    positions,
    load({ stampNs: 1700, start: 0x7000, bytes: 0x20, index: 2, name: 'second' }),
    move({ stampNs: 1900, to: 0x8000, bytes: 0x10, index: 1 }),
  ]);
  const { pieces } = read(bytes);
  expect(
    pieces.map(({ text, start, bytes, timeNs, detail }) => [text, start, bytes, timeNs, detail]),
  ).toEqual([
    ['first', 0x6000, 0x10, 500, 0],
    ['second', 0x7000, 0x20, 700, bytes.indexOf(positions)],
    ['first', 0x8000, 0x10, 900, 0],
  ]);
});

test('source positions: the last one at or before the address; a lone 0xff repeats the file', () => {
  const record = debugInfo(0x7000, [
    { address: 0x7000, line: 3, file: 'a.js' },
    { address: 0x7008, line: 4, file: null },
    { address: 0x7010, line: 9, file: 'b.js' },
  ]);
  expect(positionAt(record, 0x6fff)).toBe(null);
  expect(positionAt(record, 0x7007)).toEqual({ file: 'a.js', line: 3 });
  expect(positionAt(record, 0x7008)).toEqual({ file: 'a.js', line: 4 });
  expect(positionAt(record, 0x9999)).toEqual({ file: 'b.js', line: 9 });
});

test('a file that grows gives the same as one that is read at once', () => {
  const bytes = Buffer.concat(
    Array.from({ length: 20 }, (_, index) =>
      load({ stampNs: 2000, start: 0x1000 * (index + 1), bytes: 300 * index, index, name: `f${index}` }),
    ),
  );
  const whole = read(bytes).pieces.map(({ text }) => text);
  fc.assert(
    fc.property(fc.array(fc.nat(bytes.length), { maxLength: 8 }), (cuts) => {
      expect(
        read(
          bytes,
          cuts.toSorted((a, b) => a - b),
        ).pieces.map(({ text }) => text),
      ).toEqual(whole);
    }),
  );
});

test('a record that makes no sense ends the reading, and is said', () => {
  const good = load({ stampNs: 2000, start: 0x1000, bytes: 8, index: 1, name: 'good' });
  const { pieces, records } = read(Buffer.concat([good, Buffer.alloc(64), good]));
  expect(pieces).toHaveLength(1);
  expect(records.damagedAt).toBe(good.length);
});

test('any bytes: no crash, and an end', () => {
  const record = fc.oneof(
    fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes)),
    fc
      .record({
        kind: fc.nat(5),
        size: fc.oneof(fc.nat(200), fc.nat(2 ** 32 - 1)),
        rest: fc.uint8Array({ maxLength: 120 }),
      })
      .map(({ kind, size, rest }) => {
        const head = Buffer.alloc(16);
        head.writeUInt32LE(kind, 0);
        head.writeUInt32LE(size, 4);
        return Buffer.concat([head, rest]);
      }),
  );
  fc.assert(
    fc.property(fc.array(record), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (records, address) => {
      const bytes = Buffer.concat(records);
      read(bytes);
      positionAt(bytes, Number(address));
    }),
  );
});
