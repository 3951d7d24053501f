import { ElfError } from './bounded-file.js';
import type { ByteSource } from './byte-source.js';

export const PT_LOAD = 1;
export const PT_DYNAMIC = 2;
export const PT_NOTE = 4;
export const PT_GNU_EH_FRAME = 0x6474e550;
export const PF_X = 1;
export const PF_W = 2;
export const PAGE_BYTES = 4096;

const HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;
const CLASS_64 = 2;
const LITTLE_ENDIAN = 1;
const MACHINE_X86_64 = 62;
const TYPE_RELOCATABLE = 1;
/** Real files have about ten; the kernel itself refuses more than 64 KiB of program headers. */
const MOST_SEGMENTS = 1024;

/** One program header; sizes in bytes, `offset` in the file, `address` virtual. */
export interface ElfSegment {
  type: number;
  flags: number;
  offset: number;
  address: number;
  fileBytes: number;
  memoryBytes: number;
}

export interface SectionHeaders {
  offset: number;
  count: number;
  entryBytes: number;
  namesIndex: number;
}

/** The ELF header and the program headers. Throws `ElfError`. */
export function readSegments(file: ByteSource): { segments: ElfSegment[]; sectionHeaders: SectionHeaders } {
  const header = file.readUpTo(0, HEADER_BYTES);
  if (header.length < 4 || header.readUInt32BE(0) !== 0x7f454c46) {
    throw new ElfError('elf/not-elf', `${file.path}: not an ELF file`);
  }
  if (header.length < HEADER_BYTES)
    throw new ElfError('elf/truncated', `${file.path}: ends within its header`);
  if (header[4] !== CLASS_64 || header[5] !== LITTLE_ENDIAN || header.readUInt16LE(18) !== MACHINE_X86_64) {
    throw new ElfError('elf/unsupported', `${file.path}: not a 64-bit x86-64 ELF file`);
  }
  const count = header.readUInt16LE(56);
  // What dwz has moved out of several files is never mapped.
  const isNeverMapped = header.readUInt16LE(16) === TYPE_RELOCATABLE;
  const isSound = header.readUInt16LE(54) === PROGRAM_HEADER_BYTES && count <= MOST_SEGMENTS;
  if (!isSound || (count === 0 && !isNeverMapped)) {
    throw new ElfError('elf/malformed', `${file.path}: ${count} program headers can't be right`);
  }
  const table = file.read(readU64(header, 32), count * PROGRAM_HEADER_BYTES);
  const segments: ElfSegment[] = [];
  for (let at = 0; at < table.length; at += PROGRAM_HEADER_BYTES) {
    segments.push({
      type: table.readUInt32LE(at),
      flags: table.readUInt32LE(at + 4),
      offset: readU64(table, at + 8),
      address: readU64(table, at + 16),
      fileBytes: readU64(table, at + 32),
      memoryBytes: readU64(table, at + 40),
    });
  }
  return {
    segments,
    sectionHeaders: {
      offset: readU64(header, 40),
      entryBytes: header.readUInt16LE(58),
      count: header.readUInt16LE(60),
      namesIndex: header.readUInt16LE(62),
    },
  };
}

/** Exact below 2^53; what lies above is garbage here and stays too large for every bounds check. */
export function readU64(bytes: Buffer, offset: number): number {
  return bytes.readUInt32LE(offset) + bytes.readUInt32LE(offset + 4) * 0x1_0000_0000;
}
