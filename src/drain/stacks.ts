import { layout } from '../wire/addon.js';
import { fieldOffset } from '../wire/layout.js';
import { unsigned64 } from '../wire/record-view.js';

/** One address of a stack. */
export interface StackFrame {
  /** Runtime address. */
  address: number;
  /** The instruction itself; else a return address, whose call lies before it. */
  exact: boolean;
  /** Module load generation in which the address is to be looked up. */
  generation: number;
}

/** Where nodes are read from: a channel. */
export interface NodeSource {
  nodes(from: number, to: number): Uint8Array;
}

const structure = layout.structures.StackNode;
const KEY = fieldOffset(structure, 'key') / 4;
const PARENT = fieldOffset(structure, 'parent') / 4;
const WORDS = structure.bytes / 4;
const { keyKindShift, keyReturnAddress, keyExactAddress, keyGeneration } = layout.constants;
const KIND_SHIFT = keyKindShift - 32;
const ADDRESS_HIGH_MASK = 2 ** KIND_SHIFT - 1;

/** Nodes of one stack are mostly neighbours: they are read in blocks of this many, ending at the one wanted. */
const BLOCK = 128;
/** No real stack is deeper; a hostile tree could be as deep as it has nodes. */
const DEEPEST = 1 << 17;

interface Node {
  parent: number;
  generation: number;
  /** Null for a root, which stands for a generation and no code. */
  frame: StackFrame | null;
}

const NO_FRAMES: readonly StackFrame[] = Object.freeze([]);

/**
 * Frames by the number of a stack node, as events carry it.
 *
 * A node is read only when a drained event's stack leads to it: its neighbours may belong to stacks that the target is
 * just writing, so what a block holds beside is looked at within the same call and then forgotten.
 */
export class Stacks {
  readonly #source: NodeSource;
  readonly #nodes = new Map<number, Node>();
  readonly #stacks = new Map<number, readonly StackFrame[]>();
  #damaged = 0;

  constructor(source: NodeSource) {
    this.#source = source;
  }

  /** Stacks that the channel's damage cut short. */
  get damaged(): number {
    return this.#damaged;
  }

  /** The frames of a stack, leaf first; none for node 0. Kept: the same array again for the same node. */
  frames(node: number): readonly StackFrame[] {
    if (node === 0) return NO_FRAMES;
    let frames = this.#stacks.get(node);
    if (!frames) {
      frames = this.#read(node) ? this.#collect(node) : NO_FRAMES;
      this.#stacks.set(node, frames);
    }
    return frames;
  }

  /** Makes `leaf` and all its ancestors known; false where they make no tree. */
  #read(leaf: number): boolean {
    const path: { node: number; parent: number; kind: number; low: number; high: number }[] = [];
    let words: Uint32Array = new Uint32Array(0);
    let first = 0;
    let node = leaf;
    while (node !== 0 && !this.#nodes.has(node)) {
      if (node < first || node >= first + words.length / WORDS) {
        first = Math.max(1, node - BLOCK + 1);
        const bytes = this.#source.nodes(first, node + 1);
        words = new Uint32Array(bytes.buffer, bytes.byteOffset, Math.floor(bytes.byteLength / 4));
      }
      const at = (node - first) * WORDS;
      const parent = words[at + PARENT];
      const low = words[at + KEY];
      const high = words[at + KEY + 1];
      // A node is numbered after its parent: whatever breaks that rule is damage, and could be a cycle.
      if (parent === undefined || low === undefined || high === undefined || parent >= node)
        return this.#damage();
      path.push({ node, parent, kind: high >>> KIND_SHIFT, low, high: high & ADDRESS_HIGH_MASK });
      if (path.length > DEEPEST) return this.#damage();
      node = parent;
    }
    for (const { node, parent, kind, low, high } of path.reverse()) {
      const isRoot = parent === 0;
      if (isRoot !== (kind === keyGeneration)) return this.#damage();
      if (!isRoot && kind !== keyReturnAddress && kind !== keyExactAddress) return this.#damage();
      const generation = isRoot ? low : this.#nodes.get(parent)!.generation;
      const frame = { address: unsigned64(low, high), exact: kind === keyExactAddress, generation };
      this.#nodes.set(node, { parent, generation, frame: isRoot ? null : frame });
    }
    return true;
  }

  #damage(): false {
    this.#damaged++;
    return false;
  }

  #collect(leaf: number): readonly StackFrame[] {
    const frames: StackFrame[] = [];
    for (let node = this.#nodes.get(leaf); node; node = this.#nodes.get(node.parent)) {
      if (node.frame) frames.push(node.frame);
    }
    return frames;
  }
}
