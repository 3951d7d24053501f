/** What names cost: the symbol table of the node binary, cold and warm, and 10,000 look-ups. `tsx bench/symbols.ts [FILE]` */
import { BoundedFile } from '../src/modules/bounded-file.js';
import { ElfFile } from '../src/modules/elf.js';
import { PF_X, PT_LOAD } from '../src/modules/elf-headers.js';
import type { Module } from '../src/modules/table.js';
import { readSymbolTable } from '../src/symbolize/symbol-reader.js';
import { Symbolizer } from '../src/symbolize/symbols.js';

const LOOKUPS = 10_000;
const path = process.argv[2] ?? process.execPath;

function measure<T>(what: string, action: () => T): T {
  const startMs = performance.now();
  const result = action();
  console.log(`${what.padEnd(44)} ${(performance.now() - startMs).toFixed(1).padStart(8)} ms`);
  return result;
}

const elf = measure('headers, build-id, SONAME', () => new ElfFile(new BoundedFile(path)));
const table = measure('symbol table, cold', () => readSymbolTable(elf));
measure('symbol table, warm', () => readSymbolTable(elf));
const { functions, named: withName, bytes } = table;
console.log(
  `${path}: ${(elf.file.bytes / 1e6).toFixed(1)} MB, ${functions} functions, ${withName} with a name`,
);
console.log(`kept in memory: ${(bytes / 1e6).toFixed(1)} MB`);

const code = elf.segments.find(({ type, flags }) => type === PT_LOAD && (flags & PF_X) !== 0)!;
const module: Module = {
  id: 1,
  name: path,
  path,
  start: code.address,
  end: code.address + code.memoryBytes,
  fileOffset: code.offset,
  isProgram: true,
  deleted: false,
  stale: null,
  elf,
  problem: null,
};
const addresses = Array.from(
  { length: LOOKUPS },
  () => module.start + Math.floor(Math.random() * code.fileBytes),
);
const symbolizer = new Symbolizer();
symbolizer.function(module, module.start, true);
const name = () => addresses.filter((address) => symbolizer.function(module, address, true) !== null).length;
const named = measure(`${LOOKUPS} look-ups, names read and demangled`, name);
measure(`${LOOKUPS} look-ups again`, name);
console.log(`${named} of ${LOOKUPS} random addresses lie in a named function`);
