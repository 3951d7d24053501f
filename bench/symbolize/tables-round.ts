/** One round of tables.ts in a process of its own, so that nothing is warm: `tables-round.ts CACHE_FOLDER`; prints JSON. */
import { readdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { ElfError } from '../../src/modules/bounded-file.js';
import type { ElfFile } from '../../src/modules/elf.js';
import { PF_X, PT_LOAD } from '../../src/modules/elf-headers.js';
import { ElfStore } from '../../src/modules/elf-store.js';
import type { Module } from '../../src/modules/table.js';
import { SymbolCache } from '../../src/symbolize/symbol-cache.js';
import { Symbolizer } from '../../src/symbolize/symbols.js';

const LIBRARIES = '/usr/lib/x86_64-linux-gnu';
const MOST_LIBRARIES = 300;
const ADDRESSES = 100_000;
const SETTLING_MS = 100;
const BIAS = 0x7f00_0000_0000;

export interface TablesRound {
  libraries: number;
  named: number;
  openingMs: number;
  cpuMs: number;
  wallMs: number;
}

function libraryPaths(): string[] {
  const paths = readdirSync(LIBRARIES)
    .filter((name) => /\.so(\.|$)/.test(name))
    .map((name) => realpathSync(join(LIBRARIES, name)));
  return [...new Set(paths)].sort();
}

function moduleOf(elf: ElfFile, id: number): Module {
  const { path } = elf.file;
  const code = elf.segments.find(({ type, flags }) => type === PT_LOAD && (flags & PF_X) !== 0)!;
  const into = code.offset % 4096;
  const start = BIAS + code.address - into;
  const place = { start, end: start + into + code.fileBytes, fileOffset: code.offset - into };
  return {
    id,
    name: path,
    path,
    ...place,
    isProgram: false,
    deleted: false,
    stale: null,
    elf,
    problem: null,
  };
}

function openModules(): Module[] {
  const store = new ElfStore();
  const modules: Module[] = [];
  for (const path of libraryPaths()) {
    if (modules.length === MOST_LIBRARIES) break;
    try {
      modules.push(moduleOf(store.open(path), modules.length));
    } catch (error) {
      // Linker scripts have such names too.
      if (!(error instanceof ElfError)) throw error;
    }
  }
  return modules;
}

/** Different places each, the same ones in each round; by module. */
function addressesIn(modules: readonly Module[]): Float64Array[] {
  let state = 12345;
  const ofOne = ({ start, end }: Module, count: number) =>
    Float64Array.from({ length: count }, () => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      return start + Math.floor((state / 2 ** 32) * (end - start));
    });
  const before = (i: number) => Math.ceil((i * ADDRESSES) / modules.length);
  return modules.map((module, i) => ofOne(module, before(i + 1) - before(i)));
}

function countNamed(module: Module, addresses: Float64Array): number {
  let named = 0;
  for (let i = 0; i < addresses.length; i++) {
    if (symbolizer.rawName(module, addresses[i]!, true) !== null) named++;
  }
  return named;
}

const opening = process.cpuUsage();
const modules = openModules();
const opened = process.cpuUsage(opening);
const addresses = addressesIn(modules);
const symbolizer = new Symbolizer({ mostMemoryBytes: 1 << 30, cache: new SymbolCache(process.argv[2]!) });
// V8 still compiles what the opening made hot.
await setTimeout(SETTLING_MS);

const cpu = process.cpuUsage();
const startedMs = performance.now();
let named = 0;
for (const [i, module] of modules.entries()) named += countNamed(module, addresses[i]!);
const wallMs = performance.now() - startedMs;
const { user, system } = process.cpuUsage(cpu);
const round: TablesRound = {
  libraries: modules.length,
  named,
  openingMs: (opened.user + opened.system) / 1000,
  cpuMs: (user + system) / 1000,
  wallMs,
};
console.log(JSON.stringify(round));
