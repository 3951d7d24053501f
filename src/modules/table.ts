import type { ElfErrorCode } from './bounded-file.js';
import type { ElfFile } from './elf.js';
import { LayeredRanges } from './layered-ranges.js';
import type { ModuleFiles, OpenedFile } from './process-files.js';
import { DELETED_SUFFIX, withoutDeleted } from './process-maps.js';

/** An executable range of the target: of a program or library, the vdso, or anonymous (code made at run time). */
export interface Module {
  readonly id: number;
  /** The file's SONAME, else its base name; "[vdso]", "[anon]" and the like where no file is mapped. */
  readonly name: string;
  readonly path: string | null;
  readonly start: number;
  readonly end: number;
  /** Bytes; where `start` lies in the file. */
  readonly fileOffset: number;
  readonly isProgram: boolean;
  /** The file has no name any more, or another file has it. */
  readonly deleted: boolean;
  /** Why `elf` may be another file than the one mapped, so that names from it would mislead; else null. */
  readonly stale: string | null;
  /** Null where no file is mapped, and where it can't be read: `problem` says why. */
  readonly elf: ElfFile | null;
  readonly problem: string | null;
  /** The sort of `problem`. */
  readonly problemCode?: ElfErrorCode | null;
}

/** An executable range that appeared. Addresses and sizes in bytes. */
export interface MappedRange {
  start: number;
  end: number;
  fileOffset: number;
  /** As in /proc/PID/maps; null for anonymous memory. */
  path: string | null;
  /** The event's load generation. */
  generation: number;
  timeNs: number;
  isProgram?: boolean;
  /** Of a seed: tells the mapped file from one that took its name. */
  inode?: number;
}

/** A range that goes away. `generation` is the last one whose stacks may name it: that of the releasing event. */
export interface UnmappedRange {
  start: number;
  end: number;
  generation: number;
}

/**
 * Which file is mapped at a runtime address. The generation is the target's counter of executable file ranges that
 * went away: a stack captured under one is answered for that moment, also when the address is another module's by now.
 */
export class ModuleTable {
  readonly #ranges = new LayeredRanges<Module>();
  #programPath: string | null;
  #nextId = 1;

  constructor(private readonly files: ModuleFiles) {
    this.#programPath = files.programPath();
  }

  /** The modules of now, by address. */
  get current(): Module[] {
    return [...new Set(this.#ranges.current())];
  }

  /** Ranges that went away and were forgotten, since there were too many; their stacks' modules are unknown. */
  get forgotten(): number {
    return this.#ranges.forgotten;
  }

  mapped(range: MappedRange): Module {
    const { start, end, generation } = range;
    const known = this.#ranges.newest(start);
    // A library that is loaded again where it was, or code memory that is made executable again, is the same module.
    if (known && known.end >= end && this.#continues(known, range)) {
      // Engines that write code toggle the protection of single pages: no new slices for that.
      if (this.#ranges.covers(start, end, known)) return known;
      this.#ranges.put(start, end, known, generation);
      return known;
    }
    const module = this.#identify(range);
    this.#ranges.put(start, end, module, generation);
    return module;
  }

  unmapped({ start, end, generation }: UnmappedRange): void {
    this.#ranges.retire(start, end, generation);
  }

  /** The module at a runtime address for a stack captured under `generation`, or null. */
  find(address: number, generation: number): Module | null {
    return this.#ranges.find(address, generation);
  }

  /**
   * The address that the module's file gives to the byte at runtime `address`, as tools and symbol tables write it.
   * Where there is no ELF file it is the offset in the file, or in the range.
   */
  fileAddress(module: Module, address: number): number {
    return fileAddress(module, address);
  }

  #continues(known: Module, range: MappedRange): boolean {
    if (range.path === null) return known.path === null && known.name === ANONYMOUS;
    if (known.path === null || known.fileOffset !== range.fileOffset - (range.start - known.start))
      return false;
    if (known.path !== withoutDeleted(range.path) || known.deleted) return false;
    const opened = this.#open(range, known.path, known.isProgram);
    return opened.elf === known.elf && opened.stale === known.stale;
  }

  #identify(range: MappedRange): Module {
    if (!range.path?.startsWith('/')) {
      const opened = range.path ? this.#open(range, range.path, false) : UNOPENED;
      return this.#module(range, opened, { name: range.path || ANONYMOUS, path: null, isProgram: false });
    }
    const path = withoutDeleted(range.path);
    // The kernel maps the program first; /proc/PID/exe, when it could be read, knows better (a program run by ld.so).
    this.#programPath ??= path;
    const isProgram = range.isProgram ?? path === this.#programPath;
    const opened = this.#open(range, path, isProgram);
    const soname = isProgram ? null : opened.elf?.soname;
    const name = printable(soname || path.slice(path.lastIndexOf('/') + 1));
    return this.#module(range, opened, { name, path, isProgram });
  }

  /** Field by field: spreading the parts takes longer than all else that a short life's modules need. */
  #module(
    { start, end, fileOffset }: MappedRange,
    { deleted, stale, elf, problem, problemCode = null }: OpenedFile,
    { name, path, isProgram }: Pick<Module, 'name' | 'path' | 'isProgram'>,
  ): Module {
    const id = this.#nextId++;
    return { id, name, path, start, end, fileOffset, isProgram, deleted, stale, elf, problem, problemCode };
  }

  #open(range: MappedRange, path: string, isProgram: boolean): OpenedFile {
    const { start, end, fileOffset, inode = 0, timeNs } = range;
    const deleted = range.path?.endsWith(DELETED_SUFFIX) ?? false;
    return this.files.open({ start, end, fileOffset, path, deleted, isProgram, inode, timeNs });
  }
}

/** As `ModuleTable.fileAddress`. */
export function fileAddress(module: Module, address: number): number {
  const offset = address - module.start + module.fileOffset;
  return module.elf?.addressOf(offset) ?? offset;
}

const ANONYMOUS = '[anon]';
const UNOPENED: OpenedFile = { elf: null, deleted: false, stale: null, problem: null };
const LONGEST_NAME = 255;

/** A name from a file may hold anything, escape sequences of a terminal included. */
function printable(name: string): string {
  return name.slice(0, LONGEST_NAME).replace(/\p{Cc}/gu, '?');
}
