import { closeSync, constants, fstatSync, openSync, readSync, statSync } from 'node:fs';
import type { ByteSource } from './byte-source.js';

export type ElfErrorCode =
  | 'elf/gone'
  | 'elf/unreadable'
  | 'elf/not-elf'
  | 'elf/unsupported'
  | 'elf/truncated'
  | 'elf/malformed'
  | 'elf/too-large'
  | 'elf/replaced';

/** Why a file can't serve as a module's ELF file. `code` is stable, the message is one line for people. */
export class ElfError extends Error {
  override readonly name = 'ElfError';
  constructor(
    readonly code: ElfErrorCode,
    message: string,
  ) {
    super(message);
  }
}

/**
 * Reads parts of a regular file, never beyond its end. The descriptor is held open, since the file may be deleted or
 * its mount namespace end with the target. Parked, it is opened anew for each read. One that was written to since it
 * was opened first is refused, since what was read of it before may no longer fit.
 */
export class BoundedFile implements ByteSource {
  readonly bytes: number;
  readonly inode: number;
  readonly identity: string;
  /** When it was last written to: milliseconds since 1970. */
  readonly modifiedMs: number;
  readonly bias = 0;
  #path: string;
  #descriptor: number | null;

  /** Throws `ElfError` when `path` can't be opened or isn't a regular file. */
  constructor(path: string) {
    const opened = openRegular(path);
    this.#path = path;
    this.#descriptor = opened.descriptor;
    this.bytes = opened.bytes;
    this.inode = opened.inode;
    this.identity = opened.identity;
    this.modifiedMs = opened.modifiedMs;
  }

  get path(): string {
    return this.#path;
  }

  /** Also where the target has deleted it. */
  get sharedPath(): string {
    return this.#descriptor === null ? this.#path : `/proc/${process.pid}/fd/${this.#descriptor}`;
  }

  /** `length` bytes from `offset`; throws `ElfError` where the file doesn't hold them. */
  read(offset: number, length: number): Buffer {
    if (!(offset >= 0 && length >= 0 && offset + length <= this.bytes)) {
      throw new ElfError(
        'elf/truncated',
        `${this.path}: ${length} bytes at ${offset} lie beyond the file's end`,
      );
    }
    const buffer = Buffer.allocUnsafe(length);
    if (this.#descriptor !== null) {
      if (stateOf(this.#descriptor).identity !== this.identity) throw this.#replaced('written to');
      this.#fill(this.#descriptor, buffer, offset);
      return buffer;
    }
    const opened = openRegular(this.path);
    try {
      if (opened.identity !== this.identity) throw this.#replaced('replaced by another file');
      this.#fill(opened.descriptor, buffer, offset);
    } finally {
      closeSync(opened.descriptor);
    }
    return buffer;
  }

  /** As `read`, but no more than the file holds. */
  readUpTo(offset: number, length: number): Buffer {
    return this.read(offset, Math.max(0, Math.min(length, this.bytes - offset)));
  }

  park(): void {
    if (this.#descriptor !== null) closeSync(this.#descriptor);
    this.#descriptor = null;
  }

  /** Goes on with the descriptor and path of `other`, another opening of this file, which ends. */
  takeOver(other: BoundedFile): void {
    this.park();
    this.#descriptor = other.#descriptor;
    this.#path = other.#path;
    other.#descriptor = null;
  }

  #replaced(how: string): ElfError {
    return new ElfError('elf/replaced', `${this.path}: ${how} since it was mapped`);
  }

  #fill(descriptor: number, buffer: Buffer, offset: number): void {
    for (let done = 0; done < buffer.length; ) {
      let count: number;
      try {
        count = readSync(descriptor, buffer, done, buffer.length - done, offset + done);
      } catch (error) {
        throw new ElfError('elf/unreadable', `${this.path}: ${(error as Error).message}`);
      }
      // The file may have shrunk since it was opened.
      if (count === 0) throw new ElfError('elf/truncated', `${this.path}: shrank while it was read`);
      done += count;
    }
  }
}

function openRegular(path: string) {
  let descriptor: number;
  try {
    // Opening alone has effects on some devices (a watchdog reboots), and the path is the target's word.
    if (!statSync(path).isFile()) throw new ElfError('elf/not-elf', `${path}: not a regular file`);
    // Without O_NONBLOCK, opening a FIFO that stands in the file's place would wait for its writer for ever.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    if (error instanceof ElfError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    throw new ElfError(code === 'ENOENT' || code === 'ENOTDIR' ? 'elf/gone' : 'elf/unreadable', message);
  }
  const state = stateOf(descriptor);
  if (!state.isFile) {
    closeSync(descriptor);
    throw new ElfError('elf/not-elf', `${path}: not a regular file`);
  }
  return { descriptor, ...state };
}

function stateOf(descriptor: number) {
  const stat = fstatSync(descriptor, { bigint: true });
  return {
    isFile: stat.isFile(),
    bytes: Number(stat.size),
    inode: Number(stat.ino),
    identity: `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}`,
    modifiedMs: Number(stat.mtimeNs / 1000n) / 1000,
  };
}
