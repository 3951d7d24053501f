import { closeSync, openSync, readSync } from 'node:fs';

/** Reads the memory of one process. */
export type ReadMemory = (address: number, length: number) => Buffer | null;

/**
 * `length` bytes at a runtime address of a process; null where they aren't all mapped, the process is gone, or reading
 * it is refused.
 */
export function readProcessMemory(pid: number, address: number, length: number): Buffer | null {
  let descriptor: number;
  try {
    descriptor = openSync(`/proc/${pid}/mem`, 'r');
  } catch {
    return null;
  }
  try {
    const buffer = Buffer.allocUnsafe(length);
    for (let done = 0; done < length; ) {
      const count = readSync(descriptor, buffer, done, length - done, address + done);
      if (count === 0) return null;
      done += count;
    }
    return buffer;
  } catch {
    return null;
  } finally {
    closeSync(descriptor);
  }
}
