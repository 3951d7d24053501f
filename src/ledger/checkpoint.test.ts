import { describe, expect, test } from 'vitest';
import fc from '../../test/support/properties.js';
import type { MappingEvent } from '../wire/event.js';
import { ByteWriter, CheckpointError } from './byte-codec.js';
import { MappingLedger } from './mapping-ledger.js';
import { SiteTable } from './site-table.js';

const A = 0x7f00_0000_0000;
const PAGE = 4096;

function event(position: number, fields: Partial<MappingEvent>): MappingEvent {
  return {
    ...{
      position,
      operation: 'mmap',
      phase: 'complete',
      timeNs: position,
      args: [0, 2 * PAGE, 3, 0x22, 0, 0],
    },
    ...{
      result: A + position * 4 * PAGE,
      refersTo: 0,
      extra: 0,
      threadId: 1,
      stack: position % 5,
      path: null,
    },
    ...{ generation: 0, stackTruncated: false, byProfiler: false, enclosing: null, ...fields },
  };
}

function example(): { ledger: MappingLedger; sites: SiteTable } {
  const ledger = new MappingLedger();
  const sites = new SiteTable();
  const events = [
    event(0, { operation: 'seed', args: [A - 64 * PAGE, PAGE, 3, 2, 0, 0], path: '/lib/ä.so', extra: 9 }),
    event(1, { operation: 'brk', args: [0, 0, 0, 0, 0, 0], result: A - 32 * PAGE }),
    ...Array.from({ length: 40 }, (_, index) => event(index + 2, {})),
    event(50, { operation: 'munmap', phase: 'begin', args: [A + 9 * PAGE, PAGE, 0, 0, 0, 0], threadId: 1 }),
    event(51, {
      operation: 'mremap',
      phase: 'begin',
      args: [A + 16 * PAGE, 2 * PAGE, PAGE, 1, 0, 0],
      threadId: 2,
    }),
  ];
  for (const each of events) ledger.apply(each, sites.intern(each));
  return { ledger, sites };
}

function seal(bytes: Uint8Array): Uint8Array {
  let hash = 0x811c9dc5;
  const body = bytes.subarray(0, bytes.length - 4);
  for (const byte of body) hash = Math.imul(hash ^ byte, 0x01000193);
  const sealed = bytes.slice();
  new DataView(sealed.buffer).setUint32(body.length, hash >>> 0, true);
  return sealed;
}

describe('a restored ledger', () => {
  test('goes on where the other stood, calls in flight included', () => {
    const { ledger } = example();
    const restored = MappingLedger.restore(ledger.serialize());
    const rest = [
      event(60, { operation: 'munmap', phase: 'failed', result: -12, refersTo: 50, threadId: 1 }),
      event(61, { operation: 'mremap', phase: 'end', result: A + 900 * PAGE, refersTo: 51, threadId: 2 }),
      event(62, { operation: 'brk', args: [A - 30 * PAGE, 0, 0, 0, 0, 0], result: A - 30 * PAGE }),
      event(63, {}),
    ];
    for (const each of rest) {
      ledger.apply(each, 3);
      restored.apply(each, 3);
    }
    expect([...restored.ranges()]).toEqual([...ledger.ranges()]);
    expect([...restored.sites()]).toEqual([...ledger.sites()]);
    expect(restored.counters).toEqual(ledger.counters);
    expect(restored.counters).toMatchObject({ unmatched: 0, contradictions: 0, unplaced: 0 });
    expect(restored.at(A + 900 * PAGE)?.end).toBe(A + 901 * PAGE);
  });

  test('survives numbers that no honest target has', () => {
    const ledger = new MappingLedger();
    ledger.apply(event(1, { timeNs: 2 ** 60 }), 1);
    ledger.apply(
      event(2, { operation: 'mremap', phase: 'begin', args: [-1, 2 ** 60, Number.NaN, -5, 0, 0] }),
      1,
    );
    expect(MappingLedger.restore(ledger.serialize()).liveBytes).toBe(2 * PAGE);
  });
});

describe('a damaged checkpoint', () => {
  test('is refused with a code, whatever byte is changed or missing', () => {
    const bytes = example().ledger.serialize();
    for (let length = 0; length < bytes.length; length++) {
      expect(() => MappingLedger.restore(bytes.subarray(0, length))).toThrow(CheckpointError);
    }
    for (let at = 0; at < bytes.length; at++) {
      const damaged = bytes.slice();
      damaged[at]! ^= 0x41;
      expect(() => MappingLedger.restore(damaged)).toThrow(CheckpointError);
    }
    expect(() => MappingLedger.restore(new Uint8Array())).toThrow(
      expect.objectContaining({
        code: 'LEDGER_CHECKPOINT_INVALID',
        message: expect.stringContaining('Delete it'),
      }),
    );
  });

  test('that was forged with a right checksum is refused or yields a sound ledger', () => {
    const { ledger, sites } = example();
    const bytes = ledger.serialize();
    const siteBytes = sites.serialize();
    const change = fc.array(fc.tuple(fc.nat(bytes.length - 5), fc.nat(255)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(change, (changes) => {
        const forged = bytes.slice();
        const forgedSites = siteBytes.slice();
        for (const [at, value] of changes) {
          forged[at] = value;
          forgedSites[at % (siteBytes.length - 4)] = value;
        }
        attempt(() => {
          const restored = MappingLedger.restore(seal(forged));
          let reached = 0;
          for (const { start, end } of restored.ranges()) {
            expect(start).toBeGreaterThanOrEqual(reached);
            expect(end).toBeGreaterThan(start);
            reached = end;
          }
          restored.apply(
            event(70, { operation: 'munmap', phase: 'begin', args: [0, 2 ** 51, 0, 0, 0, 0] }),
            0,
          );
          restored.apply(event(71, { operation: 'mremap', phase: 'end', refersTo: 51, threadId: 2 }), 1);
        });
        attempt(() => SiteTable.restore(seal(forgedSites)));
      }),
      { numRuns: 3000 },
    );
  });

  test.each([
    ['two origins with one id', [1, 1], [0, 1], /twice/],
    ['an origin that holds nothing', [1, 2], [0], /holds nothing/],
    ['an origin from the future', [9], [0], /beyond/],
  ])('with %s is refused', (_, ids, owners, message) => {
    const writer = new ByteWriter();
    writer.text('offheap.ledger');
    // Version, page size, break, heap start, largest attachment, seven counters, next origin.
    for (const value of [1, PAGE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5]) writer.unsigned(value);
    writer.unsigned(ids.length);
    for (const id of ids) for (const value of [id, 1, 1, 0, PAGE, 2, 0]) writer.unsigned(value);
    writer.unsigned(owners.length);
    for (const owner of owners) for (const value of [PAGE, PAGE, 0, owner, 3]) writer.unsigned(value);
    writer.unsigned(0);
    expect(() => MappingLedger.restore(writer.sealed())).toThrow(message);
  });

  test('of another version or kind says so', () => {
    const writer = new ByteWriter();
    writer.text('offheap.ledger');
    writer.unsigned(2);
    expect(() => MappingLedger.restore(writer.sealed())).toThrow(/version 2, this is version 1/);
    expect(() => MappingLedger.restore(new SiteTable().serialize())).toThrow(/another kind/);
  });
});

function attempt(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
  }
}
