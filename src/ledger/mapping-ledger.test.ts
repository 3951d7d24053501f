import { describe, expect, test } from 'vitest';
import type { MappingEvent, Operation, Phase } from '../wire/event.js';
import { MappingLedger } from './mapping-ledger.js';

const KB = 1024;
const PAGE = 4096;
const A = 0x7f00_0000_0000;
const PRIVATE = 0x22;
const SHARED = 0x21;

class Target {
  readonly ledger: MappingLedger;
  #position = 0;

  constructor(ledger = new MappingLedger()) {
    this.ledger = ledger;
  }

  emit(
    operation: Operation,
    phase: Phase,
    args: number[],
    more: Partial<MappingEvent> = {},
    site = 1,
  ): number {
    this.ledger.apply(
      {
        position: this.#position,
        operation,
        phase,
        timeNs: this.#position,
        args: [0, 0, 0, 0, 0, 0].map((zero, index) => args[index] ?? zero) as unknown as MappingEvent['args'],
        result: 0,
        refersTo: 0,
        extra: 0,
        threadId: 1,
        stack: site,
        path: null,
        generation: 0,
        stackTruncated: false,
        byProfiler: false,
        enclosing: null,
        ...more,
      },
      site,
    );
    return this.#position++;
  }

  mmap(result: number, bytes: number, flags = PRIVATE, protection = 3, site = 1, threadId = 1): void {
    this.emit('mmap', 'complete', [0, bytes, protection, flags], { result, threadId }, site);
  }

  munmap(start: number, bytes: number): number {
    return this.emit('munmap', 'begin', [start, bytes]);
  }

  mremap(args: number[], result: number, site = 2): void {
    const refersTo = this.emit('mremap', 'begin', args, {}, site);
    this.emit('mremap', result < 0 ? 'failed' : 'end', args, { result, refersTo }, site);
  }

  /** `start+bytes:operation` in KiB from A, with what tells ranges apart. */
  shown(): string[] {
    const ranges = [...this.ledger.ranges()];
    const { bounds, ids, sites, protections, timesNs, files } = this.ledger.columns();
    expect(
      Array.from(ids, (id, i) => [bounds[2 * i], bounds[2 * i + 1], id, sites[i], protections[i]]),
    ).toEqual(
      ranges.map(({ start, end, origin, protection }) => [start, end, origin.id, origin.site, protection]),
    );
    expect(Array.from(ids, (_, i) => [timesNs[i], files[i] === 1])).toEqual(
      ranges.map(({ origin }) => [origin.timeNs, origin.class === 'file']),
    );
    return ranges.map(({ start, end, origin, protection }) => {
      const access = protection === 0 ? ' none' : '';
      return `${(start - A) / KB}+${(end - start) / KB} ${origin.operation} #${origin.id}${access}`;
    });
  }
}

