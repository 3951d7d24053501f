import { ElfError } from './bounded-file.js';
import { ElfFile } from './elf.js';
import { MemoryImage } from './memory-image.js';
import { ProcessMaps } from './process-maps.js';
import { readProcessMemory } from './process-memory.js';

const MOST_IMAGES = 64;

/** ELF files that are read from a process's memory; each is read once, as long as it stays what it was. */
export class MappedImages {
  readonly #known = new Map<string, ElfFile>();

  constructor(private readonly pid: number) {}

  /** What is mapped at `start`, or null where its head isn't mapped or is no ELF file. */
  at({ start, path }: { start: number; path: string }, maps: ProcessMaps): ElfFile | null {
    const line = maps.at(start, true);
    const head = line && maps.headOf(line);
    return head && this.#read(path, head.start, head.end - head.start);
  }

  /** The vdso, and null for what the kernel maps beside it. One kernel maps the same to all: ours serves for the dead. */
  ofKernel(
    { start, end, path }: { start: number; end: number; path: string },
    lives: boolean,
  ): ElfFile | null {
    if (path !== VDSO) return null;
    return lives ? this.#read(path, start, end - start) : ourVdso();
  }

  #read(path: string, head: number, headBytes: number): ElfFile | null {
    const elf = readImage(this.pid, path, head, headBytes);
    if (elf === null) return null;
    const known = this.#known.get(elf.file.identity);
    if (known !== undefined) return known;
    const oldest = this.#known.size < MOST_IMAGES ? undefined : this.#known.keys().next().value;
    if (oldest !== undefined) this.#known.delete(oldest);
    this.#known.set(elf.file.identity, elf);
    return elf;
  }
}

const VDSO = '[vdso]';
let ours: ElfFile | null | undefined;

function ourVdso(): ElfFile | null {
  if (ours === undefined) {
    const line = new ProcessMaps(process.pid).find(VDSO);
    ours = line && readImage(process.pid, VDSO, line.start, line.end - line.start);
  }
  return ours;
}

/** Null where no ELF file is mapped. */
function readImage(pid: number, path: string, head: number, headBytes: number): ElfFile | null {
  try {
    const memory = (address: number, length: number) => readProcessMemory(pid, address, length);
    return new ElfFile(new MemoryImage(path, memory, head, headBytes));
  } catch (error) {
    if (error instanceof ElfError) return null;
    throw error;
  }
}
