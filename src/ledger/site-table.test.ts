import { describe, expect, test } from 'vitest';
import type { MappingEvent } from '../wire/event.js';
import { SiteTable } from './site-table.js';

const A = 0x7f00_0000_0000;

function event(fields: Partial<MappingEvent>): MappingEvent {
  return {
    ...{
      position: 0,
      operation: 'mmap',
      phase: 'complete',
      timeNs: 0,
      args: [0, 8192, 3, 0x22, 0, 0],
      result: A,
    },
    ...{ refersTo: 0, extra: 0, threadId: 1, stack: 7, path: null, generation: 0, stackTruncated: false },
    ...{ byProfiler: false, enclosing: null, ...fields },
  };
}

describe('intern', () => {
  test('gives one number to what is attributed alike and another to all else', () => {
    const sites = new SiteTable();
    const first = sites.intern(event({}));
    expect(first).toBe(1);
    expect(sites.intern(event({ args: [A, 64, 1, 0x22 | 0x10, 0, 0], threadId: 9, timeNs: 3 }))).toBe(first);
    const others = [
      event({ stack: 8 }),
      event({ stack: 2 ** 32 - 1 }),
      event({ operation: 'mremap', phase: 'end' }),
      event({ enclosing: 'munmap' }),
      event({ args: [0, 8192, 3, 0x21, 0, 0] }),
      event({ args: [0, 8192, 3, 0x02, 0, 0] }),
      event({ args: [0, 8192, 3, 0x20022, 0, 0] }),
      event({ byProfiler: true }),
      event({ args: [0, 262_144, 3, 0x22, 0, 0] }),
      event({ args: [0, 1_048_576, 3, 0x22, 0, 0] }),
      event({ operation: 'seed' }),
    ].map((each) => sites.intern(each));
    expect(new Set([first, ...others]).size).toBe(12);
    expect(sites.size).toBe(13);
    expect(sites.facts(others[3]!)).toMatchObject({ stack: 7, operation: 'mmap', enclosing: 'munmap' });
    expect(sites.facts(others[9]!).arenaBytes).toBe(1_048_576);
  });

  test('gives releases none', () => {
    const sites = new SiteTable();
    for (const operation of ['munmap', 'madvise', 'mprotect', 'shmdt', 'fork', 'none'] as const) {
      expect(sites.intern(event({ operation }))).toBe(0);
    }
    expect(sites.size).toBe(1);
  });

  test('tells seeds by path, and a nameless one behind a file is its .bss', () => {
    const sites = new SiteTable();
    const seed = (start: number, bytes: number, path: string | null, inode = 0) =>
      sites.facts(
        sites.intern(
          event({ operation: 'seed', stack: 0, args: [start, bytes, 3, 2, 0, 0], path, extra: inode }),
        ),
      );
    expect(seed(A, 8192, '/lib/a.so', 5)).toMatchObject({ class: 'file', path: '/lib/a.so' });
    expect(seed(A + 8192, 4096, null)).toMatchObject({ class: 'anonymous', path: '/lib/a.so' });
    expect(seed(A + 12_288, 4096, null)).toMatchObject({ class: 'anonymous', path: null });
    expect(seed(A + 2 ** 20, 4096, '[stack]')).toMatchObject({ stackArea: true, path: '[stack]' });
  });
});

test('a child inherits the numbers and points to its parent for their stacks', () => {
  const parent = new SiteTable();
  const inherited = parent.intern(event({}));
  const child = parent.fork();
  const own = child.intern(event({}));
  expect(own).not.toBe(inherited);
  expect([child.facts(inherited).ancestor, child.facts(own).ancestor]).toEqual([1, 0]);
  expect(parent.facts(inherited).ancestor).toBe(0);
  expect(child.fork().facts(inherited).ancestor).toBe(2);
});

test('a restored table knows the same sites by the same numbers', () => {
  const sites = new SiteTable();
  const events = [
    event({}),
    event({ enclosing: 'munmap', byProfiler: true }),
    event({ args: [0, 262_144, 3, 0x22, 0, 0] }),
    event({ operation: 'seed', path: '/lib/ä.so', extra: 3 }),
  ];
  const numbers = events.map((each) => sites.intern(each));
  const restored = SiteTable.restore(sites.serialize());
  expect(events.map((each) => restored.intern(each))).toEqual(numbers);
  for (const number of numbers) expect(restored.facts(number)).toEqual(sites.facts(number));
});
