import { layout } from '../wire/addon.js';
import { unsigned64 } from '../wire/record-view.js';

/** Where a Python function was. */
export interface PythonPosition {
  /** Which function: a number for `PythonCodes`; 0 where the target had no room for its name. */
  code: number;
  /** 0 where it has none. */
  line: number;
}

/** One frame of a stack. */
export interface StackFrame {
  /** Runtime address; 0 for a Python function. */
  address: number;
  /** The instruction itself; else a return address, whose call lies before it. */
  exact: boolean;
  /** Module load generation in which the address is to be looked up. */
  generation: number;
  /** Of a Python function, which the interpreter runs. */
  python?: PythonPosition;
}

const { keyKindShift, keyExactAddress, keyPython } = layout.constants;
const KIND_SHIFT = keyKindShift - 32;
const ADDRESS_HIGH_MASK = 2 ** KIND_SHIFT - 1;

const PAGE_NODES = 1024;
/** Of a node in a page: its parent's number and one, 0 where nothing is known; the key, low word first; the generation. */
const WORDS = 4;

/** Stack nodes that were read and found sound, 16 bytes each: programs have millions. */
export class KnownNodes {
  readonly #pages = new Map<number, Uint32Array>();
  #latest: Uint32Array | undefined;
  #latestNumber = -1;

  has(node: number): boolean {
    return this.#word(node, 0) !== 0;
  }

  /** Of a known node; 0 for a root. */
  parent(node: number): number {
    return this.#word(node, 0) - 1;
  }

  generation(node: number): number {
    return this.#word(node, 3);
  }

  frame(node: number): StackFrame {
    const high = this.#word(node, 2);
    if (high >>> KIND_SHIFT === keyPython) {
      const python = { code: high & ADDRESS_HIGH_MASK, line: this.#word(node, 1) };
      return { address: 0, exact: true, generation: this.generation(node), python };
    }
    return {
      address: unsigned64(this.#word(node, 1), high & ADDRESS_HIGH_MASK),
      exact: high >>> KIND_SHIFT === keyExactAddress,
      generation: this.generation(node),
    };
  }

  add(node: number, parent: number, low: number, high: number, generation: number): void {
    const number = Math.floor(node / PAGE_NODES);
    let page = this.#pages.get(number);
    if (!page) {
      page = new Uint32Array(PAGE_NODES * WORDS);
      this.#pages.set(number, page);
    }
    const at = (node % PAGE_NODES) * WORDS;
    page[at] = parent + 1;
    page[at + 1] = low;
    page[at + 2] = high;
    page[at + 3] = generation;
  }

  #word(node: number, word: number): number {
    const number = Math.floor(node / PAGE_NODES);
    // Who walks along a stack mostly stays within a page.
    if (number !== this.#latestNumber) {
      const page = this.#pages.get(number);
      if (!page) return 0;
      this.#latest = page;
      this.#latestNumber = number;
    }
    return this.#latest?.[(node % PAGE_NODES) * WORDS + word] ?? 0;
  }
}
