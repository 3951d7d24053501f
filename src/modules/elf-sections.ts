import { ElfError } from './bounded-file.js';
import type { ByteSource } from './byte-source.js';
import { readU64, type SectionHeaders } from './elf-headers.js';

export const SHT_SYMTAB = 2;
export const SHT_RELA = 4;
export const SHT_NOBITS = 8;
export const SHT_DYNSYM = 11;
export const SHF_EXECINSTR = 4;

const ENTRY_BYTES = 64;
const MOST_SECTIONS = 65535;
const MOST_NAME_BYTES = 4 << 20;
const LONGEST_NAME = 64;

/** One section header; sizes in bytes, `offset` in the file, `address` virtual. */
export interface ElfSection {
  name: string;
  type: number;
  flags: number;
  address: number;
  offset: number;
  bytes: number;
  link: number;
}

/**
 * The section headers, in the file's order. Nothing at run time needs them, so a file may have none or senseless ones
 * and still be sound: both read as none.
 */
export function readSections(file: ByteSource, headers: SectionHeaders): ElfSection[] {
  if (headers.offset === 0 || headers.entryBytes !== ENTRY_BYTES) return [];
  try {
    const first = file.read(headers.offset, ENTRY_BYTES);
    // Counts that don't fit into the ELF header stand in the first section's size and link.
    const count = headers.count === 0 ? readU64(first, 32) : headers.count;
    const namesIndex = headers.namesIndex === 0xffff ? first.readUInt32LE(40) : headers.namesIndex;
    if (count > MOST_SECTIONS || namesIndex >= count) return [];
    const table = file.read(headers.offset, count * ENTRY_BYTES);
    const namesAt = namesIndex * ENTRY_BYTES;
    const nameBytes = readU64(table, namesAt + 32);
    if (nameBytes > MOST_NAME_BYTES) return [];
    const names = file.read(readU64(table, namesAt + 24), nameBytes);
    const sections: ElfSection[] = [];
    for (let at = 0; at < table.length; at += ENTRY_BYTES) {
      sections.push({
        name: textAt(names, table.readUInt32LE(at)),
        type: table.readUInt32LE(at + 4),
        flags: table.readUInt32LE(at + 8),
        address: readU64(table, at + 16),
        offset: readU64(table, at + 24),
        bytes: readU64(table, at + 32),
        link: table.readUInt32LE(at + 40),
      });
    }
    return sections;
  } catch (error) {
    if (error instanceof ElfError) return [];
    throw error;
  }
}

/** No section that is asked for has a longer name; the limit keeps one huge name from being copied for each section. */
function textAt(names: Buffer, offset: number): string {
  const most = Math.min(names.length, offset + LONGEST_NAME);
  let end = offset;
  while (end < most && names[end] !== 0) end++;
  return end < most ? names.toString('latin1', offset, end) : '';
}
