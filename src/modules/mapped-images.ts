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
    return head && this.#read(this.pid, path, head.start, head.end - head.start);
  }

  /** The vdso, and null for what the kernel maps beside it. One kernel maps the same to all: ours serves for the dead. */
  ofKernel(
    { start, end, path }: { start: number; end: number; path: string },
    lives: boolean,
  ): ElfFile | null {
    if (path !== VDSO) return null;
    if (lives) return this.#read(this.pid, path, start, end - start);
    const own = new ProcessMaps(process.pid).find(VDSO);
    return own && this.#read(process.pid, path, own.start, own.end - own.start);
  }

  #read(pid: number, path: string, head: number, headBytes: number): ElfFile | null {
    try {
      const memory = (address: number, length: number) => readProcessMemory(pid, address, length);
      const elf = new ElfFile(new MemoryImage(path, memory, head, headBytes));
      const known = this.#known.get(elf.file.identity);
      if (known !== undefined) return known;
      const oldest = this.#known.size < MOST_IMAGES ? undefined : this.#known.keys().next().value;
      if (oldest !== undefined) this.#known.delete(oldest);
      this.#known.set(elf.file.identity, elf);
      return elf;
    } catch (error) {
      if (error instanceof ElfError) return null;
      throw error;
    }
  }
}

const VDSO = '[vdso]';
