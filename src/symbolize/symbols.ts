import { ElfError } from '../modules/bounded-file.js';
import type { ElfFile } from '../modules/elf.js';
import { fileAddress, type Module } from '../modules/table.js';
import { type SymbolTable, TABLE_GONE } from '../wire/symbol-table.js';
import { demangleD } from './d/demangle.js';
import { demangle } from './demangle.js';
import { DebugFiles } from './lines/debug-files.js';
import { shortCName, shortCppName } from './short-name.js';
import type { SymbolCache } from './symbol-cache.js';
import { readSymbolTable } from './symbol-reader.js';
import { moduleFault, reasonOf, type UnnamedReason } from './unnamed.js';

export interface FunctionName {
  /** Demangled, without parameters. */
  name: string;
  /** As in the symbol table, without a version. */
  rawName: string;
  /** Bytes from the function's begin to the address. */
  offset: number;
}

export interface SymbolizerOptions {
  /** Bytes of symbol tables kept in memory; those used longest ago go first. */
  mostMemoryBytes?: number;
  /** Where tables are kept from one collector to the next. */
  cache?: SymbolCache | null;
  /** Where strip may have put symbols. */
  debugFiles?: DebugFiles;
}

interface Loaded {
  key: string;
  bytes: number;
  table: SymbolTable | null;
  names: Map<number, Omit<FunctionName, 'offset'> | null>;
  /** Why names are missing. */
  fault: UnnamedReason | null;
  /** Rises with each use. */
  usedAt: number;
  isForgotten: boolean;
}

/** A function of a file: its position in the file's table. Addresses are those of the file. */
interface Place {
  loaded: Loaded;
  table: SymbolTable;
  index: number;
  address: number;
}

const MOST_MEMORY_BYTES = 64 << 20;
const MOST_NAMES_PER_FILE = 65536;
const LONGEST_TEXT = 1024;
/** Template arguments take more. */
const LONGEST_NAME = 16384;

/** Names functions by the symbol tables of the files that hold them; tables are read when first asked for. */
export class Symbolizer {
  readonly #loaded = new Map<string, Loaded>();
  /** The same by file: most questions are about a file that is known. */
  readonly #ofFile = new WeakMap<ElfFile, Loaded>();
  #uses = 0;
  readonly #problems = new Map<string, string>();
  readonly #mostMemoryBytes: number;
  readonly #cache: SymbolCache | null;
  readonly #debugFiles: DebugFiles;
  #memoryBytes = 0;

  constructor({
    mostMemoryBytes = MOST_MEMORY_BYTES,
    cache = null,
    debugFiles = new DebugFiles(),
  }: SymbolizerOptions = {}) {
    this.#debugFiles = debugFiles;
    this.#mostMemoryBytes = mostMemoryBytes;
    this.#cache = cache;
  }

  /** Why functions of a file have no names, by path: one line each. */
  get problems(): ReadonlyMap<string, string> {
    return this.#problems;
  }

  /** Why tables are not kept from one collector to the next, in one line; null while they are. */
  get cacheProblem(): string | null {
    return this.#cache?.problem ?? null;
  }

  /**
   * The function at a runtime address, or null where no symbol covers it. A return address points behind its call,
   * which may be the next function's first byte, so the byte before it is looked up; an `exact` address is looked up
   * itself.
   */
  function(module: Module, address: number, exact: boolean): FunctionName | null {
    const place = this.#place(module, address, exact);
    if (place === null) return null;
    const { loaded, table, index } = place;
    let name = loaded.names.get(index);
    if (name === undefined) {
      if (loaded.names.size >= MOST_NAMES_PER_FILE) loaded.names.clear();
      const rawName = table.rawName(index);
      name = rawName === null ? null : { rawName, name: displayName(rawName) };
      loaded.names.set(index, name);
    }
    return name && { ...name, offset: place.address - table.addressOf(index) };
  }

  /** As `function`, but only the name in the symbol table. */
  rawName(module: Module, address: number, exact: boolean): string | null {
    const loaded = this.#loadedOf(module);
    if (loaded === null || loaded.table === null) return null;
    const name = loaded.table.rawNameAt(lookUpAddress(module, address, exact));
    if (name !== undefined) return name;
    this.#forget(loaded);
    return this.rawName(module, address, exact);
  }

  /** Where the function begins in its file, also of one without a name; null where that isn't known. */
  functionAddress(module: Module, address: number, exact: boolean): number | null {
    const place = this.#place(module, address, exact);
    return place?.table.addressOf(place.index) ?? null;
  }

  /** Why `function` finds no name there. */
  whyUnnamed(module: Module): UnnamedReason {
    const fault = moduleFault(module);
    if (fault !== null || module.elf === null) return fault ?? 'noSymbols';
    return this.#load(module.elf, module.path ?? module.name).fault ?? 'noSymbols';
  }

