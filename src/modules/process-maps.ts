import { readFileSync } from 'node:fs';

export const DELETED_SUFFIX = ' (deleted)';

/** A line of /proc/PID/maps. Addresses and offsets are bytes. */
export interface MapsLine {
  start: number;
  end: number;
  offset: number;
  inode: number;
  /** Without " (deleted)". */
  path: string;
  deleted: boolean;
}

/** A program that loads and drops libraries by the thousand would otherwise be read anew for each. */
const KEPT_MS = 50;
const LINE = /^([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) \S+ (\d+) *(.*)$/;

/** What a process has mapped now, as its maps say. */
export class ProcessMaps {
  #lines: MapsLine[] = [];
  #readMs = Number.NEGATIVE_INFINITY;

  constructor(private readonly pid: number) {}

  /** The mapping that holds an address, or null; `fresh` asks for no answer from a moment ago. */
  at(address: number, fresh = false): MapsLine | null {
    this.#read(fresh);
    return this.#lines.find(({ start, end }) => start <= address && address < end) ?? null;
  }

  /** Where the same file's first byte is mapped, below or at `line`; null where it isn't. */
  headOf(line: MapsLine): MapsLine | null {
    const isHead = ({ offset, inode, path, start }: MapsLine) =>
      offset === 0 && inode === line.inode && path === line.path && start <= line.start;
    return this.#lines.findLast(isHead) ?? null;
  }

  /** The first mapping of a name. */
  find(path: string): MapsLine | null {
    this.#read(false);
    return this.#lines.find((line) => line.path === path) ?? null;
  }

  #read(fresh: boolean): void {
    if (!fresh && performance.now() - this.#readMs < KEPT_MS) return;
    this.#lines = [];
    let text = '';
    try {
      text = readFileSync(`/proc/${this.pid}/maps`, 'utf8');
    } catch {
      // The process is gone or not ours to read: nothing is known to be mapped.
    }
    for (const line of text.split('\n')) {
      const match = LINE.exec(line);
      if (match === null || match[5] === '') continue;
      const path = match[5]!.replaceAll('\\012', '\n');
      this.#lines.push({
        start: Number.parseInt(match[1]!, 16),
        end: Number.parseInt(match[2]!, 16),
        offset: Number.parseInt(match[3]!, 16),
        inode: Number(match[4]),
        path: withoutDeleted(path),
        deleted: path.endsWith(DELETED_SUFFIX),
      });
    }
    this.#readMs = performance.now();
  }
}

export function withoutDeleted(path: string): string {
  return path.endsWith(DELETED_SUFFIX) ? path.slice(0, -DELETED_SUFFIX.length) : path;
}
