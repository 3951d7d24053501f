import { createHash } from 'node:crypto';
import { ElfError } from './bounded-file.js';
import type { ByteSource } from './byte-source.js';
import { type ElfSegment, PAGE_BYTES, PF_W, PT_LOAD, readSegments } from './elf-headers.js';
import type { ReadMemory } from './process-memory.js';

/** So much of the file's beginning, with the names of what it exports, is kept for when it is unmapped. */
const MOST_COPIED_BYTES = 4 << 20;
/** The sizes are the process's word. */
const MOST_READ_BYTES = 256 << 20;

/**
 * What a process has mapped of an ELF file that can't be had otherwise: one that was deleted, that never had a name, or
 * that the kernel made. Offsets are those of the file. What isn't mapped, such as the full symbol table, is not there.
 */
export class MemoryImage implements ByteSource {
  readonly bytes: number;
  readonly inode = 0;
  readonly sharedPath = null;
  readonly identity: string;
  readonly bias: number;
  readonly #segments: readonly ElfSegment[];
  readonly #head: Buffer;
  #copy: Buffer;

  /**
   * `head` is the runtime address of the file's first byte, `headBytes` how many are mapped there in one piece. Throws
   * `ElfError` where that is no ELF file.
   */
  constructor(
    readonly path: string,
    private readonly memory: ReadMemory,
    private readonly head: number,
    headBytes: number,
  ) {
    this.bytes = headBytes;
    this.bias = head;
    this.#segments = [];
    this.#copy = Buffer.alloc(0);
    this.#head = this.#readAt(head, Math.min(headBytes, PAGE_BYTES));
    this.#copy = this.#head;
    this.#segments = readSegments(this)
      .segments.filter(({ type, fileBytes }) => type === PT_LOAD && fileBytes > 0)
      .map(wholePages);
    const first = this.#segments.find(({ offset }) => offset === 0);
    if (first === undefined) throw new ElfError('elf/malformed', `${path}: its header is not mapped`);
    this.bias = head - first.address;
    this.bytes = Math.max(...this.#segments.map(({ offset, fileBytes }) => offset + fileBytes));
    this.identity = `memory:${head}:${createHash('sha256').update(this.#head).digest('hex')}`;
    const copied = Math.min(first.fileBytes, headBytes, MOST_COPIED_BYTES);
    if (copied > this.#head.length) this.#copy = this.#readAt(head, copied);
  }

  read(offset: number, length: number): Buffer {
    if (!(offset >= 0 && length >= 0 && offset + length <= this.bytes)) throw this.#notMapped(offset, length);
    if (offset + length <= this.#copy.length)
      return Buffer.from(this.#copy.subarray(offset, offset + length));
    const segment = this.#segmentOf(offset);
    if (segment === undefined || offset + length > segment.offset + segment.fileBytes) {
      throw this.#notMapped(offset, length);
    }
    const address = offset - segment.offset + segment.address + this.bias;
    const bytes = this.#readAt(address, length);
    // Asked for late: something else may be mapped there by now.
    if (!this.#readAt(this.head, this.#head.length).equals(this.#head)) {
      throw new ElfError('elf/gone', `${this.path}: is no longer mapped`);
    }
    return bytes;
  }

  readUpTo(offset: number, length: number): Buffer {
    const segment = this.#segmentOf(offset);
    const end = segment === undefined ? this.bytes : segment.offset + segment.fileBytes;
    return this.read(offset, Math.max(0, Math.min(length, end - offset)));
  }

  park(): void {}

  #segmentOf(at: number): ElfSegment | undefined {
    return this.#segments.find(({ offset, fileBytes }) => at >= offset && at < offset + fileBytes);
  }

  #readAt(address: number, length: number): Buffer {
    if (length > MOST_READ_BYTES)
      throw new ElfError('elf/too-large', `${this.path}: ${length} bytes to read`);
    const bytes = this.memory(address, length);
    if (bytes === null)
      throw new ElfError('elf/gone', `${this.path}: its memory can't be read, or not any more`);
    return bytes;
  }

  #notMapped(offset: number, length: number): ElfError {
    return new ElfError(
      'elf/truncated',
      `${this.path}: ${length} bytes at ${offset} are not in the process's memory`,
    );
  }
}

/** What of the file lies behind a segment in its last page is mapped with it; in writable ones it is overwritten. */
function wholePages(segment: ElfSegment): ElfSegment {
  if ((segment.flags & PF_W) !== 0) return segment;
  const end = Math.ceil((segment.offset + segment.fileBytes) / PAGE_BYTES) * PAGE_BYTES;
  return { ...segment, fileBytes: end - segment.offset };
}
