import { ElfError } from '../modules/bounded-file.js';
import type { ElfFile } from '../modules/elf.js';
import { PF_X, PT_GNU_EH_FRAME, PT_LOAD } from '../modules/elf-headers.js';
import { SHT_NOBITS } from '../modules/elf-sections.js';
import { type FunctionSources, functionIndex } from '../wire/addon.js';
import { SymbolTable } from '../wire/symbol-table.js';
import { debugLink } from './lines/debug-files.js';
import { miniDebugInfo } from './mini-debug-info.js';
import { dynamicTable, fullTable, type SymbolSource } from './symbol-source.js';

const DT_PLTRELSZ = 2;
const DT_RELA = 7;
const DT_RELASZ = 8;
const DT_JMPREL = 23;
const DT_RELACOUNT = 0x6ffffff9;
const RELOCATION_BYTES = 24;
const MOST_SYMBOL_BYTES = 128 << 20;
const MOST_NAME_BYTES = 512 << 20;
const MOST_UNWIND_BYTES = 256 << 20;
const MOST_STUB_BYTES = 16 << 20;
const STUB_SECTIONS: Record<string, number> = { '.plt': 16, '.plt.sec': 16, '.plt.got': 8 };
const EH_FRAME_PCREL_SDATA4 = 0x1b;

/**
 * Reads a file's functions: from .symtab, .dynsym and the symbols compressed into .gnu_debugdata, the stubs of its
 * procedure linkage table, and those that only .eh_frame knows of. `separate` is where strip has put its .symtab.
 * Throws `ElfError`.
 */
export function readSymbolTable(elf: ElfFile, separate: ElfFile | null = null): SymbolTable {
  const dynamic = dynamicTable(elf);
  const own = fullTable(elf);
  const full = own ?? (separate && fullTable(separate));
  const mini = full === null ? miniDebugInfo(elf) : null;
  const miniTable = mini && fullTable(mini);
  const tables: FunctionSources['tables'] = [];
  if (full !== null) tables.push(readTable(own === null && separate !== null ? separate : elf, full));
  const read = dynamic && readTable(elf, dynamic);
  if (read !== null) tables.push(read);
  if (mini !== null && miniTable !== null) tables.push(readTable(mini, miniTable));
  return SymbolTable.of(
    functionIndex({
      tables,
      code: codeOf(elf),
      stubs: read && wherePossible(() => stubsOf(elf, read)),
      unwind: wherePossible(() => unwindOf(elf)),
      isFull: full !== null,
      debugLink: full === null ? (debugLink(elf)?.name ?? null) : null,
    }),
  );
}

/** What is read beside the symbols: without it there are fewer names, and no wrong ones. */
function wherePossible<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof ElfError && error.code !== 'elf/replaced') return null;
    throw error;
  }
}

function readTable(elf: ElfFile, source: SymbolSource): FunctionSources['tables'][number] {
  if (source.bytes > MOST_SYMBOL_BYTES || source.namesBytes > MOST_NAME_BYTES) {
    throw new ElfError('elf/too-large', `${elf.file.path}: its symbol table is too large`);
  }
  const { sections } = elf;
  const bounds = new Float64Array(2 * sections.length);
  for (let i = 0; i < sections.length; i++) {
    bounds[2 * i] = sections[i]!.address;
    bounds[2 * i + 1] = sections[i]!.address + sections[i]!.bytes;
  }
  return {
    symbols: elf.file.read(source.offset, source.bytes),
    names: elf.file.read(source.namesOffset, source.namesBytes),
    sections: bounds,
  };
}

function codeOf(elf: ElfFile): Float64Array {
  const bounds: number[] = [];
  for (const { type, flags, address, memoryBytes } of elf.segments) {
    if (type === PT_LOAD && (flags & PF_X) !== 0) bounds.push(address, address + memoryBytes);
  }
  return Float64Array.from(bounds);
}

function stubsOf(
  elf: ElfFile,
  { symbols, names }: FunctionSources['tables'][number],
): FunctionSources['stubs'] {
  const found = elf.sections.filter(
    ({ name, type, bytes }) => name in STUB_SECTIONS && type !== SHT_NOBITS && bytes <= MOST_STUB_BYTES,
  );
  if (found.length === 0) return null;
  const sections = found.map(({ name, address, offset, bytes }) => ({
    code: elf.file.readUpTo(offset, bytes),
    address,
    stubBytes: STUB_SECTIONS[name]!,
  }));
  // Those that only add the load address come first, by the hundred thousand, and name no symbol.
  const unnamed = (elf.dynamic.get(DT_RELACOUNT) ?? 0) * RELOCATION_BYTES;
  const relocations = [
    relocationsOf(elf, DT_JMPREL, DT_PLTRELSZ, 0),
    relocationsOf(elf, DT_RELA, DT_RELASZ, unnamed),
  ];
  return { sections, relocations, symbols, names };
}

function relocationsOf(elf: ElfFile, tag: number, sizeTag: number, skippedBytes: number): Buffer {
  const address = elf.dynamic.get(tag);
  const offset = address === undefined ? null : elf.offsetOf(address);
  const bytes = (elf.dynamic.get(sizeTag) ?? 0) - skippedBytes;
  if (offset === null || !(bytes > 0)) return Buffer.alloc(0);
  return elf.file.readUpTo(offset + skippedBytes, Math.min(bytes, MOST_STUB_BYTES));
}

function unwindOf(elf: ElfFile): FunctionSources['unwind'] {
  const section = elf.section('.eh_frame');
  if (section !== undefined) {
    const { type, address, offset, bytes } = section;
    if (type === SHT_NOBITS || bytes > MOST_UNWIND_BYTES) return null;
    return { section: elf.file.readUpTo(offset, bytes), address };
  }
  // Without section headers: the unwinder's own table tells where it begins, and its segment where it ends.
  const table = elf.segments.find(({ type }) => type === PT_GNU_EH_FRAME);
  if (table === undefined || table.fileBytes < 8) return null;
  const head = elf.file.read(table.offset, 8);
  if (head[0] !== 1 || head[1] !== EH_FRAME_PCREL_SDATA4) return null;
  const address = table.address + 4 + head.readInt32LE(4);
  const offset = elf.offsetOf(address);
  const segment = elf.segments.find(
    ({ type, address: start, fileBytes }) =>
      type === PT_LOAD && address >= start && address < start + fileBytes,
  );
  if (offset === null || segment === undefined) return null;
  const bytes = Math.min(segment.offset + segment.fileBytes - offset, MOST_UNWIND_BYTES);
  return { section: elf.file.readUpTo(offset, bytes), address };
}
