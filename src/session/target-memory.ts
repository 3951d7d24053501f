import { closeSync, openSync, readSync } from 'node:fs';
import { readOptional } from '../drain/optional-file.js';

/** A process's memory, read from outside. What is not there, or not for us to read, is null. */
export class TargetMemory {
  readonly #file: number | null;

  private constructor(file: number | null) {
    this.#file = file;
  }

  static during<T>(pid: number, use: (memory: TargetMemory) => T): T {
    const file = readOptional(`/proc/${pid}/mem`, (path) => openSync(path, 'r')) ?? null;
    try {
      return use(new TargetMemory(file));
    } finally {
      if (file !== null) closeSync(file);
    }
  }

  /** Up to `bytes` from `address`. */
  read(address: number, bytes: number): Buffer | null {
    if (this.#file === null || !Number.isSafeInteger(address) || address < 0) return null;
    const buffer = Buffer.alloc(bytes);
    try {
      return buffer.subarray(0, readSync(this.#file, buffer, 0, bytes, address));
    } catch {
      // Unmapped by now, or the process is gone.
      return null;
    }
  }

  pointer(address: number): number | null {
    const bytes = this.read(address, 8);
    return bytes?.length === 8 ? Number(bytes.readBigUInt64LE()) : null;
  }
}
