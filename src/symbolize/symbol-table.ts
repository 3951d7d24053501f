import type { ElfFile } from '../modules/elf.js';
import { readStubs } from './plt.js';
import { type Functions, readFunctions } from './symbol-reader.js';
import { dynamicTable, fullTable, type SymbolSource } from './symbol-source.js';

/**
 * The functions of one file by address. Between two boundaries the name is the same: that of the innermost function
 * there. A function with a size ends with it, so padding has no name; one without reaches to the next function, unless
 * it lies within another. Names are read from the file when asked for.
 */
export class SymbolTable {
  readonly #boundaries: Float64Array;
  /** Index of the function from a boundary on, or -1. */
  readonly #owners: Int32Array;
  readonly #addresses: Float64Array;
  readonly #nameOffsets: Float64Array;
  readonly #isStub: Uint8Array;

  /** Where the names come from; null where the file has none. */
  readonly kind: SymbolSource['kind'] | null;

  /** Throws `ElfError`. */
  constructor(private readonly elf: ElfFile) {
    const dynamic = dynamicTable(elf);
    let source = fullTable(elf);
    let functions = source && readFunctions(elf, source);
    if (!functions?.count) {
      source = dynamic;
      functions = source && readFunctions(elf, source);
    }
    this.kind = source?.kind ?? null;
    const stubs = dynamic === null ? [] : readStubs(elf, dynamic);
    const merged = merge(functions, stubs);
    this.#addresses = merged.addresses;
    this.#nameOffsets = merged.nameOffsets;
    this.#isStub = merged.isStub;
    const { boundaries, owners } = layOut(merged);
    this.#boundaries = boundaries;
    this.#owners = owners;
  }

  /** Functions, one for each address. */
  get count(): number {
    return this.#addresses.length;
  }

  get memoryBytes(): number {
    return this.#boundaries.length * 12 + this.#addresses.length * 17;
  }

  /** Index of the function that holds the byte at a virtual address of the file, or -1. */
  indexAt(address: number): number {
    const boundaries = this.#boundaries;
    let low = 0;
    let high = boundaries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (boundaries[middle]! <= address) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? -1 : this.#owners[low - 1]!;
  }

  /** Virtual address in the file. */
  addressOf(index: number): number {
    return this.#addresses[index]!;
  }

  /** Mangled, without a version; "name@plt" for a stub. Throws `ElfError` where the file can't be read any more. */
  rawName(index: number): string {
    const name = this.elf.text(this.#nameOffsets[index]!);
    // The linker writes versions into full tables: memcpy@@GLIBC_2.14.
    const at = name.indexOf('@', 1);
    const bare = at < 0 ? name : name.slice(0, at);
    return this.#isStub[index] ? `${bare}@plt` : bare;
  }
}

interface Merged extends Functions {
  isStub: Uint8Array;
}

function merge(functions: Functions | null, stubs: ReturnType<typeof readStubs>): Merged {
  const named = functions?.count ?? 0;
  const most = named + stubs.length;
  const merged: Merged = {
    count: 0,
    addresses: new Float64Array(most),
    ends: new Float64Array(most),
    limits: new Float64Array(most),
    nameOffsets: new Float64Array(most),
    isStub: new Uint8Array(most),
  };
  for (let i = 0, j = 0; i < named || j < stubs.length; ) {
    const stub = stubs[j];
    const address = i < named ? functions!.addresses[i]! : Number.POSITIVE_INFINITY;
    if (stub && stub.address === address) {
      j++;
      continue;
    }
    const n = merged.count++;
    if (stub && stub.address < address) {
      merged.addresses[n] = stub.address;
      merged.ends[n] = stub.address + stub.bytes;
      merged.limits[n] = stub.address + stub.bytes;
      merged.nameOffsets[n] = stub.nameOffset;
      merged.isStub[n] = 1;
      j++;
    } else {
      merged.addresses[n] = address;
      merged.ends[n] = functions!.ends[i]!;
      merged.limits[n] = functions!.limits[i]!;
      merged.nameOffsets[n] = functions!.nameOffsets[i]!;
      i++;
    }
  }
  return {
    ...merged,
    addresses: merged.addresses.slice(0, merged.count),
    nameOffsets: merged.nameOffsets.slice(0, merged.count),
  };
}

/** One sweep by rising address over functions that may lie within one another. */
function layOut({ count, addresses, ends, limits }: Functions): {
  boundaries: Float64Array;
  owners: Int32Array;
} {
  // Each function adds a boundary where it begins and at most one where it ends.
  const boundaries = new Float64Array(2 * count);
  const owners = new Int32Array(2 * count);
  let used = 0;
  const add = (address: number, owner: number) => {
    if (used > 0 && boundaries[used - 1] === address) used--;
    boundaries[used] = address;
    owners[used++] = owner;
  };
  /** Indices of the functions that hold the present address; the innermost last. */
  const open: number[] = [];
  const closeUpTo = (address: number) => {
    while (open.length > 0 && ends[open.at(-1)!]! <= address) {
      const end = ends[open.pop()!]!;
      while (open.length > 0 && ends[open.at(-1)!]! <= end) open.pop();
      add(end, open.at(-1) ?? -1);
    }
  };
  for (let i = 0; i < count; i++) {
    const address = addresses[i]!;
    closeUpTo(address);
    if (ends[i]! > address) {
      open.push(i);
      add(address, i);
    } else if (open.length === 0) {
      ends[i] = Math.min(limits[i]!, addresses[i + 1] ?? limits[i]!);
      if (ends[i]! <= address) continue;
      open.push(i);
      add(address, i);
    }
  }
  closeUpTo(Number.POSITIVE_INFINITY);
  return { boundaries: boundaries.slice(0, used), owners: owners.slice(0, used) };
}
