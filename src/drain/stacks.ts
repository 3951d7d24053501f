import { layout } from '../wire/addon.js';
import { fieldOffset } from '../wire/layout.js';
import { KnownNodes, type StackFrame } from './known-nodes.js';

export type { PythonPosition, StackFrame } from './known-nodes.js';

/** Where nodes are read from: a channel. */
export interface NodeSource {
  nodes(from: number, to: number): Uint8Array;
}

const structure = layout.structures.StackNode;
const KEY = fieldOffset(structure, 'key') / 4;
const PARENT = fieldOffset(structure, 'parent') / 4;
const WORDS = structure.bytes / 4;
const { keyKindShift, keyReturnAddress, keyExactAddress, keyGeneration, keyPython } = layout.constants;
const KIND_SHIFT = keyKindShift - 32;

/** Nodes of one stack are mostly neighbours: they are read in blocks of this many, ending at the one wanted. */
const BLOCK = 128;
/** No real stack is deeper; a hostile tree could be as deep as it has nodes. */
const DEEPEST = 1 << 17;
/** Stacks whose frames are kept: those of many events come again soon, and of the heap's there may be a million. */
const KEPT_STACKS = 1 << 13;

const NO_FRAMES: readonly StackFrame[] = Object.freeze([]);

/**
 * Frames by the number of a stack node, as events carry it.
 *
 * A node is read only when a drained event's stack leads to it: its neighbours may belong to stacks that the target is
 * just writing, so what a block holds beside is looked at within the same call and then forgotten.
 */
export class Stacks {
  readonly #source: NodeSource;
  readonly #nodes = new KnownNodes();
  readonly #kept = new Map<number, readonly StackFrame[]>();
  readonly #damaged = new Set<number>();

  constructor(source: NodeSource) {
    this.#source = source;
  }

  /** Stacks that the channel's damage left without frames. */
  get damaged(): number {
    return this.#damaged.size;
  }

  /** The frames of a stack, leaf first; none for node 0. */
  frames(node: number): readonly StackFrame[] {
    if (node === 0) return NO_FRAMES;
    const kept = this.#kept.get(node);
    if (kept) return kept;
    if (this.#damaged.has(node)) return NO_FRAMES;
    if (!this.#read(node)) {
      this.#damaged.add(node);
      return NO_FRAMES;
    }
    const frames = this.#collect(node);
    if (this.#kept.size >= KEPT_STACKS) this.#kept.clear();
    this.#kept.set(node, frames);
    return frames;
  }

  /** Makes `leaf` and all its ancestors known; false where they make no tree. */
  #read(leaf: number): boolean {
    /** Four numbers for each node, leaf first. */
    const path: number[] = [];
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
      if (parent === undefined || low === undefined || high === undefined || parent >= node) return false;
      path.push(node, parent, low, high);
      if (path.length > 4 * DEEPEST) return false;
      node = parent;
    }
    let generation = node === 0 ? 0 : this.#nodes.generation(node);
    for (let at = path.length - 4; at >= 0; at -= 4) {
      const node = path[at]!;
      const parent = path[at + 1]!;
      const low = path[at + 2]!;
      const high = path[at + 3]!;
      const kind = high >>> KIND_SHIFT;
      const isRoot = parent === 0;
      if (isRoot !== (kind === keyGeneration)) return false;
      if (!isRoot && kind !== keyReturnAddress && kind !== keyExactAddress && kind !== keyPython)
        return false;
      if (isRoot) generation = low;
      this.#nodes.add(node, parent, low, high, generation);
    }
    return true;
  }

  #collect(leaf: number): readonly StackFrame[] {
    const frames: StackFrame[] = [];
    // A root stands for a generation and no code.
    for (let node = leaf; this.#nodes.parent(node) !== 0; node = this.#nodes.parent(node)) {
      frames.push(this.#nodes.frame(node));
    }
    return frames;
  }
}
