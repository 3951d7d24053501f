/** A piece of code that an engine made, in runtime addresses. */
export interface CodePiece {
  start: number;
  bytes: number;
  /** When it came to stand there, in nanoseconds since the process's start; of a file without times, at the earliest. */
  timeNs: number;
  /** As the engine writes it, UTF-8. Copied. */
  name: Uint8Array;
  /** A number of the source's own; 0: none. */
  detail?: number;
}

export interface CodeStoreLimits {
  mostPieces?: number;
  mostNameBytes?: number;
}

const MOST_PIECES = 1 << 19;
const MOST_NAME_BYTES = 64 << 20;
/** Longer names are cut. */
const LONGEST_NAME_BYTES = 1024;
/** Most processes make no code. */
const FIRST_PIECES = 16;
const FIRST_NAME_BYTES = 1024;
const PAGE_BYTES = 4096;
/** What spans more (16 MiB) is no function, and would stand in the lists of as many pages. */
const MOST_PAGES_OF_PIECE = 4096;
/** Entries of all pages' lists, for each piece that there may be. */
const MOST_ENTRIES_OF_PIECE = 4;
/** Pieces of a page, replaced ones included, from which on its list is looked through for what can be forgotten. */
const MANY_OF_PAGE = 1024;
/** So many of a page's latest pieces are looked at for one that is told again. */
const LATEST = 64;
const HIGHEST_ADDRESS = 2 ** 47;

/**
 * Pieces of code by address and time. Where pieces overlap, the later one has replaced the earlier from its own time
 * on; what was before keeps the earlier one. Memory and time are bounded whatever is put in.
 */
export class CodeStore {
  /** Pieces that make no sense: empty, or where no code can be. */
  senseless = 0;
  /** Pieces for which there was no room. */
  left = 0;
  /** Rises with every change of what `find` may return; numbers of pieces are good until then. */
  version = 0;
  readonly #mostPieces: number;
  readonly #mostNameBytes: number;
  /** By page, the pieces that touch it, in the order of their times. */
  readonly #pages = new Map<number, number[]>();
  #entries = 0;
  #count = 0;
  #starts = new Float64Array(FIRST_PIECES);
  #sizes = new Uint32Array(FIRST_PIECES);
  #times = new Float64Array(FIRST_PIECES);
  #details = new Float64Array(FIRST_PIECES);
  #nameEnds = new Uint32Array(FIRST_PIECES);
  #names = Buffer.alloc(FIRST_NAME_BYTES);

  constructor({ mostPieces = MOST_PIECES, mostNameBytes = MOST_NAME_BYTES }: CodeStoreLimits = {}) {
    this.#mostPieces = mostPieces;
    this.#mostNameBytes = mostNameBytes;
  }

  get count(): number {
    return this.#count;
  }

  add(piece: CodePiece): void {
    const { start, bytes, name } = piece;
    const pages = pageOf(start + bytes - 1) - pageOf(start) + 1;
    const isSound = start > 0 && bytes > 0 && start + bytes <= HIGHEST_ADDRESS;
    if (!isSound || pages > MOST_PAGES_OF_PIECE) {
      this.senseless++;
      return;
    }
    const nameBytes = Math.min(name.length, LONGEST_NAME_BYTES);
    if (!this.#hasRoom(pages, nameBytes)) {
      this.#forgetReplaced();
      // Where forgetting brings little, it would be done for every piece to come.
      if (!this.#hasRoom(pages, nameBytes, 3 / 4)) {
        this.left++;
        return;
      }
    }
    this.#append({ ...piece, name: name.subarray(0, nameBytes) });
    this.version++;
  }

