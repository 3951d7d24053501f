import { BoundedFile } from './bounded-file.js';
import { ElfFile } from './elf.js';

/** Descriptors that stay open at a time; beyond it, those used longest ago are parked. */
const MOST_OPEN_FILES = 256;
/** Parsed files that are remembered at a time. */
const MOST_FILES = 4096;

/** ELF files by identity: each is parsed once, however many processes and ranges map it. */
export class ElfStore {
  readonly #files = new Map<string, { elf: ElfFile; file: BoundedFile }>();

  /** Throws `ElfError` where `path` is no ELF file that can be read. */
  open(path: string): ElfFile {
    const file = new BoundedFile(path);
    const known = this.#files.get(file.identity);
    if (known !== undefined) {
      // The way by which it was opened first may have ended with another process; this one works now.
      known.file.takeOver(file);
      this.#used(known);
      return known.elf;
    }
    try {
      const elf = new ElfFile(file);
      this.#used({ elf, file });
      return elf;
    } catch (error) {
      file.park();
      throw error;
    }
  }

  close(): void {
    for (const { file } of this.#files.values()) file.park();
    this.#files.clear();
  }

  #used(known: { elf: ElfFile; file: BoundedFile }): void {
    const { identity } = known.file;
    this.#files.delete(identity);
    this.#files.set(identity, known);
    let excess = this.#files.size - MOST_OPEN_FILES;
    for (const [key, old] of this.#files) {
      if (excess-- <= 0) break;
      old.file.park();
      if (this.#files.size > MOST_FILES) this.#files.delete(key);
    }
  }
}
