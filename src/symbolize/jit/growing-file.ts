import { closeSync, constants, fstatSync, openSync, readSync, type Stats, statSync } from 'node:fs';

export interface GrowingFileOptions {
  /** For people: as its writer calls it. */
  name: string;
  /** Where we find it now; null: nowhere. */
  path: () => string | null;
  /** Whether a file that belongs to this user may be believed. */
  isOwner: (uid: number) => boolean;
  /** Older files are left from somebody else. Milliseconds since 1970. */
  notBeforeMs: number;
}

/** What came since the last time. */
export interface Growth {
  /** From the first byte that the reader has not yet taken. */
  bytes: Buffer;
  /** Where `bytes` begins in the file. */
  offset: number;
  /** What was read before is void: the file begins anew. */
  isAnew: boolean;
}

/** Enough to tell a file that was written anew from one that grew. */
const PROOF_BYTES = 256;
/** Beyond what the kernel's coarse clock may lag behind. */
const CLOCK_MS = 1000;

/**
 * A file that another process writes while we read it: opened when it appears, read as it grows, from its begin where
 * it was replaced or written anew. It is held open, since it may be deleted, or its mount namespace end, with the process.
 */
export class GrowingFile {
  /** Why there is a file that can't be read; null where all is well, or nothing there. */
  problem: string | null = null;
  #descriptor: number | null = null;
  #identity = '';
  #modifiedMs = 0;
  #size = 0;
  /** Up to here it was taken. */
  #taken = 0;
  /** The file's first bytes, and the last ones that were taken. */
  #head: Buffer = Buffer.alloc(0);
  #tail: Buffer = Buffer.alloc(0);

  constructor(private readonly options: GrowingFileOptions) {}

  get isOpen(): boolean {
    return this.#descriptor !== null;
  }

  /** Bytes that the reader has not taken. */
  get behind(): number {
    return this.#size - this.#taken;
  }

  /** Up to `most` bytes that the reader has not taken; null where there are none. */
  read(most: number): Growth | null {
    let isAnew = this.#follow();
    if (this.#descriptor === null) return null;
    const { size, mtimeMs } = fstatSync(this.#descriptor);
    if (size === this.#size && mtimeMs === this.#modifiedMs && this.behind === 0 && !isAnew) return null;
    if (!isAnew && (size < this.#taken || (mtimeMs !== this.#modifiedMs && !this.#isAsTaken()))) {
      isAnew = true;
      this.#taken = 0;
    }
    this.#size = size;
    this.#modifiedMs = mtimeMs;
    const bytes = this.#bytes(this.#taken, Math.min(most, size - this.#taken));
    return { bytes, offset: this.#taken, isAnew };
  }

  /** Bytes from anywhere in the file, as many as there are. */
  bytesAt(offset: number, length: number): Buffer {
    return this.#descriptor === null ? Buffer.alloc(0) : this.#bytes(offset, length);
  }

  /** The reader has understood the first `count` of the bytes that it got. */
  take(count: number): void {
    this.#taken += count;
    this.#head = this.bytesAt(0, Math.min(PROOF_BYTES, this.#taken));
    this.#tail = this.bytesAt(this.#taken - this.#head.length, this.#head.length);
  }

  close(): void {
    if (this.#descriptor !== null) closeSync(this.#descriptor);
    this.#descriptor = null;
  }

  /** Opens what the path leads to, if that is another file than before; whether it is. */
  #follow(): boolean {
    const path = this.options.path();
    if (path === null) return false;
    let there: Stats | undefined;
    try {
      there = statSync(path, { throwIfNoEntry: false });
    } catch {
      return false;
    }
    if (there === undefined) return false;
    const identity = `${there.dev}:${there.ino}`;
    if (identity === this.#identity) return false;
    const descriptor = this.#open(path);
    if (descriptor === null) return false;
    this.close();
    this.#descriptor = descriptor;
    this.#identity = identity;
    this.#taken = 0;
    this.#size = 0;
    this.#modifiedMs = 0;
    return true;
  }

  #open(path: string): number | null {
    let descriptor: number;
    try {
      // Neither a link that leads elsewhere nor a FIFO that waits for its writer.
      const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;
      descriptor = openSync(path, flags);
    } catch (error) {
      this.problem = `${this.options.name} can't be read: ${(error as NodeJS.ErrnoException).code}`;
      return null;
    }
    const stat = fstatSync(descriptor);
    this.problem = this.#objection(stat);
    if (this.problem === null) return descriptor;
    closeSync(descriptor);
    return null;
  }

  #objection(stat: Stats): string | null {
    const { name, isOwner, notBeforeMs } = this.options;
    if (!stat.isFile()) return `${name} is no regular file`;
    if (!isOwner(stat.uid)) {
      return `${name} belongs to user ${stat.uid}, not to the process's: not believed`;
    }
    if (stat.mtimeMs < notBeforeMs - CLOCK_MS) {
      return `${name} is older than the process: not believed`;
    }
    return null;
  }

  #isAsTaken(): boolean {
    const { length } = this.#head;
    return (
      this.#bytes(0, length).equals(this.#head) &&
      this.#bytes(this.#taken - length, length).equals(this.#tail)
    );
  }

  #bytes(offset: number, length: number): Buffer {
    const buffer = Buffer.allocUnsafe(length);
    let done = 0;
    while (done < length) {
      const count = readSync(this.#descriptor!, buffer, done, length - done, offset + done);
      // It may shrink while it is read.
      if (count === 0) break;
      done += count;
    }
    return buffer.subarray(0, done);
  }
}
