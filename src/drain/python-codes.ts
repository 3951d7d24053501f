import { layout } from '../wire/addon.js';
import { OffheapError } from '../wire/error.js';
import { fieldOffset } from '../wire/layout.js';
import type { NodeSource } from './stacks.js';

/** A Python function. */
export interface PythonCode {
  /** Its qualified name; its bare name before Python 3.11. */
  name: string;
  /** As the interpreter names it: mostly a path. */
  file: string;
}

/** Where descriptions are read from: a channel. */
export interface PythonCodeSource extends NodeSource {
  text(offset: number): string | null;
}

const structure = layout.structures.StackNode;
const KEY = fieldOffset(structure, 'key');
const PARENT = fieldOffset(structure, 'parent');
const FIRST_CHILD = fieldOffset(structure, 'first_child');
const { keyKindShift, keyText, keyTextOffset, keyPythonCode } = layout.constants;
const KIND_SHIFT = keyKindShift - 32;
const NODE_MASK = 2 ** KIND_SHIFT - 1;

interface Node {
  kind: number;
  /** The key's low word, and what of the high one is not its kind. */
  low: number;
  high: number;
  parent: number;
  firstChild: number;
}

/** Python's functions by the numbers that stacks name them by. */
export class PythonCodes {
  readonly #source: PythonCodeSource;
  readonly #known = new Map<number, PythonCode>();

  constructor(source: PythonCodeSource) {
    this.#source = source;
  }

  /** Null where the target could not describe it, or where the channel is damaged. */
  describe(code: number): PythonCode | null {
    if (code === 0) return null;
    const known = this.#known.get(code);
    if (known !== undefined) return known;
    const described = this.#read(code);
    if (described !== null) this.#known.set(code, described);
    return described;
  }

  #read(code: number): PythonCode | null {
    try {
      const node = this.#node(code);
      if (node?.kind !== keyPythonCode) return null;
      const name = this.#text(node.high);
      const file = this.#text(node.parent);
      return name === null || file === null ? null : { name, file };
    } catch (error) {
      if (error instanceof OffheapError) return null;
      throw error;
    }
  }

  #text(number: number): string | null {
    const node = this.#node(number);
    if (node?.kind !== keyText || node.parent !== 0) return null;
    const place = this.#node(node.firstChild);
    if (place?.kind !== keyTextOffset || place.parent !== number) return null;
    return this.#source.text(place.low);
  }

  #node(number: number): Node | null {
    if (number === 0) return null;
    const bytes = this.#source.nodes(number, number + 1);
    if (bytes.byteLength < structure.bytes) return null;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const high = view.getUint32(KEY + 4, true);
    return {
      kind: high >>> KIND_SHIFT,
      low: view.getUint32(KEY, true),
      high: high & NODE_MASK,
      parent: view.getUint32(PARENT, true),
      firstChild: view.getUint32(FIRST_CHILD, true),
    };
  }
}