  /** Whether this is what stands there, so that there is nothing new in it. */
  has({ start, bytes, name }: CodePiece): boolean {
    const pieces = this.#pages.get(pageOf(start)) ?? [];
    for (let at = pieces.length - 1; at >= Math.max(0, pieces.length - LATEST); at--) {
      const piece = pieces[at]!;
      if (this.#starts[piece] === start && this.#sizes[piece] === bytes) {
        return this.#nameBytes(piece).equals(name.subarray(0, LONGEST_NAME_BYTES));
      }
      if (this.#starts[piece]! < start + bytes && start < this.#end(piece)) return false;
    }
    return false;
  }

  /** The piece that stood at `address` at that time, else the first one after it; -1 where none ever stood. */
  find(address: number, timeNs: number): number {
    const pieces = this.#pages.get(pageOf(address)) ?? [];
    let later = -1;
    for (let at = pieces.length - 1; at >= 0; at--) {
      const piece = pieces[at]!;
      if (!this.#covers(piece, address)) continue;
      if (this.#times[piece]! <= timeNs) return piece;
      later = piece;
    }
    return later;
  }

  /** Whether different pieces have stood at `address`, so that the time matters. */
  hasChanged(address: number): boolean {
    const pieces = this.#pages.get(pageOf(address)) ?? [];
    let count = 0;
    for (const piece of pieces) if (this.#covers(piece, address) && ++count > 1) return true;
    return false;
  }

  timeNs(piece: number): number {
    return this.#times[piece]!;
  }

  detail(piece: number): number {
    return this.#details[piece]!;
  }

  name(piece: number): string {
    return this.#nameBytes(piece).toString('utf8');
  }

  #hasRoom(pages: number, nameBytes: number, share = 1): boolean {
    return (
      this.#count < this.#mostPieces * share &&
      this.#entries + pages <= this.#mostPieces * MOST_ENTRIES_OF_PIECE * share &&
      this.#nameEnd(this.#count - 1) + nameBytes <= this.#mostNameBytes * share
    );
  }

  #append({ start, bytes, timeNs, name, detail = 0 }: CodePiece): void {
    const nameEnd = this.#nameEnd(this.#count - 1) + name.length;
    this.#grow(nameEnd);
    const piece = this.#count++;
    this.#starts[piece] = start;
    this.#sizes[piece] = bytes;
    this.#times[piece] = timeNs;
    this.#details[piece] = detail;
    this.#names.set(name, nameEnd - name.length);
    this.#nameEnds[piece] = nameEnd;
    for (let page = pageOf(start); page <= pageOf(start + bytes - 1); page++) this.#enter(page, piece);
  }

  #enter(page: number, piece: number): void {
    let pieces = this.#pages.get(page);
    if (pieces === undefined) {
      pieces = [];
      this.#pages.set(page, pieces);
    }
    // Threads write a file with times in any order: a piece may be told after one that has replaced it.
    let at = pieces.length;
    if (at > 0 && this.#times[pieces[at - 1]!]! > this.#times[piece]!) at = this.#behind(pieces, piece);
    pieces.splice(at, 0, piece);
    this.#entries++;
    // Doubling: no piece has its turn more often than there are doublings.
    const isPowerOfTwo = (pieces.length & (pieces.length - 1)) === 0;
    if (pieces.length < MANY_OF_PAGE || !isPowerOfTwo) return;
    const visible = this.#visible(page, pieces);
    this.#entries -= pieces.length - visible.length;
    this.#pages.set(page, visible);
  }

  /** Where in a list a piece has its place, by its time. */
  #behind(pieces: readonly number[], piece: number): number {
    let low = 0;
    let high = pieces.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#times[pieces[middle]!]! > this.#times[piece]!) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** The pieces of a page of which later ones have left a byte: one for each byte at most. */
  #visible(page: number, pieces: readonly number[]): number[] {
    const isTaken = new Uint8Array(PAGE_BYTES);
    const visible: number[] = [];
    for (let at = pieces.length - 1; at >= 0; at--) {
      const piece = pieces[at]!;
      const from = Math.max(0, this.#starts[piece]! - page * PAGE_BYTES);
      const to = Math.min(PAGE_BYTES, this.#end(piece) - page * PAGE_BYTES);
      if (isTaken.subarray(from, to).includes(0)) visible.push(piece);
      // Nothing of what is older is left; a hostile file has such pieces only.
      if (to - from === PAGE_BYTES) break;
      isTaken.fill(1, from, to);
    }
    return visible.reverse();
  }

  /** Keeps what stands anywhere now, and no history. */
  #forgetReplaced(): void {
    const kept = new Set<number>();
    for (const [page, pieces] of this.#pages)
      for (const piece of this.#visible(page, pieces)) kept.add(piece);
    const pieces = [...kept].sort((a, b) => a - b);
    const old = pieces.map((piece) => ({
      start: this.#starts[piece]!,
      bytes: this.#sizes[piece]!,
      timeNs: this.#times[piece]!,
      detail: this.#details[piece]!,
      name: Buffer.from(this.#nameBytes(piece)),
    }));
    this.#pages.clear();
    this.#entries = 0;
    this.#count = 0;
    for (const piece of old) this.#append(piece);
    this.version++;
  }

  #covers(piece: number, address: number): boolean {
    const offset = address - this.#starts[piece]!;
    return offset >= 0 && offset < this.#sizes[piece]!;
  }

  #end(piece: number): number {
    return this.#starts[piece]! + this.#sizes[piece]!;
  }

  #nameBytes(piece: number): Buffer {
    return this.#names.subarray(this.#nameEnd(piece - 1), this.#nameEnd(piece));
  }

  #nameEnd(piece: number): number {
    return piece < 0 ? 0 : this.#nameEnds[piece]!;
  }

  #grow(nameBytes: number): void {
    if (this.#count === this.#starts.length) {
      this.#starts = copied(this.#starts, new Float64Array(2 * this.#count));
      this.#sizes = copied(this.#sizes, new Uint32Array(2 * this.#count));
      this.#times = copied(this.#times, new Float64Array(2 * this.#count));
      this.#details = copied(this.#details, new Float64Array(2 * this.#count));
      this.#nameEnds = copied(this.#nameEnds, new Uint32Array(2 * this.#count));
    }
    if (nameBytes > this.#names.length) {
      const names = Buffer.alloc(Math.max(nameBytes, 2 * this.#names.length));
      names.set(this.#names);
      this.#names = names;
    }
  }
}

function pageOf(address: number): number {
  return Math.floor(address / PAGE_BYTES);
}

function copied<T extends Float64Array | Uint32Array>(old: T, larger: T): T {
  larger.set(old);
  return larger;
}