describe('mmap', () => {
  test('rounds to pages and to huge pages', () => {
    const target = new Target();
    target.mmap(A, 1);
    target.mmap(A + 4096 * KB, 1, PRIVATE | 0x40000);
    target.mmap(A + 2 ** 30, 1, PRIVATE | 0x40000 | (30 << 26));
    expect(target.shown()).toEqual(['0+4 mmap #1', '4096+2048 mmap #2', '1048576+1048576 mmap #3']);
  });

  test('tells anonymous, shared and file memory apart and sums files on their own', () => {
    const target = new Target();
    target.mmap(A, 4 * KB, PRIVATE);
    target.mmap(A + 4 * KB, 4 * KB, SHARED);
    target.mmap(A + 8 * KB, 4 * KB, 0x02);
    expect([...target.ledger.ranges()].map(({ origin }) => origin.class)).toEqual([
      'anonymous',
      'shared',
      'file',
    ]);
    expect([target.ledger.liveBytes, target.ledger.fileBytes]).toEqual([8 * KB, 4 * KB]);
    expect(target.ledger.bytesBySite(1)).toBe(8 * KB);
  });

  test('keeps what the kernel would merge apart, with who, when and where', () => {
    const target = new Target();
    target.mmap(A, 8 * KB, PRIVATE, 3, 1, 7);
    target.mmap(A + 8 * KB, 8 * KB, PRIVATE | 0x20000, 3, 2, 8);
    expect(target.shown()).toEqual(['0+8 mmap #1', '8+8 mmap #2']);
    expect(target.ledger.at(A + 9 * KB)).toEqual({
      start: A + 8 * KB,
      end: A + 16 * KB,
      protection: 3,
      origin: {
        ...{ id: 2, site: 2, operation: 'mmap', threadId: 8, timeNs: 1, bytes: 8 * KB, class: 'anonymous' },
        ...{ seeded: false, byProfiler: false, stackArea: true, growsDown: false, path: null },
      },
    });
    expect(target.ledger.at(A + 16 * KB)).toBeUndefined();
  });

  test('that failed, is empty or unaligned changes nothing', () => {
    const target = new Target();
    target.mmap(-12, 4 * KB);
    target.mmap(-4095, 4 * KB);
    target.mmap(A, 0);
    target.mmap(A + 1, 4 * KB);
    target.mmap(A, Number.MAX_SAFE_INTEGER);
    expect(target.shown()).toEqual([]);
    expect(target.ledger.counters.failedCalls).toBe(2);
  });

  test('with MAP_FIXED takes over what it covers; without, that counts as a contradiction', () => {
    const target = new Target();
    target.mmap(A, 12 * KB);
    target.mmap(A + 4 * KB, 4 * KB, PRIVATE | 0x10);
    expect(target.shown()).toEqual(['0+4 mmap #1', '4+4 mmap #2', '8+4 mmap #1']);
    expect(target.ledger.counters.contradictions).toBe(0);
    target.mmap(A + 8 * KB, 4 * KB, PRIVATE | 0x100000);
    expect(target.ledger.counters.contradictions).toBe(1);
    expect(target.ledger.liveBytes).toBe(12 * KB);
  });
});

describe('munmap', () => {
  test('cuts, and spans mappings and holes', () => {
    const target = new Target();
    target.mmap(A, 16 * KB);
    target.munmap(A + 4 * KB, 4 * KB);
    target.mmap(A + 32 * KB, 8 * KB);
    expect(target.shown()).toEqual(['0+4 mmap #1', '8+8 mmap #1', '32+8 mmap #2']);
    target.munmap(A + 12 * KB, 23 * KB);
    expect(target.shown()).toEqual(['0+4 mmap #1', '8+4 mmap #1', '36+4 mmap #2']);
  });

  test('of nothing or of an unaligned address is refused and undoes nothing', () => {
    const target = new Target();
    target.mmap(A, 8 * KB);
    for (const [start, bytes] of [[A, 0] as const, [A + 1, PAGE] as const]) {
      const refersTo = target.munmap(start, bytes);
      target.emit('munmap', 'failed', [start, bytes], { result: -22, refersTo });
    }
    expect(target.shown()).toEqual(['0+8 mmap #1']);
    expect(target.ledger.counters.unmatched).toBe(0);
  });

  test('that failed gives back exactly what the begin took, except what is mapped anew', () => {
    const target = new Target();
    target.mmap(A, 8 * KB, PRIVATE, 3, 1);
    target.mmap(A + 8 * KB, 16 * KB, PRIVATE, 0, 2);
    const refersTo = target.munmap(A + 4 * KB, 16 * KB);
    target.mmap(A + 12 * KB, 4 * KB, PRIVATE, 3, 3, 2);
    expect(target.shown()).toEqual(['0+4 mmap #1', '12+4 mmap #3', '20+4 mmap #2 none']);
    target.emit('munmap', 'failed', [], { result: -12, refersTo });
    expect(target.shown()).toEqual(['0+8 mmap #1', '8+4 mmap #2 none', '12+4 mmap #3', '16+8 mmap #2 none']);
    expect(target.ledger.bytesBySite(2)).toBe(12 * KB);
  });

  test('is settled by the next call of its thread, not by one of a signal handler inside it', () => {
    const target = new Target();
    target.mmap(A, 8 * KB);
    const first = target.munmap(A, 4 * KB);
    target.emit('mmap', 'complete', [0, 4 * KB, 3, PRIVATE], { result: A + 64 * KB, enclosing: 'munmap' });
    target.emit('munmap', 'failed', [], { result: -12, refersTo: first });
    expect(target.ledger.at(A)?.end).toBe(A + 8 * KB);

    const second = target.munmap(A, 4 * KB);
    target.mmap(A + 128 * KB, 4 * KB);
    target.emit('munmap', 'failed', [], { result: -12, refersTo: second });
    expect(target.ledger.at(A)).toBeUndefined();
    expect(target.ledger.counters.unmatched).toBe(1);
  });

  test('of more than 4096 threads: the oldest can no longer be undone, and that is counted', () => {
    const target = new Target();
    const begins: number[] = [];
    for (let thread = 0; thread <= 4096; thread++) {
      target.mmap(A + thread * PAGE, PAGE, PRIVATE, 3, 1, thread);
      begins.push(target.emit('munmap', 'begin', [A + thread * PAGE, PAGE], { threadId: thread }));
    }
    for (const thread of [0, 4096]) {
      target.emit('munmap', 'failed', [], { threadId: thread, result: -12, refersTo: begins[thread]! });
    }
    expect(target.ledger.at(A)).toBeUndefined();
    expect(target.ledger.at(A + 4096 * PAGE)).toBeDefined();
    expect(target.ledger.counters.unmatched).toBe(1);
  });
});

