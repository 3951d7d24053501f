import bindings from 'bindings';
import { OffheapError } from './error.js';
import type {
  HeapAsked,
  HeapHeld,
  HeapHistogram,
  HeapPages,
  HeapPins,
  HeapSites,
  HeapSurvivors,
  HeapThreads,
  HeapTotals,
} from './heap.js';
import { checkLayout, type Layout } from './layout.js';
import { packageRoot } from './package-root.js';

/** What one call of `drain` copied. */
export interface Drained {
  events: number;
  /** Positions passed over: their thread gave them up, or their slot held something else. */
  lost: number;
  /** The next position to read. */
  position: number;
  /** Positions that producers have taken and that were not read yet. */
  waiting: number;
  /** When there were no events: how many positions in front are taken but not committed. */
  hole: number;
  /** A committed record was seen behind the hole. */
  blocked: boolean;
}

/** A channel as the addon gives it; `Channel` in channel.ts is what the rest of the program uses. */
export interface NativeChannel {
  header(): Uint8Array;
  claim(expected: number): number;
  lock(expected: number): number;
  unlock(): void;
  drain(buffer: Uint8Array): Drained;
  skip(position: number, count: number): void;
  free(position: number): void;
  beat(): void;
  nodes(from: number, to: number): Uint8Array;
  sites(from: number, to: number): Uint8Array;
  backlog(from: number, to: number): Uint8Array;
  announceCheckpoint(position: number): void;
  clearBacklog(position: number): void;
  text(offset: number): string | null;
  textBytes(offset: number, length: number): Uint8Array;
  /** Position in `requestKinds`. */
  ask(kind: number, argument: number): number;
  withdraw(): boolean;
  close(): void;
}

/** A channel's heap as the addon gives it; `HeapChannel` in heap.ts is what the rest of the program uses. */
export interface NativeHeap {
  available(): boolean;
  start(): void;
  drain(): number;
  /** Position in `HEAP_MODES`. */
  mode(): number;
  setMode(mode: number, sampleBytes: number): void;
  totals(): Omit<HeapTotals, 'mode' | 'resumed'> & { mode: number; resumed: number };
  sites(): HeapSites;
  held(): HeapHeld;
  threads(): HeapThreads;
  sizes(): HeapHistogram;
  ages(): HeapHistogram;
  mark(): number;
  survivors(mark: number): HeapSurvivors;
  pins(pid: number): HeapPins;
  pages(pid: number, start: number, end: number): HeapPages;
  glibcHeaps(pid: number, main: Float64Array, anonymous: Float64Array): NativeGlibcHeaps;
  asked(pid: number, ranges: Float64Array, classes: Float64Array): HeapAsked;
  /** Until `letGo`, all that is asked for belongs to the first moment that was asked for. */
  hold(): void;
  letGo(): void;
  finish(): void;
  close(): void;
}

/** A process's mappings as perf records tell them. */
export interface NativeWitness {
  /**
   * `areas` are `[start, end, threadId, protection, timeLow, timeHigh, …]` of new mappings and of changed protections since the last
   * time; `lost` counts from the start. Where the process was `replaced` by exec, areas may be the next program's.
   */
  read(): { areas: Float64Array; lost: number; replaced: boolean };
  close(): void;
}

/** The clocks, read at once. */
export interface ClockSample {
  monotonicNs: number;
  tsc: bigint;
  unixNs: bigint;
}

/** Pages of many ranges by what they are. */
export interface SortedPages {
  /** `[anonymous, file, swap, huge, …]` in bytes; `huge` is a part of the first two. */
  bytes: Float64Array;
  /** Resident between the ranges: mapped after these were read. */
  betweenBytes: number;
}

/** A process's mappings by address, a column for each field. */
export interface MappingColumns {
  starts: Float64Array;
  ends: Float64Array;
  offsets: Float64Array;
  inodes: Float64Array;
  majors: Uint32Array;
  minors: Uint32Array;
  /** Readable 1, writable 2, executable 4, shared 8. */
  permissions: Uint8Array;
  /** 4096, or more for explicit huge pages. */
  pageBytes: Uint32Array;
  /** Positions in `texts`. */
  names: Uint32Array;
  texts: string[];
}

/** glibc's heaps as columns; src/account/allocators/glibc.ts names them. */
export interface NativeGlibcHeaps {
  /** Seventeen numbers for each heap. */
  heaps: Float64Array;
  /** Whole free pages, `[start, end, …]`, in the order of the heaps. */
  retained: Float64Array;
  /** Heaps that could not be read, `[start, end, …]`. */
  unread: Float64Array;
}

/** The parts of an ELF file that tell its functions; bytes as they stand in it, ranges `[start, end, …]`. */
export interface FunctionSources {
  /** Symbol tables; `sections` are the file's by their index. */
  tables: { symbols: Uint8Array; names: Uint8Array; sections: Float64Array }[];
  /** The executable segments. */
  code: Float64Array;
  /** The procedure linkage table: sections of stubs, the relocations of their slots, the symbols that these name. */
  stubs: {
    sections: { code: Uint8Array; address: number; stubBytes: number }[];
    relocations: Uint8Array[];
    symbols: Uint8Array;
    names: Uint8Array;
  } | null;
  /** .eh_frame and its virtual address. */
  unwind: { section: Uint8Array; address: number } | null;
  /** Whether a full symbol table is among them, and the debug file that the file tells of. */
  isFull: boolean;
  debugLink: string | null;
}

