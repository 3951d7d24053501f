import { expect, test } from 'vitest';
import { layout } from '../wire/addon.js';
import { OffheapError } from '../wire/error.js';
import { fieldOffset } from '../wire/layout.js';
import { PythonCodes } from './python-codes.js';

const { StackNode } = layout.structures;
const { keyKindShift, keyText, keyTextOffset, keyPythonCode, keyPython } = layout.constants;

interface Node {
  kind: number;
  value: bigint;
  parent: number;
  firstChild: number;
}

const FILE: Node = { kind: keyText, value: 0xf11en, parent: 0, firstChild: 2 };
const NAME: Node = { kind: keyText, value: 0x4a3en, parent: 0, firstChild: 4 };
const TREE: Node[] = [
  { kind: 0, value: 0n, parent: 0, firstChild: 0 },
  FILE,
  { kind: keyTextOffset, value: 100n, parent: 1, firstChild: 0 },
  NAME,
  { kind: keyTextOffset, value: 200n, parent: 3, firstChild: 0 },
  { kind: keyPythonCode, value: (3n << 32n) | 17n, parent: 1, firstChild: 0 },
];

function codes(tree: readonly Node[], texts: Record<number, string> = { 100: 'a.py', 200: 'f' }) {
  const bytes = Buffer.alloc(tree.length * StackNode.bytes);
  for (const [index, { kind, value, parent, firstChild }] of tree.entries()) {
    const at = index * StackNode.bytes;
    bytes.writeBigUInt64LE(
      (BigInt(kind) << BigInt(keyKindShift)) | value,
      at + fieldOffset(StackNode, 'key'),
    );
    bytes.writeUInt32LE(parent, at + fieldOffset(StackNode, 'parent'));
    bytes.writeUInt32LE(firstChild, at + fieldOffset(StackNode, 'first_child'));
  }
  return new PythonCodes({
    nodes: (from, to) => bytes.subarray(from * StackNode.bytes, to * StackNode.bytes),
    text: (offset) => {
      const text = texts[offset];
      if (text === undefined) throw new OffheapError('CHANNEL_DAMAGED', 'no text');
      return text;
    },
  });
}

test('a function by its number', () => {
  const known = codes(TREE);
  expect(known.describe(5)).toEqual({ name: 'f', file: 'a.py' });
  expect(known.describe(5)).toBe(known.describe(5));
});

const changed = (index: number, change: Partial<Node>) =>
  TREE.map((node, each) => (each === index ? { ...node, ...change } : node));

test.each<[string, readonly Node[]]>([
  ['no function', changed(5, { kind: keyPython })],
  ['a name that is no text', changed(3, { kind: keyPython })],
  ['a name that no node has', changed(5, { value: 99n << 32n })],
  ['a name that is no root', changed(3, { parent: 1 })],
  ['a file without a place', changed(1, { firstChild: 0 })],
  ['a file whose place is another text’s', changed(1, { firstChild: 4 })],
  ['a text that leads to itself', changed(3, { firstChild: 3 })],
  ['a place behind the end', changed(4, { value: 7n })],
])('damage gives none: %s', (_, tree) => {
  expect(codes(tree).describe(5)).toBeNull();
});

test('no number is no function', () => {
  expect(codes(TREE).describe(0)).toBeNull();
  expect(codes(TREE).describe(77)).toBeNull();
});
