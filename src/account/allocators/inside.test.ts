import { expect, test } from 'vitest';
import { emptyNode } from '../tree.js';
import { type AllocatorPart, splitAllocator } from './inside.js';

const MEMORY = { owner: 'libc.so.6', path: null, ranges: [], areas: [] };

/** What stands under an allocator with so many resident bytes, of which a reader has found these. */
function childrenOf(residentBytes: number, found: readonly number[]): [string, number][] {
  const kinds = ['live', 'pinned', 'metadata'] as const;
  const parts = found.map((bytes, index): AllocatorPart => {
    return { kind: kinds[index]!, name: kinds[index]!, residentBytes: bytes, swapBytes: 0 };
  });
  const node = { ...emptyNode('allocator', 'libc.so.6'), residentBytes };
  const problems = splitAllocator(node, 1, MEMORY, [() => ({ parts, problems: [], asked: 'not recorded' })]);
  expect(problems.length).toBe(node.children.length > 0 ? 0 : 1);
  return node.children.map((child) => [child.name, child.residentBytes]);
}

test('what the parts leave is not read', () => {
  expect(childrenOf(100, [60, 10, 5])).toEqual([
    ['live', 60],
    ['pinned', 10],
    ['metadata', 5],
    ['not read', 25],
  ]);
});

test('parts that grew a little meanwhile are fitted in, to the byte', () => {
  expect(childrenOf(10_000, [10_003, 31, 17])).toEqual([
    ['live', 9954],
    ['pinned', 30],
    ['metadata', 16],
  ]);
});

test('of parts that grew much nothing is told', () => {
  expect(childrenOf(10_000, [10_200, 31, 17])).toEqual([]);
});