describe('mprotect', () => {
  test('splits and joins a reservation as it becomes accessible', () => {
    const target = new Target();
    target.mmap(A, 64 * KB, PRIVATE, 0);
    expect(target.ledger.reservedBytes).toBe(64 * KB);
    target.emit('mprotect', 'complete', [A, 16 * KB, 3]);
    target.emit('pkey_mprotect', 'complete', [A + 16 * KB, 4 * KB, 3, 1]);
    expect(target.shown()).toEqual(['0+20 mmap #1', '20+44 mmap #1 none']);
    expect([...target.ledger.sites()]).toEqual([
      { site: 1, bytes: 64 * KB, reservedBytes: 44 * KB, ranges: 2 },
    ]);
    target.emit('mprotect', 'complete', [A, 64 * KB, 0]);
    expect(target.shown()).toEqual(['0+64 mmap #1 none']);
    target.emit('mprotect', 'complete', [A, 64 * KB, 3], { result: -13 });
    expect(target.ledger.reservedBytes).toBe(64 * KB);
  });
});

describe('mremap', () => {
  test('that moves keeps the origin, that grows has its own for the tail, that shrinks drops the tail', () => {
    const target = new Target();
    target.mmap(A, 8 * KB);
    target.mremap([A, 8 * KB, 8 * KB, 3, A + 64 * KB], A + 64 * KB);
    expect(target.shown()).toEqual(['64+8 mmap #1']);
    target.mremap([A + 64 * KB, 8 * KB, 16 * KB, 1], A);
    expect(target.shown()).toEqual(['0+8 mmap #1', '8+8 mremap #2']);
    expect(target.ledger.bytesBySite(2)).toBe(8 * KB);
    target.mremap([A, 16 * KB, 4 * KB, 0], A);
    expect(target.shown()).toEqual(['0+4 mmap #1']);
  });

  test('in small steps from one site stays in two ranges', () => {
    const target = new Target();
    target.mmap(A, 4 * KB);
    for (let pages = 1; pages < 1000; pages++) target.mremap([A, pages * PAGE, (pages + 1) * PAGE, 1], A);
    expect(target.shown()).toEqual(['0+4 mmap #1', '4+3996 mremap #2']);
    expect(target.ledger.at(A + 8 * KB)?.origin.bytes).toBe(3996 * KB);
  });

  test('in steps from two sites keeps their growth apart', () => {
    const target = new Target();
    target.mmap(A, 4 * KB);
    target.mremap([A, 4 * KB, 8 * KB, 1], A, 2);
    target.mremap([A, 8 * KB, 12 * KB, 1], A, 3);
    expect(target.shown()).toEqual(['0+4 mmap #1', '4+4 mremap #2', '8+4 mremap #3']);
    expect([2, 3].map((site) => target.ledger.bytesBySite(site))).toEqual([4 * KB, 4 * KB]);
  });

  test('grows from the site of its begin where the end has no stack', () => {
    const target = new Target();
    target.mmap(A, 4 * KB);
    const args = [A, 4 * KB, 8 * KB, 1];
    const refersTo = target.emit('mremap', 'begin', args, {}, 2);
    target.emit('mremap', 'end', args, { result: A, refersTo, stack: 0 }, 3);
    expect(target.ledger.bytesBySite(2)).toBe(4 * KB);
  });

  test('does not stretch an origin over a hole that lost events left', () => {
    const target = new Target();
    target.mmap(A, 4 * KB);
    target.mremap([A, 4 * KB, 8 * KB, 1], A, 2);
    target.mremap([A, 16 * KB, 24 * KB, 1], A, 2);
    expect(target.shown()).toEqual(['0+4 mmap #1', '4+4 mremap #2', '16+8 mremap #3']);
  });

  test('that fails, or ends as failed, changes nothing', () => {
    const target = new Target();
    target.mmap(A, 8 * KB);
    target.mremap([A, 8 * KB, 64 * KB, 0], -12);
    target.mremap([A, 8 * KB, 0, 0], -22);
    expect(target.shown()).toEqual(['0+8 mmap #1']);
  });

  test('with MREMAP_FIXED replaces what is at the target', () => {
    const target = new Target();
    target.mmap(A, 8 * KB);
    target.mmap(A + 16 * KB, 16 * KB);
    target.mremap([A, 8 * KB, 8 * KB, 3, A + 20 * KB], A + 20 * KB);
    expect(target.shown()).toEqual(['16+4 mmap #2', '20+8 mmap #1', '28+4 mmap #2']);
    expect(target.ledger.counters.contradictions).toBe(0);
  });

  test('with MREMAP_DONTUNMAP, and with old size 0, leaves the old range', () => {
    const target = new Target();
    target.mmap(A, 8 * KB, PRIVATE, 1);
    target.mremap([A, 8 * KB, 8 * KB, 5], A + 64 * KB);
    expect(target.shown()).toEqual(['0+8 mmap #1', '64+8 mremap #2']);
    expect(target.ledger.at(A + 64 * KB)?.protection).toBe(1);
    target.mmap(A + 128 * KB, 8 * KB, SHARED);
    target.mremap([A + 128 * KB, 0, 16 * KB, 1], A + 256 * KB);
    expect(target.shown().slice(2)).toEqual(['128+8 mmap #3', '256+16 mremap #4']);
    expect(target.ledger.at(A + 256 * KB)?.origin.class).toBe('shared');
  });

  test('lets another thread reuse the old range before its end is recorded', () => {
    const target = new Target();
    target.mmap(A, 8 * KB);
    const args = [A, 8 * KB, 16 * KB, 1];
    const refersTo = target.emit('mremap', 'begin', args, {}, 2);
    target.mmap(A, 8 * KB, PRIVATE, 3, 3, 2);
    target.emit('mremap', 'end', args, { result: A + 64 * KB, refersTo }, 2);
    expect(target.shown()).toEqual(['0+8 mmap #2', '64+8 mmap #1', '72+8 mremap #3']);
    expect(target.ledger.counters.contradictions).toBe(0);
  });

  test('of what the ledger never saw is placed and counted', () => {
    const target = new Target();
    target.mremap([A, 8 * KB, 8 * KB, 1], A + 64 * KB);
    expect(target.shown()).toEqual(['64+8 mremap #1']);
    expect(target.ledger.counters.contradictions).toBe(1);
    target.emit('mremap', 'end', [A, PAGE, PAGE, 1], { result: A, refersTo: 99 });
    expect(target.ledger.counters.unmatched).toBe(1);
  });

  test('rounds to the huge pages of the range', () => {
    const target = new Target();
    target.mmap(A, 2048 * KB, PRIVATE | 0x40000);
    target.mremap([A, 2048 * KB, 2049 * KB, 1], A);
    expect(target.shown()).toEqual(['0+2048 mmap #1', '2048+2048 mremap #2']);
  });
});

