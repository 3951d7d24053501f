import { expect, test } from 'vitest';
import { LiveMemory } from './live-memory.js';
import { areValidTraits, OriginTable, packTraits, type Traits } from './origin-table.js';
import { RowBuffer } from './row-buffer.js';

const TRAITS: Traits = {
  operation: 'shmat',
  class: 'shared',
  byProfiler: true,
  stackArea: false,
  growsDown: true,
  attachment: true,
  hugePageShift: 34,
};

test('a slot is used again once nothing of its origin is held', () => {
  const memory = new LiveMemory();
  const gone = new RowBuffer();
  for (let round = 0; round < 1000; round++) {
    const start = round * 8192;
    memory.map(start, start + 8192, memory.origins.add(1, 1, 0, 8192, 2, null), 3);
    memory.takeOut(start, start + 4096, gone);
    memory.takeOut(start + 4096, start + 8192, gone);
    memory.discard(gone);
  }
  expect(memory.origins.slotCount).toBe(1);
  expect(memory.origins.nextId).toBe(1001);
});

test('columns grow and keep what they hold', () => {
  const origins = new OriginTable();
  for (let n = 0; n < 1000; n++)
    origins.hold(origins.add(n, n + 1, n * 1e10, 4096, packTraits(TRAITS), `/${n}`), 1);
  for (const slot of [0, 63, 64, 999]) {
    expect(origins.view(slot)).toEqual({
      ...{
        id: slot + 1,
        site: slot,
        operation: 'shmat',
        threadId: slot + 1,
        timeNs: slot * 1e10,
        bytes: 4096,
      },
      ...{
        class: 'shared',
        seeded: false,
        byProfiler: true,
        stackArea: false,
        growsDown: true,
        path: `/${slot}`,
      },
    });
  }
});

test('traits survive being packed, as those of an mremap too', () => {
  const origins = new OriginTable();
  const slot = origins.add(1, 1, 0, 4096, packTraits(TRAITS), null);
  expect([origins.isAttachment(slot), origins.isFile(slot), origins.hugePageShift(slot)]).toEqual([
    true,
    false,
    34,
  ]);
  const moved = origins.add(1, 1, 0, 4096, origins.traitsAsRemapped(slot), null);
  expect(origins.view(moved)).toMatchObject({ operation: 'mremap', class: 'shared', byProfiler: false });
  expect(origins.isAttachment(moved)).toBe(true);
  const packed = [packTraits(TRAITS), 15, 0x31, 1 << 16];
  expect(packed.map(areValidTraits)).toEqual([true, false, false, false]);
});
