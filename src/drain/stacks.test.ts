import { expect, test } from 'vitest';
import { layout } from '../wire/addon.js';
import { fieldOffset } from '../wire/layout.js';
import { Stacks } from './stacks.js';

const { StackNode } = layout.structures;
const { keyGeneration, keyExactAddress, keyKindShift } = layout.constants;
const KEY = fieldOffset(StackNode, 'key');
const PARENT = fieldOffset(StackNode, 'parent');
const ROOT = 1;
const GENERATION = 0xffff_ffff;

/** A tree in memory: node n of a chain calls from n - 1, every 16th from the root. */
function chains(nodes: number) {
  const bytes = Buffer.alloc(nodes * StackNode.bytes);
  const write = (node: number, kind: number, value: bigint, parent: number) => {
    bytes.writeBigUInt64LE((BigInt(kind) << BigInt(keyKindShift)) | value, node * StackNode.bytes + KEY);
    bytes.writeUInt32LE(parent, node * StackNode.bytes + PARENT);
  };
  write(ROOT, keyGeneration, BigInt(GENERATION), 0);
  for (let node = ROOT + 1; node < nodes; node++) {
    const kind = node % 16 === 15 ? keyExactAddress : 0;
    write(node, kind, 0x7f00_0000_0000n + BigInt(node), node % 16 === 0 ? ROOT : node - 1);
  }
  let read = 0;
  const source = {
    nodes(from: number, to: number) {
      read++;
      return bytes.subarray(from * StackNode.bytes, to * StackNode.bytes);
    },
  };
  return { source, write, reads: () => read };
}

test('as many stacks as there are: each with its own frames, again and again', () => {
  const nodes = 300_000;
  const tree = chains(nodes);
  const stacks = new Stacks(tree.source);
  for (let round = 0; round < 2; round++) {
    for (let leaf = 31; leaf < nodes; leaf += 16) {
      const frames = stacks.frames(leaf);
      if (frames.length !== 16) expect(frames).toHaveLength(16);
      const last = { address: 0x7f00_0000_0000 + leaf - 15, exact: false, generation: GENERATION };
      if (leaf % 4096 === 4095 || round === 1) {
        expect(frames[0]).toEqual({ ...last, address: last.address + 15, exact: true });
        expect(frames[15]).toEqual(last);
      }
    }
  }
  expect(tree.reads()).toBeLessThan(nodes / 16 + 1);
  expect(stacks.damaged).toBe(0);
});

test('a damaged stack is counted once', () => {
  const tree = chains(64);
  tree.write(40, 0, 0x1234n, 41);
  const stacks = new Stacks(tree.source);
  for (let round = 0; round < 3; round++) {
    expect(stacks.frames(40)).toEqual([]);
    expect(stacks.frames(47)).toEqual([]);
    expect(stacks.frames(39)).toHaveLength(8);
  }
  expect(stacks.damaged).toBe(2);
});
