import { ElfError } from './bounded-file.js';
import type { ByteSource } from './byte-source.js';

/** An ELF file that was unpacked from another one. */
export class BytesSource implements ByteSource {
  readonly inode = 0;
  readonly sharedPath = null;
  readonly bias = 0;

  constructor(
    private readonly content: Buffer,
    readonly path: string,
    readonly identity: string,
  ) {}

  get bytes(): number {
    return this.content.length;
  }

  read(offset: number, length: number): Buffer {
    if (!(offset >= 0 && length >= 0 && offset + length <= this.bytes)) {
      const what = `${length} bytes at ${offset} lie beyond the end of what is packed into it`;
      throw new ElfError('elf/truncated', `${this.path}: ${what}`);
    }
    return this.content.subarray(offset, offset + length);
  }

  readUpTo(offset: number, length: number): Buffer {
    return this.read(offset, Math.max(0, Math.min(length, this.bytes - offset)));
  }

  park(): void {}
}
