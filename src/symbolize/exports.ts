import { ElfError } from '../modules/bounded-file.js';
import type { ElfFile } from '../modules/elf.js';
import { dynamicTable, SYMBOL_BYTES } from './symbol-source.js';

const STT_FUNC = 2;
const MOST_TABLE_BYTES = 16 << 20;

/** Where a function lies in its file's address space, `end` behind its last byte. */
export interface ExportedFunction {
  start: number;
  end: number;
}

/** The functions of these names that a library exports; those that it lacks, or that can't be read, are left out. */
export function exportedFunctions(
  elf: ElfFile,
  names: ReadonlySet<string>,
): ReadonlyMap<string, ExportedFunction> {
  const found = new Map<string, ExportedFunction>();
  try {
    const source = dynamicTable(elf);
    if (source === null || source.bytes > MOST_TABLE_BYTES || source.namesBytes > MOST_TABLE_BYTES)
      return found;
    const symbols = elf.file.read(source.offset, source.bytes);
    const texts = elf.file.read(source.namesOffset, source.namesBytes);
    // A libc has thousands: most are told apart by their first letter.
    const initials = new Set([...names].map((name) => name.charCodeAt(0)));
    for (let at = 0; at + SYMBOL_BYTES <= symbols.length; at += SYMBOL_BYTES) {
      const isDefined = symbols.readUInt16LE(at + 6) !== 0;
      if ((symbols[at + 4]! & 15) !== STT_FUNC || !isDefined) continue;
      const name = symbols.readUInt32LE(at);
      if (!initials.has(texts[name]!)) continue;
      const end = texts.indexOf(0, name);
      if (end < 0 || end - name > 64) continue;
      const text = texts.toString('latin1', name, end);
      if (!names.has(text)) continue;
      const start = Number(symbols.readBigUInt64LE(at + 8));
      found.set(text, { start, end: start + Number(symbols.readBigUInt64LE(at + 16)) });
    }
  } catch (error) {
    if (!(error instanceof ElfError)) throw error;
  }
  return found;
}
