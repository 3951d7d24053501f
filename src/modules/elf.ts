import { ElfError } from './bounded-file.js';
import type { ByteSource } from './byte-source.js';
import {
  type ElfSegment,
  PAGE_BYTES,
  PF_X,
  PT_DYNAMIC,
  PT_LOAD,
  PT_NOTE,
  readSegments,
  readU64,
  type SectionHeaders,
} from './elf-headers.js';
import { readNotes } from './elf-notes.js';
import { type ElfSection, readSections } from './elf-sections.js';

const DT_NULL = 0;
const DT_SONAME = 14;
const DT_STRTAB = 5;

/** A dynamic section or a string longer than this belongs to no real library. */
const MOST_DYNAMIC_ENTRIES = 4096;
const LONGEST_NAME_BYTES = 65536;
/** Of an executable segment: its start and end in the file, and the virtual address of the file's first byte. */
const CODE_FIELDS = 3;

/**
 * An ELF64 little-endian x86-64 program or library, read part by part. The file is anybody's: every offset and count
 * in it is checked, work is bounded, and what can't be is an `ElfError`.
 */
export class ElfFile {
  readonly segments: readonly ElfSegment[];
  /** Hexadecimal, or null where the linker left none. */
  readonly buildId: string | null;
  /** What the notes say of the compiler: `go` programs lack what C's unwinding and naming expect. */
  readonly language: 'go' | null;
  readonly soname: string | null;
  #dynamic: ReadonlyMap<number, number> | null = null;
  #sections: readonly ElfSection[] | null = null;
  readonly #sectionHeaders: SectionHeaders;
  readonly #code: Float64Array;

  /** Throws `ElfError` unless `file` has a sound ELF header and program headers. */
  constructor(readonly file: ByteSource) {
    const head = readSegments(file);
    this.segments = head.segments;
    this.#code = mappedCode(head.segments);
    this.#sectionHeaders = head.sectionHeaders;
    const notes = readNotes(
      file,
      this.segments.filter((segment) => segment.type === PT_NOTE),
    );
    this.buildId = notes.buildId;
    this.language = notes.language;
    this.soname = this.#readSoname();
  }

  /** Empty where the section headers are stripped or senseless; the dynamic section serves then. */
  get sections(): readonly ElfSection[] {
    this.#sections ??= readSections(this.file, this.#sectionHeaders);
    return this.#sections;
  }

  /** The dynamic section's values by tag, the first of each; empty for a static program. */
  get dynamic(): ReadonlyMap<number, number> {
    this.#dynamic ??= this.#readDynamic();
    return this.#dynamic;
  }

  section(name: string): ElfSection | undefined {
    return this.sections.find((section) => section.name === name);
  }

  /** Where in the file the byte at virtual address `address` lies, or null where none does (.bss, outside). */
  offsetOf(address: number): number | null {
    for (const segment of this.segments) {
      if (segment.type !== PT_LOAD) continue;
      if (address >= segment.address && address < segment.address + segment.fileBytes) {
        return address - segment.address + segment.offset;
      }
    }
    return null;
  }

  /** The virtual address that file offset `offset` has in an executable mapping, or null where none covers it. */
  addressOf(offset: number): number | null {
    const code = this.#code;
    for (let i = 0; i < code.length; i += CODE_FIELDS) {
      if (offset >= code[i]! && offset < code[i + 1]!) return offset + code[i + 2]!;
    }
    return null;
  }

  isExecutable(address: number): boolean {
    return this.segments.some(
      ({ type, flags, address: start, memoryBytes }) =>
        type === PT_LOAD && (flags & PF_X) !== 0 && address >= start && address < start + memoryBytes,
    );
  }

  /** The zero-terminated text at a file offset. */
  text(offset: number): string {
    let bytes = this.file.readUpTo(offset, 256);
    let end = bytes.indexOf(0);
    if (end < 0) {
      bytes = this.file.readUpTo(offset, LONGEST_NAME_BYTES);
      end = bytes.indexOf(0);
    }
    if (end < 0) throw new ElfError('elf/malformed', `${this.file.path}: an unterminated name at ${offset}`);
    return bytes.toString('utf8', 0, end);
  }

  #readDynamic(): Map<number, number> {
    const values = new Map<number, number>();
    const segment = this.segments.find(({ type }) => type === PT_DYNAMIC);
    if (segment === undefined) return values;
    const bytes = this.file.readUpTo(segment.offset, Math.min(segment.fileBytes, MOST_DYNAMIC_ENTRIES * 16));
    for (let at = 0; at + 16 <= bytes.length; at += 16) {
      const tag = readU64(bytes, at);
      if (tag === DT_NULL) break;
      const value = readU64(bytes, at + 8);
      // glibc turns the addresses of a loaded library's dynamic section into those of the process.
      const { bias } = this.file;
      if (!values.has(tag)) values.set(tag, bias > 0 && value >= bias ? value - bias : value);
    }
    return values;
  }

  #readSoname(): string | null {
    const name = this.dynamic.get(DT_SONAME);
    const strings = this.dynamic.get(DT_STRTAB);
    if (name === undefined || strings === undefined) return null;
    const offset = this.offsetOf(strings + name);
    if (offset === null) return null;
    try {
      return this.text(offset) || null;
    } catch (error) {
      if (error instanceof ElfError) return null;
      throw error;
    }
  }
}

/** `CODE_FIELDS` of each, in one row: every frame is looked up here. */
function mappedCode(segments: readonly ElfSegment[]): Float64Array {
  const code = segments.filter(({ type, flags }) => type === PT_LOAD && (flags & PF_X) !== 0);
  return Float64Array.from(
    code.flatMap(({ offset, fileBytes, address }) => [
      // The kernel maps whole pages: the bytes around a segment, up to the page's ends, are mapped with it.
      offset - (offset % PAGE_BYTES),
      Math.ceil((offset + fileBytes) / PAGE_BYTES) * PAGE_BYTES,
      address - offset,
    ]),
  );
}
