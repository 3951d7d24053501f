import { ElfError } from '../modules/bounded-file.js';
import type { ElfFile } from '../modules/elf.js';
import { fileAddress, type Module } from '../modules/table.js';
import { demangle } from './demangle.js';
import { shortCName, shortCppName } from './short-name.js';
import { SymbolTable } from './symbol-table.js';
import { moduleFault, reasonOf, type UnnamedReason } from './unnamed.js';

export interface FunctionName {
  /** For people: demangled, without parameters. */
  name: string;
  /** As in the symbol table, without a version. */
  rawName: string;
  /** Bytes from the function's begin to the address. */
  offset: number;
}

export interface SymbolizerOptions {
  /** Bytes of symbol tables kept in memory; those used longest ago go first. */
  mostMemoryBytes?: number;
}

interface Loaded {
  table: SymbolTable | null;
  names: Map<number, Omit<FunctionName, 'offset'> | null>;
  /** Why names are missing. */
  fault: UnnamedReason | null;
}

const MOST_MEMORY_BYTES = 64 << 20;
const MOST_NAMES_PER_FILE = 65536;
const LONGEST_NAME = 1024;

/** Names functions by the symbol tables of the files that hold them; tables are read when first asked for. */
export class Symbolizer {
  readonly #loaded = new Map<string, Loaded>();
  readonly #problems = new Map<string, string>();
  readonly #mostMemoryBytes: number;
  #memoryBytes = 0;

  constructor({ mostMemoryBytes = MOST_MEMORY_BYTES }: SymbolizerOptions = {}) {
    this.#mostMemoryBytes = mostMemoryBytes;
  }

  /** Why functions of a file have no names, by path: one line each. */
  get problems(): ReadonlyMap<string, string> {
    return this.#problems;
  }

  /**
   * The function at a runtime address, or null where no symbol covers it. A return address points behind its call,
   * which may be the next function's first byte, so the byte before it is looked up; an `exact` address is looked up
   * itself.
   */
  function(module: Module, address: number, exact: boolean): FunctionName | null {
    const { elf, path } = module;
    if (elf === null || module.stale !== null) {
      const problem = module.stale ?? module.problem;
      if (path !== null && problem !== null) this.#problems.set(path, problem);
      return null;
    }
    const inFile = fileAddress(module, address);
    const loaded = this.#load(elf, path ?? module.name);
    const { table, names } = loaded;
    const index = table?.indexAt(exact ? inFile : inFile - 1) ?? -1;
    if (table === null || index < 0) return null;
    let name = names.get(index);
    if (name === undefined) {
      if (names.size >= MOST_NAMES_PER_FILE) names.clear();
      name = this.#read(loaded, index, path ?? module.name);
      names.set(index, name);
    }
    return name && { ...name, offset: inFile - table.addressOf(index) };
  }

  /** Why `function` finds no name there. */
  whyUnnamed(module: Module): UnnamedReason {
    const fault = moduleFault(module);
    if (fault !== null || module.elf === null) return fault ?? 'noSymbols';
    return this.#load(module.elf, module.path ?? module.name).fault ?? 'noSymbols';
  }

  #read(loaded: Loaded, index: number, path: string): Omit<FunctionName, 'offset'> | null {
    try {
      const rawName = loaded.table!.rawName(index);
      return { rawName, name: displayName(rawName) };
    } catch (error) {
      if (!(error instanceof ElfError)) throw error;
      this.#problems.set(path, error.message);
      loaded.fault = reasonOf(error.code);
      return null;
    }
  }

  #load(elf: ElfFile, path: string): Loaded {
    // A stripped copy has its original's build-id, but not its size.
    const key = elf.buildId === null ? elf.file.identity : `${elf.buildId}:${elf.file.bytes}`;
    const known = this.#loaded.get(key);
    if (known !== undefined) {
      this.#loaded.delete(key);
      this.#loaded.set(key, known);
      return known;
    }
    const loaded: Loaded = { table: null, names: new Map(), fault: null };
    try {
      loaded.table = new SymbolTable(elf);
      if (loaded.table.kind === null) this.#problems.set(path, `${path} has no symbol table`);
    } catch (error) {
      if (!(error instanceof ElfError)) throw error;
      this.#problems.set(path, error.message);
      loaded.fault = reasonOf(error.code);
    }
    this.#loaded.set(key, loaded);
    this.#memoryBytes += loaded.table?.memoryBytes ?? 0;
    this.#forgetBeyondLimit(loaded);
    return loaded;
  }

  #forgetBeyondLimit(latest: Loaded): void {
    for (const [key, old] of this.#loaded) {
      if (this.#memoryBytes <= this.#mostMemoryBytes || old === latest) return;
      this.#loaded.delete(key);
      this.#memoryBytes -= old.table?.memoryBytes ?? 0;
    }
  }
}

/** As `FunctionName.name` for a name of a symbol table. */
export function displayName(rawName: string): string {
  const [, mangled = rawName, suffix = ''] = /^(.*?)(@plt)?$/s.exec(rawName) ?? [];
  const whole = demangle(mangled);
  const name = whole === null ? shortCName(mangled) : isRust(mangled) ? whole : shortCppName(whole);
  return displayText(name) + suffix;
}

/** A name from a file, which may hold anything, as it may be shown: no escape sequences of a terminal, and not endless. */
export function displayText(name: string): string {
  const printable = name.replace(/\p{Cc}/gu, '?');
  return printable.length > LONGEST_NAME ? `${printable.slice(0, LONGEST_NAME - 1)}…` : printable;
}

/** Rust's names have no parameters, but brackets of other meanings. */
function isRust(mangled: string): boolean {
  return mangled.startsWith('_R') || /17h[0-9a-f]{16}E/.test(mangled);
}
