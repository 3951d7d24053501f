import { ElfError } from '../modules/bounded-file.js';
import type { ElfFile } from '../modules/elf.js';
import { type ElfSection, SHT_DYNSYM, SHT_NOBITS, SHT_SYMTAB } from '../modules/elf-sections.js';

export const SYMBOL_BYTES = 24;

const DT_HASH = 4;
const DT_STRTAB = 5;
const DT_SYMTAB = 6;
const DT_STRSZ = 10;
const DT_GNU_HASH = 0x6ffffef5;

/** Where a file keeps one symbol table and its names: file offsets and sizes in bytes. */
export interface SymbolSource {
  kind: 'symtab' | 'dynsym';
  offset: number;
  bytes: number;
  namesOffset: number;
  namesBytes: number;
}

/** The full table that strip removes, or null. */
export function fullTable(elf: ElfFile): SymbolSource | null {
  return sectionTable(elf, SHT_SYMTAB, 'symtab');
}

/** The table of what the file imports and exports, found without sections where those are stripped; or null. */
export function dynamicTable(elf: ElfFile): SymbolSource | null {
  return sectionTable(elf, SHT_DYNSYM, 'dynsym') ?? tableOfDynamicSection(elf);
}

function sectionTable(elf: ElfFile, type: number, kind: SymbolSource['kind']): SymbolSource | null {
  const table = elf.sections.find((section) => section.type === type);
  const names = table && elf.sections[table.link];
  if (!table || !names || !isInFile(elf, table) || !isInFile(elf, names)) return null;
  return {
    kind,
    offset: table.offset,
    bytes: table.bytes - (table.bytes % SYMBOL_BYTES),
    namesOffset: names.offset,
    namesBytes: names.bytes,
  };
}

/** Files of debug information keep the headers of sections whose bytes they left out. */
function isInFile(elf: ElfFile, { type, offset, bytes }: ElfSection): boolean {
  return type !== SHT_NOBITS && offset + bytes <= elf.file.bytes;
}

function tableOfDynamicSection(elf: ElfFile): SymbolSource | null {
  const at = (tag: number) => {
    const address = elf.dynamic.get(tag);
    return address === undefined ? null : elf.offsetOf(address);
  };
  const offset = at(DT_SYMTAB);
  const namesOffset = at(DT_STRTAB);
  const namesBytes = elf.dynamic.get(DT_STRSZ);
  if (offset === null || namesOffset === null || namesBytes === undefined) return null;
  const hash = at(DT_HASH);
  const gnuHash = at(DT_GNU_HASH);
  // The dynamic section doesn't say how many symbols there are; the hash tables that index them do.
  const count = hash !== null ? chainCount(elf, hash) : gnuHash !== null ? gnuChainEnd(elf, gnuHash) : 0;
  const bytes = Math.min(count * SYMBOL_BYTES, elf.file.bytes - offset);
  const rest = elf.file.bytes - namesOffset;
  return {
    kind: 'dynsym',
    offset,
    bytes: bytes - (bytes % SYMBOL_BYTES),
    namesOffset,
    namesBytes: Math.min(namesBytes, rest),
  };
}

function chainCount(elf: ElfFile, hash: number): number {
  return elf.file.read(hash, 8).readUInt32LE(4);
}

/** One past the highest symbol of a GNU hash table: that of the last chain, whose end is an odd hash. */
function gnuChainEnd(elf: ElfFile, table: number): number {
  const header = elf.file.read(table, 16);
  const bucketCount = header.readUInt32LE(0);
  const firstSymbol = header.readUInt32LE(4);
  const bucketsAt = table + 16 + header.readUInt32LE(8) * 8;
  const buckets = elf.file.read(bucketsAt, bucketCount * 4);
  let last = 0;
  for (let at = 0; at < buckets.length; at += 4) last = Math.max(last, buckets.readUInt32LE(at));
  if (last < firstSymbol) return firstSymbol;
  const chainsAt = bucketsAt + bucketCount * 4;
  for (;;) {
    const chunk = elf.file.readUpTo(chainsAt + (last - firstSymbol) * 4, 4096);
    if (chunk.length < 4) throw new ElfError('elf/truncated', `${elf.file.path}: its hash table has no end`);
    for (let at = 0; at + 4 <= chunk.length; at += 4, last++) {
      if (chunk.readUInt32LE(at) & 1) return last + 1;
    }
  }
}