  #place(module: Module, address: number, exact: boolean): Place | null {
    const loaded = this.#loadedOf(module);
    if (loaded === null || loaded.table === null) return null;
    const { table } = loaded;
    const index = table.indexAt(lookUpAddress(module, address, exact));
    if (index >= 0) return { loaded, table, index, address: fileAddress(module, address) };
    if (index !== TABLE_GONE) return null;
    this.#forget(loaded);
    return this.#place(module, address, exact);
  }

  #loadedOf(module: Module): Loaded | null {
    const { elf, path } = module;
    if (elf !== null && module.stale === null) return this.#load(elf, path ?? module.name);
    const problem = module.stale ?? module.problem;
    if (path !== null && problem !== null) this.#problems.set(path, problem);
    return null;
  }

  #load(elf: ElfFile, path: string): Loaded {
    let loaded = this.#ofFile.get(elf);
    if (loaded === undefined || loaded.isForgotten) {
      const key = keyOf(elf);
      loaded = this.#loaded.get(key) ?? this.#read(elf, key, path);
      this.#ofFile.set(elf, loaded);
    }
    loaded.usedAt = ++this.#uses;
    return loaded;
  }

  #read(elf: ElfFile, key: string, path: string): Loaded {
    const loaded: Loaded = {
      key,
      bytes: 0,
      table: null,
      names: new Map(),
      fault: null,
      usedAt: 0,
      isForgotten: false,
    };
    try {
      loaded.table = this.#table(elf, key, path);
      loaded.bytes = loaded.table.bytes;
      if (loaded.table.named === 0) this.#problems.set(path, `${path} has no symbol table`);
    } catch (error) {
      if (!(error instanceof ElfError)) throw error;
      this.#problems.set(path, error.message);
      loaded.fault = reasonOf(error.code);
    }
    this.#forgetBeyond(this.#mostMemoryBytes - loaded.bytes);
    this.#loaded.set(key, loaded);
    this.#memoryBytes += loaded.bytes;
    return loaded;
  }

  #table(elf: ElfFile, key: string, path: string): SymbolTable {
    // What is read from memory is less than the file holds.
    if (elf.file.sharedPath === null) return readSymbolTable(elf);
    const own = this.#kept(key, () => readSymbolTable(elf));
    if (own.isFull) return own;
    // Looked for each time, since debug files come and go.
    const separate = this.#debugFiles.findSymbols(elf, path, own.debugLink);
    if (separate === null) return own;
    try {
      return this.#kept(`${key}:${separate.file.identity}`, () => readSymbolTable(elf, separate));
    } catch (error) {
      if (error instanceof ElfError && error.code !== 'elf/replaced') return own;
      throw error;
    }
  }

  /** From the cache, or read and written there. */
  #kept(key: string, read: () => SymbolTable): SymbolTable {
    const cache = this.#cache;
    const kept = cache?.read(key);
    if (kept) return kept;
    const table = read();
    // Whoever asked waits for names, and not for the disk.
    if (cache !== null) setImmediate(() => cache.write(key, table));
    return table;
  }

  #forgetBeyond(bytes: number): void {
    while (this.#memoryBytes > bytes && this.#loaded.size > 0) {
      let oldest: Loaded | undefined;
      for (const each of this.#loaded.values()) {
        if (oldest === undefined || each.usedAt < oldest.usedAt) oldest = each;
      }
      this.#forget(oldest!);
    }
  }

  #forget(loaded: Loaded): void {
    if (this.#loaded.delete(loaded.key)) this.#memoryBytes -= loaded.bytes;
    loaded.isForgotten = true;
  }
}

/** The byte before a return address: see `Symbolizer.function`. */
function lookUpAddress(module: Module, address: number, exact: boolean): number {
  const inFile = fileAddress(module, address);
  return exact ? inFile : inFile - 1;
}

/** A stripped copy has its original's build-id, but not its size. */
function keyOf({ buildId, file }: ElfFile): string {
  return buildId === null || file.sharedPath === null ? file.identity : `${buildId}:${file.bytes}`;
}

/** As `FunctionName.name` for a name of a symbol table. */
export function displayName(rawName: string): string {
  const [, mangled = rawName, suffix = ''] = /^(.*?)(@plt)?$/s.exec(rawName) ?? [];
  return displayText(sourceName(mangled), LONGEST_NAME) + suffix;
}

/** A name from a file, which may hold anything, as it may be shown: no escape sequences of a terminal, and not endless. */
export function displayText(name: string, longest = LONGEST_TEXT): string {
  const printable = name.replace(/\p{Cc}/gu, '?');
  return printable.length > longest ? `${printable.slice(0, longest - 1)}…` : printable;
}

function sourceName(mangled: string): string {
  const whole = demangle(mangled);
  if (whole !== null) return isRust(mangled) ? whole : shortCppName(whole);
  return demangleD(mangled) ?? shortCName(mangled);
}

/** Rust's names have no parameters, but brackets of other meanings. */
function isRust(mangled: string): boolean {
  return mangled.startsWith('_R') || /17h[0-9a-f]{16}E/.test(mangled);
}