describe('brk', () => {
  test('grows by increments with origins of their own and shrinks', () => {
    const target = new Target();
    target.emit('brk', 'complete', [0], { result: A + 100 });
    target.emit('brk', 'complete', [A + 10 * KB], { result: A + 10 * KB });
    target.emit('brk', 'complete', [A + 11 * KB], { result: A + 11 * KB });
    target.emit('brk', 'complete', [A + 20 * KB], { result: A + 20 * KB });
    expect(target.shown()).toEqual(['4+8 brk #1', '12+8 brk #2']);
    target.emit('brk', 'begin', [A + 9 * KB]);
    expect(target.shown()).toEqual(['4+8 brk #1']);
    target.emit('brk', 'complete', [A + 16 * KB], { result: A + 16 * KB });
    expect(target.shown()).toEqual(['4+8 brk #1', '12+4 brk #3']);
  });

  test('that is refused or below the heap changes nothing', () => {
    const target = new Target();
    target.emit('brk', 'complete', [0], { result: A });
    target.emit('brk', 'complete', [A + 16 * KB], { result: A + 16 * KB });
    target.emit('brk', 'complete', [2 ** 50], { result: A + 16 * KB });
    target.emit('brk', 'begin', [A - PAGE]);
    const refersTo = target.emit('brk', 'begin', [A + 4 * KB]);
    target.emit('brk', 'failed', [A + 4 * KB], { result: A + 16 * KB, refersTo });
    target.emit('brk', 'complete', [A + 20 * KB], { result: A + 20 * KB });
    expect(target.shown()).toEqual(['0+16 brk #1', '16+4 brk #2']);
  });

  test('counts no growth twice that a question of another thread answered first', () => {
    const target = new Target();
    target.emit('brk', 'complete', [0], { result: A });
    target.emit('brk', 'complete', [0], { result: A + 16 * KB, threadId: 2 });
    target.emit('brk', 'complete', [A + 16 * KB], { result: A + 16 * KB }, 3);
    expect(target.ledger.at(A)).toMatchObject({ end: A + 16 * KB, origin: { site: 3 } });
  });

  test('continues a seeded heap, and without a known break says that it cannot place the growth', () => {
    const target = new Target();
    target.emit('seed', 'complete', [A, 132 * KB, 3, 0x02], { path: '[heap]' });
    target.emit('brk', 'complete', [A + 140 * KB], { result: A + 140 * KB });
    expect(target.shown()).toEqual(['0+132 seed #1', '132+8 brk #2']);
    const unseeded = new Target();
    unseeded.emit('brk', 'complete', [A], { result: A });
    expect(unseeded.ledger.counters.unplaced).toBe(1);
  });
});

