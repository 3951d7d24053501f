import { expect, test } from 'vitest';
import fc from '../../../test/support/properties.js';
import { type CodePiece, CodeStore } from './code-store.js';

const piece = (start: number, bytes: number, name: string, timeNs = 0): CodePiece => ({
  ...{ start, bytes, timeNs },
  name: Buffer.from(name),
});
const nameAt = (store: CodeStore, address: number, timeNs = Number.POSITIVE_INFINITY) => {
  const found = store.find(address, timeNs);
  return found < 0 ? null : store.name(found);
};

test('a later piece replaces an earlier one from its time on, where they overlap', () => {
  const store = new CodeStore();
  store.add(piece(0x1000, 0x100, 'first', 10));
  store.add(piece(0x1080, 0x100, 'second', 20));
  expect(nameAt(store, 0xfff)).toBe(null);
  expect(nameAt(store, 0x107f, 30)).toBe('first');
  expect(nameAt(store, 0x1080, 19)).toBe('first');
  expect(nameAt(store, 0x1080, 20)).toBe('second');
  expect(nameAt(store, 0x117f, 30)).toBe('second');
  expect(nameAt(store, 0x1180, 30)).toBe(null);
  // Before anything was told: what came first is the best guess.
  expect(nameAt(store, 0x1000, 5)).toBe('first');
  expect(store.hasChanged(0x1080)).toBe(true);
  expect(store.hasChanged(0x1000)).toBe(false);
});

test('pieces told out of order stand in the order of their times', () => {
  const store = new CodeStore();
  for (const timeNs of [30, 10, 20]) store.add(piece(0x5ff0, 0x20, `at ${timeNs}`, timeNs));
  for (const timeNs of [10, 20, 30]) {
    expect(nameAt(store, 0x5ff8, timeNs)).toBe(`at ${timeNs}`);
    expect(nameAt(store, 0x6008, timeNs)).toBe(`at ${timeNs}`);
  }
});

test('knows what it was told already, unless other code came to stand there', () => {
  const store = new CodeStore();
  const first = piece(0x1000, 0x100, 'first');
  store.add(first);
  expect(store.has(first)).toBe(true);
  expect(store.has(piece(0x1000, 0x100, 'other'))).toBe(false);
  store.add(piece(0x1040, 0x10, 'second'));
  expect(store.has(first)).toBe(false);
});

const pieces = fc.array(
  fc.record({
    start: fc.integer({ min: 1, max: 3 * 4096 }),
    bytes: fc.integer({ min: 1, max: 2 * 4096 }),
    timeNs: fc.integer({ min: 0, max: 20 }),
    name: fc.string({ maxLength: 3 }),
  }),
  { maxLength: 60 },
);

test('says what a list of all pieces says', () => {
  fc.assert(
    fc.property(pieces, fc.nat(4 * 4096), fc.nat(25), (all, address, timeNs) => {
      const store = new CodeStore();
      for (const each of all) store.add({ ...each, name: Buffer.from(each.name) });
      const there = all.filter(({ start, bytes }) => address >= start && address < start + bytes);
      // Stable: of one time, the one told last.
      const sorted = there.toSorted((a, b) => a.timeNs - b.timeNs);
      const expected = sorted.findLast((each) => each.timeNs <= timeNs) ?? sorted[0];
      expect(nameAt(store, address, timeNs)).toBe(expected?.name ?? null);
    }),
  );
});

test('nonsense is counted and nothing else', () => {
  const store = new CodeStore();
  const nonsense: [number, number][] = [
    [0, 10],
    [10, 0],
    [2 ** 47, 10],
    [2 ** 60, 1],
    [0x1000, 2 ** 40],
    [Number.NaN, 1],
  ];
  for (const [start, bytes] of nonsense) store.add(piece(start, bytes, 'no'));
  expect([store.senseless, store.count]).toEqual([nonsense.length, 0]);
});

test('where it is full it forgets what was replaced, then leaves out what comes', () => {
  const store = new CodeStore({ mostPieces: 100 });
  for (let time = 0; time < 1000; time++) store.add(piece(0x1000, 0x10, `at ${time}`, time));
  expect([nameAt(store, 0x1000), store.left]).toEqual(['at 999', 0]);
  for (let at = 0; at < 1000; at++) store.add(piece(0x2000 + 0x10 * at, 0x10, `number ${at}`, 1000));
  expect(store.count).toBeLessThanOrEqual(100);
  expect(store.left).toBeGreaterThan(800);
  expect(nameAt(store, 0x2000)).toBe('number 0');
  expect(nameAt(store, 0x1000)).toBe('at 999');
});

test('any number of pieces on one page takes bounded room and leaves the newest right', () => {
  const store = new CodeStore();
  for (let time = 0; time < 30_000; time++) {
    store.add(piece(0x10000 + (time % 7), 4096, `at ${time}`, time));
  }
  expect(nameAt(store, 0x10800)).toBe('at 29999');
  expect(nameAt(store, 0x10800, 29_998)).toBe('at 29998');
});
