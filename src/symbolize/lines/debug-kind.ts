import { inflateSync } from 'node:zlib';
import { ElfError } from '../../modules/bounded-file.js';
import type { ElfFile } from '../../modules/elf.js';
import type { ElfSection } from '../../modules/elf-sections.js';

/**
 * What of a file's debug information libbacktrace can't read: sections compressed by zstd, and units whose better part
 * lies in .dwo files or a .dwp file.
 */
export type DebugKind = 'plain' | 'zstd' | 'split';

const SHF_COMPRESSED = 0x800;
const ELFCOMPRESS_ZSTD = 2;
const COMPRESSION_HEADER_BYTES = 24;
const MOST_ABBREVIATION_BYTES = 64 << 20;
const DW_AT_DWO_NAME = 0x76;
const DW_AT_GNU_DWO_NAME = 0x2130;
const DW_FORM_IMPLICIT_CONST = 0x21;

export function debugKind(elf: ElfFile): DebugKind {
  try {
    const information = elf.section('.debug_info');
    if (information !== undefined && compressionOf(elf, information) === ELFCOMPRESS_ZSTD) return 'zstd';
    // Units that are split name their addresses by this table's entries.
    if (elf.section('.debug_addr') !== undefined && namesObjectFiles(elf)) return 'split';
  } catch (error) {
    // What is broken is for the worker to find out.
    if (!(error instanceof ElfError)) throw error;
  }
  return 'plain';
}

function compressionOf(elf: ElfFile, { flags, offset, bytes }: ElfSection): number | null {
  if ((flags & SHF_COMPRESSED) === 0 || bytes < COMPRESSION_HEADER_BYTES) return null;
  return elf.file.read(offset, 4).readUInt32LE(0);
}

/** Whether some kind of entry has the name of a .dwo file. */
function namesObjectFiles(elf: ElfFile): boolean {
  const section = elf.section('.debug_abbrev');
  const bytes = section && contentOf(elf, section);
  if (!bytes) return false;
  let at = 0;
  const number = () => {
    let value = 0;
    for (let shift = 0; at < bytes.length; shift += 7) {
      const byte = bytes[at++]!;
      if (shift < 28) value |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    return value;
  };
  while (at < bytes.length) {
    if (number() === 0) continue; // the end of one table
    number(); // tag
    at++; // has children
    for (;;) {
      const name = number();
      const form = number();
      if (form === DW_FORM_IMPLICIT_CONST) number();
      if (name === DW_AT_DWO_NAME || name === DW_AT_GNU_DWO_NAME) return true;
      if ((name === 0 && form === 0) || at >= bytes.length) break;
    }
  }
  return false;
}

function contentOf(elf: ElfFile, section: ElfSection): Buffer | null {
  if (section.bytes > MOST_ABBREVIATION_BYTES) return null;
  const bytes = elf.file.read(section.offset, section.bytes);
  const compression = compressionOf(elf, section);
  if (compression === null) return bytes;
  if (compression === ELFCOMPRESS_ZSTD) return null;
  try {
    return inflateSync(bytes.subarray(COMPRESSION_HEADER_BYTES), {
      maxOutputLength: MOST_ABBREVIATION_BYTES,
    });
  } catch {
    return null;
  }
}