describe('shared segments', () => {
  test('shmdt removes what is left of the attachment, wherever it was cut', () => {
    const target = new Target();
    target.emit('shmat', 'complete', [5, 0, 0x1000], { result: A, extra: 30 * KB });
    target.mmap(A + 32 * KB, 4 * KB);
    expect(target.ledger.at(A)).toMatchObject({
      end: A + 32 * KB,
      protection: 1,
      origin: { class: 'shared' },
    });
    target.munmap(A, 8 * KB);
    target.munmap(A + 16 * KB, 4 * KB);
    const refersTo = target.emit('shmdt', 'begin', [A + 20 * KB]);
    target.emit('shmdt', 'failed', [A + 20 * KB], { result: -22, refersTo });
    expect(target.ledger.liveBytes).toBe(24 * KB);
    target.emit('shmdt', 'begin', [A]);
    expect(target.shown()).toEqual(['32+4 mmap #2']);
  });

  test('follow mremap: the attachment is detached at its new address', () => {
    const target = new Target();
    target.emit('shmat', 'complete', [5, 0, 0], { result: A, extra: 8 * KB });
    target.mremap([A, 8 * KB, 8 * KB, 1], A + 64 * KB);
    target.emit('shmdt', 'begin', [A]);
    expect(target.ledger.liveBytes).toBe(8 * KB);
    target.emit('shmdt', 'begin', [A + 64 * KB]);
    expect(target.ledger.liveBytes).toBe(0);
  });

  test('share a base: only the first one found is detached', () => {
    const target = new Target();
    target.emit('shmat', 'complete', [5], { result: A, extra: 16 * KB });
    target.munmap(A, 8 * KB);
    target.emit('shmat', 'complete', [6], { result: A, extra: 4 * KB });
    target.emit('shmdt', 'begin', [A]);
    expect(target.shown()).toEqual(['8+8 shmat #1']);
  });

  test('that mremap extended are detached as a whole', () => {
    const target = new Target();
    target.emit('shmat', 'complete', [5], { result: A, extra: 8 * KB });
    target.mremap([A, 8 * KB, 64 * KB, 1], A + 64 * KB);
    target.munmap(A + 64 * KB, 32 * KB);
    target.emit('shmdt', 'begin', [A + 64 * KB]);
    expect(target.shown()).toEqual([]);
  });

  test('of unknown size are counted', () => {
    const target = new Target();
    target.emit('shmat', 'complete', [5], { result: A });
    expect(target.ledger.counters.unplaced).toBe(1);
  });
});