declare const symbolTable: unique symbol;
/** A table in the addon: see `SymbolTable`. */
export type SymbolTableHandle = { readonly [symbolTable]: true };

export interface SymbolTableFigures {
  functions: number;
  named: number;
  bytes: number;
  isFull: boolean;
  debugLink: string | null;
}

/** What `SymbolTable` is made of. */
export interface SymbolTableFunctions {
  symbolTable(bytes: Uint8Array): SymbolTableHandle | undefined;
  openSymbolTable(path: string, key: Uint8Array): SymbolTableHandle | undefined;
  saveSymbolTable(table: SymbolTableHandle, path: string, key: Uint8Array): void;
  symbolTableFigures(table: SymbolTableHandle): SymbolTableFigures;
  functionIndexAt(table: SymbolTableHandle, address: number): number;
  functionAddress(table: SymbolTableHandle, index: number): number;
  functionName(table: SymbolTableHandle, index: number): string | null;
  functionNameAt(table: SymbolTableHandle, address: number): string | null | undefined;
}

interface Addon extends SymbolTableFunctions {
  layout(): Layout;
  Channel: new (path: string) => NativeChannel;
  Heap: new (path: string) => NativeHeap;
  PerfWitness: new (pid: number, tsc: boolean) => NativeWitness;
  residency(pid: number, ranges: Float64Array, readEntries?: boolean): Float64Array;
  pageBytes(pid: number, ranges: Float64Array, readEntries?: boolean): SortedPages;
  mappings(pid: number): MappingColumns | null;
  glibcHeaps(pid: number, main: Float64Array, anonymous: Float64Array): NativeGlibcHeaps;
  pythonArenas(pid: number, ranges: Float64Array): Float64Array;
  functionIndex(sources: FunctionSources): Uint8Array<ArrayBuffer>;
  clock(): ClockSample;
}

function load(): Addon {
  try {
    return bindings({ bindings: 'offheap', module_root: packageRoot }) as Addon;
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n', 1)[0] : String(error);
    throw new OffheapError(
      'ADDON_MISSING',
      `the addon can't be loaded; run "npm run build:addon": ${reason}`,
    );
  }
}

const addon = load();

export const layout: Layout = checkLayout(addon.layout());

/** Runs a call into the addon; what it throws with a code becomes an `OffheapError`. */
export function native<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
      throw new OffheapError(error.code, error.message);
    }
    throw error;
  }
}

export function openNativeChannel(path: string): NativeChannel {
  return native(() => new addon.Channel(path));
}

export function openNativeHeap(path: string): NativeHeap {
  return native(() => new addon.Heap(path));
}

/** Listens to what the kernel tells of a process's mappings, with times like those of its events. Throws `WITNESS_REFUSED`. */
export function openNativeWitness(pid: number, tsc: boolean): NativeWitness {
  return native(() => new addon.PerfWitness(pid, tsc));
}

/** Sorts the functions of an ELF file for look-ups: the bytes of a `SymbolTable`. */
export function functionIndex(sources: FunctionSources): Uint8Array<ArrayBuffer> {
  return native(() => addon.functionIndex(sources));
}

export const symbolTables: SymbolTableFunctions = addon;

export function clock(): ClockSample {
  return addon.clock();
}

/**
 * Resident and swapped bytes of each range: `[start, end, …]` in, `[residentBytes, swapBytes, …]` out. The zero page
 * doesn't count. `readEntries` avoids the kernel's PAGEMAP_SCAN, for tests. Throws `PROCESS_MISSING` or
 * `PROCESS_REFUSED`; a process that ends meanwhile has nothing resident.
 */
export function residency(pid: number, ranges: Float64Array, readEntries = false): Float64Array {
  return native(() => addon.residency(pid, ranges, readEntries));
}

/**
 * The same of ranges that are sorted and apart from one another, by sort of page and all at once. Throws as `residency`
 * does, and a RangeError.
 */
export function pageBytes(pid: number, ranges: Float64Array, readEntries = false): SortedPages {
  return native(() => addon.pageBytes(pid, ranges, readEntries));
}

/** Asks the kernel for each mapping (PROCMAP_QUERY); null where it can't be asked so (before Linux 6.11). Throws as `residency` does. */
export function mappings(pid: number): MappingColumns | null {
  return native(() => addon.mappings(pid));
}

/**
 * Reads glibc's heaps in the memory of a process: the one whose end is the program break lies in `main`, arenas' heaps
 * and mapped blocks somewhere in `anonymous`; ranges are `[start, end, …]`. Throws `PROCESS_MISSING` or
 * `PROCESS_REFUSED`.
 */
export function glibcHeaps(pid: number, main: Float64Array, anonymous: Float64Array): NativeGlibcHeaps {
  return native(() => addon.glibcHeaps(pid, main, anonymous));
}

/**
 * Reads CPython's arenas in the memory of a process, as far as they lie in `ranges`: ten numbers, which
 * src/account/allocators/python.ts names. Throws `PROCESS_MISSING` or `PROCESS_REFUSED`.
 */
export function pythonArenas(pid: number, ranges: Float64Array): Float64Array {
  return native(() => addon.pythonArenas(pid, ranges));
}
