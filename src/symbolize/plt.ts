import type { ElfFile } from '../modules/elf.js';
import { readU64 } from '../modules/elf-headers.js';
import { SHT_NOBITS } from '../modules/elf-sections.js';
import { SYMBOL_BYTES, type SymbolSource } from './symbol-source.js';

const DT_PLTRELSZ = 2;
const DT_RELA = 7;
const DT_RELASZ = 8;
const DT_JMPREL = 23;
const RELOCATION_BYTES = 24;
const MOST_BYTES = 16 << 20;
const STUB_SECTIONS: Record<string, number> = { '.plt': 16, '.plt.sec': 16, '.plt.got': 8 };

/** A stub by which a file calls a function of another. */
export interface Stub {
  address: number;
  bytes: number;
  /** File offset of the called function's name. */
  nameOffset: number;
}

/**
 * The stubs of the procedure linkage table, by rising address. Each jumps through a slot that a relocation fills;
 * reading the jump, and not counting stubs, serves every linker's layout.
 */
export function readStubs(elf: ElfFile, symbols: SymbolSource): Stub[] {
  const stubs: Stub[] = [];
  let slots: Map<number, number> | null = null;
  for (const section of elf.sections) {
    const stubBytes = STUB_SECTIONS[section.name];
    if (stubBytes === undefined || section.type === SHT_NOBITS || section.bytes > MOST_BYTES) continue;
    slots ??= namesBySlot(elf, symbols);
    const code = elf.file.readUpTo(section.offset, section.bytes);
    // With endbr64 (4 bytes) ahead of the jump, .plt.got has 16-byte stubs too.
    const step = stubBytes === 8 && code.length >= 4 && code.readUInt32LE(0) === ENDBR64 ? 16 : stubBytes;
    for (let at = 0; at + step <= code.length; at += step) {
      const slot = jumpSlot(code, at, step, section.address);
      const nameOffset = slot === null ? undefined : slots.get(slot);
      if (nameOffset !== undefined) stubs.push({ address: section.address + at, bytes: step, nameOffset });
    }
  }
  return stubs.sort((a, b) => a.address - b.address);
}

const ENDBR64 = 0xfa1e0ff3;

/** The slot that `jmp *displacement(%rip)` at the head of a stub reads, behind an endbr64 or bnd prefix if any. */
function jumpSlot(code: Buffer, stub: number, bytes: number, sectionAddress: number): number | null {
  let at = stub;
  if (bytes >= 16 && code.readUInt32LE(at) === ENDBR64) at += 4;
  if (code[at] === 0xf2) at++;
  if (code[at] !== 0xff || code[at + 1] !== 0x25 || at + 6 > code.length) return null;
  return sectionAddress + at + 6 + code.readInt32LE(at + 2);
}

/** File offsets of names by the virtual address of the slot that gets the function's address. */
function namesBySlot(elf: ElfFile, symbols: SymbolSource): Map<number, number> {
  const names = new Map<number, number>();
  const table = elf.file.readUpTo(symbols.offset, Math.min(symbols.bytes, MOST_BYTES));
  const tables: [tag: number, sizeTag: number][] = [
    [DT_JMPREL, DT_PLTRELSZ],
    [DT_RELA, DT_RELASZ],
  ];
  for (const [tag, sizeTag] of tables) {
    const address = elf.dynamic.get(tag);
    const offset = address === undefined ? null : elf.offsetOf(address);
    if (offset === null) continue;
    const relocations = elf.file.readUpTo(offset, Math.min(elf.dynamic.get(sizeTag) ?? 0, MOST_BYTES));
    for (let at = 0; at + RELOCATION_BYTES <= relocations.length; at += RELOCATION_BYTES) {
      const symbol = relocations.readUInt32LE(at + 12) * SYMBOL_BYTES;
      if (symbol === 0 || symbol + SYMBOL_BYTES > table.length) continue;
      const name = table.readUInt32LE(symbol);
      if (name !== 0 && name < symbols.namesBytes)
        names.set(readU64(relocations, at), symbols.namesOffset + name);
    }
  }
  return names;
}