describe('what leaves ranges as they are', () => {
  test('advice that discards is counted, other advice is not', () => {
    const target = new Target();
    target.mmap(A, 16 * KB);
    for (const advice of [4, 8, 9, 10, 14]) target.emit('madvise', 'complete', [A, 8 * KB, advice]);
    target.emit('madvise', 'complete', [A, 8 * KB, 4], { result: -12 });
    target.emit('process_madvise', 'complete', [3, 0, 1, 4], { result: 4 * KB });
    expect(target.shown()).toEqual(['0+16 mmap #1']);
    expect(target.ledger.counters).toMatchObject({ discardCalls: 4, discardedBytes: 28 * KB });
  });

  test('remap_file_pages and fork', () => {
    const target = new Target();
    target.mmap(A, 16 * KB, SHARED);
    target.emit('remap_file_pages', 'complete', [A, 8 * KB, 0, 2]);
    target.emit('fork', 'complete', [], { result: 4711 });
    expect(target.shown()).toEqual(['0+16 mmap #1']);
  });
});

describe('seeds', () => {
  test('fill only what no event has claimed, with class, path and growth', () => {
    const target = new Target();
    target.mmap(A + 8 * KB, 4 * KB);
    target.emit('seed', 'complete', [A, 16 * KB, 3, 0x02], { path: '[stack]' });
    target.emit('seed', 'complete', [A + 8 * KB, 4 * KB, 3, 0x02], {});
    target.emit('seed', 'complete', [A + 32 * KB, 8 * KB, 1, 0x02], { path: '/usr/lib/x.so', extra: 77 });
    target.emit('seed', 'complete', [A + 64 * KB, 8 * KB, 3, 0x01], {
      path: '/SYSV00000001 (deleted)',
      extra: 3,
    });
    expect(target.shown().slice(0, 3)).toEqual(['0+8 seed #2', '8+4 mmap #1', '12+4 seed #2']);
    expect(target.ledger.at(A)?.origin).toMatchObject({ seeded: true, growsDown: true, stackArea: true });
    expect(target.ledger.at(A + 32 * KB)?.origin).toMatchObject({ class: 'file', path: '/usr/lib/x.so' });
    expect(target.ledger.at(A + 64 * KB)?.origin.class).toBe('shared');
    target.emit('shmdt', 'begin', [A + 64 * KB]);
    expect(target.ledger.at(A + 64 * KB)).toBeUndefined();
  });
});

describe('an origin', () => {
  test('is forgotten with its last byte, its path too', () => {
    const target = new Target();
    target.emit('seed', 'complete', [A, 4 * KB, 1, 0x02], { path: '/lib/x.so', extra: 5 });
    target.munmap(A, 4 * KB);
    target.emit('fork', 'complete', []);
    target.mmap(A, 4 * KB, 0x02);
    expect(target.ledger.at(A)?.origin).toMatchObject({ id: 2, path: null });
  });
});

describe('clone', () => {
  test('holds its own origins', () => {
    const target = new Target();
    target.mmap(A, 16 * KB);
    const child = new Target(target.ledger.clone());
    child.munmap(A, 8 * KB);
    child.emit('fork', 'complete', []);
    child.mmap(A, 4 * KB);
    expect(child.shown()).toEqual(['0+4 mmap #2', '8+8 mmap #1']);
    expect(target.shown()).toEqual(['0+16 mmap #1']);
  });

  test('goes its own way; an mremap that another thread was in counts as not done', () => {
    const target = new Target();
    target.mmap(A, 8 * KB);
    target.mmap(A + 16 * KB, 8 * KB);
    const args = [A, 8 * KB, 16 * KB, 1];
    const refersTo = target.emit('mremap', 'begin', args);
    const child = target.ledger.clone();
    target.emit('mremap', 'end', args, { result: A + 64 * KB, refersTo });
    expect([...child.ranges()].map(({ start }) => start)).toEqual([A, A + 16 * KB]);
    expect([...target.ledger.ranges()].map(({ start }) => start)).toEqual([
      A + 16 * KB,
      A + 64 * KB,
      A + 72 * KB,
    ]);
    expect([child.liveBytes, target.ledger.liveBytes]).toEqual([16 * KB, 24 * KB]);
  });
});
