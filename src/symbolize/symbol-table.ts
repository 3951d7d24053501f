const HEAD_WORDS = 8;
/** Positions of the head's words. */
const BASE_LOW = 0;
const BASE_HIGH = 1;
const FUNCTIONS = 2;
const BOUNDARIES = 3;
const NAME_BYTES = 4;
const NAMED = 5;
const STUB = 0x8000_0000;
const LONGEST_NAME = 16384;

/**
 * The functions of one file by address. Between two boundaries the name is the same: that of the innermost function
 * there. A function with a size ends with it, so padding has no name; one without reaches to the next function, unless
 * it lies within another. What .eh_frame alone knows of is a function without a name.
 *
 * The table is a view of bytes as `functionIndex` makes them. They may come from a damaged file: whatever they hold,
 * look-ups end with an answer.
 */
export class SymbolTable {
  readonly #base: number;
  readonly #boundaries: Uint32Array;
  /** Index of the function from a boundary on, or -1. */
  readonly #owners: Int32Array;
  readonly #addresses: Uint32Array;
  readonly #nameOffsets: Uint32Array;
  readonly #names: Buffer;
  /** Functions that have a name. */
  readonly named: number;

  /** Throws a RangeError where the parts don't make up `bytes`, which begins at a multiple of 4 in its buffer. */
  constructor(readonly bytes: Uint8Array<ArrayBuffer>) {
    const { buffer, byteOffset, byteLength } = bytes;
    if (byteLength < 4 * HEAD_WORDS) throw new RangeError('a symbol table without a head');
    const head = new Uint32Array(buffer, byteOffset, HEAD_WORDS);
    this.#base = head[BASE_LOW]! + head[BASE_HIGH]! * 2 ** 32;
    const functions = head[FUNCTIONS]!;
    const boundaries = head[BOUNDARIES]!;
    const nameBytes = head[NAME_BYTES]!;
    const namesAt = 4 * (HEAD_WORDS + 2 * boundaries + 2 * functions);
    if (namesAt + nameBytes !== byteLength) throw new RangeError('a symbol table of another size');
    let at = byteOffset + 4 * HEAD_WORDS;
    this.#boundaries = new Uint32Array(buffer, at, boundaries);
    at += 4 * boundaries;
    this.#owners = new Int32Array(buffer, at, boundaries);
    at += 4 * boundaries;
    this.#addresses = new Uint32Array(buffer, at, functions);
    at += 4 * functions;
    this.#nameOffsets = new Uint32Array(buffer, at, functions);
    this.#names = Buffer.from(buffer, byteOffset + namesAt, nameBytes);
    this.named = head[NAMED]!;
  }

  /** Functions, one for each address. */
  get count(): number {
    return this.#addresses.length;
  }

  get memoryBytes(): number {
    return this.bytes.byteLength;
  }

  /** Index of the function that holds the byte at a virtual address of the file, or -1. */
  indexAt(address: number): number {
    const relative = address - this.#base;
    if (!(relative >= 0 && relative < 2 ** 32)) return -1;
    const boundaries = this.#boundaries;
    let low = 0;
    let high = boundaries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (boundaries[middle]! <= relative) low = middle + 1;
      else high = middle;
    }
    const owner = low === 0 ? -1 : this.#owners[low - 1]!;
    return owner < this.#addresses.length ? owner : -1;
  }

  /** Virtual address in the file. */
  addressOf(index: number): number {
    return this.#base + this.#addresses[index]!;
  }

  /** Mangled, without a version; "name@plt" for a stub; null where the file doesn't name the function. */
  rawName(index: number): string | null {
    const offset = this.#nameOffsets[index]!;
    const at = offset & ~STUB;
    if (at === 0) return null;
    const end = this.#names.indexOf(0, at);
    const most = at + LONGEST_NAME;
    const name = this.#names.toString('utf8', at, end < 0 ? most : Math.min(end, most));
    return offset >= STUB ? `${name}@plt` : name;
  }
}
