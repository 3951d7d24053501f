import type { MappedRange, ModuleTable, UnmappedRange } from '../modules/table.js';
import type { MappingEvent } from '../wire/event.js';

/** One change of the executable ranges, as it can be written to a checkpoint. */
export type ModuleLogEntry = { mapped: MappedRange } | { unmapped: UnmappedRange };

/** Engines that make and drop code all the time would fill the log; their ranges have no names to lose. */
const MOST_ENTRIES = 20_000;

/** Feeds the module table and keeps what it was fed, so that another collector can be told the same. */
export class ModuleLog {
  readonly entries: ModuleLogEntry[] = [];
  readonly #modules: ModuleTable;
  /** Bounds of all code seen: most releases lie outside, and are told so at once. */
  #low = Number.POSITIVE_INFINITY;
  #high = 0;
  #starts: number[] = [];
  #ends: number[] = [];

  constructor(modules: ModuleTable) {
    this.#modules = modules;
  }

  /** Whether some executable range overlaps. */
  covers(start: number, bytes: number): boolean {
    if (start >= this.#high || start + bytes <= this.#low) return false;
    const at = this.#firstEndingBehind(start);
    return at < this.#starts.length && this.#starts[at]! < start + bytes;
  }

  mapped(event: MappingEvent, start: number, bytes: number, fileOffset: number): void {
    if (this.covers(start, bytes)) this.unmapped(event, start, bytes);
    this.#add({
      mapped: {
        start,
        end: start + bytes,
        fileOffset,
        path: event.path,
        generation: event.generation,
        timeNs: event.timeNs,
        ...(event.operation === 'seed' ? { inode: event.extra } : {}),
      },
    });
  }

  unmapped(event: MappingEvent, start: number, bytes: number): void {
    this.#add({ unmapped: { start, end: start + bytes, generation: event.generation } });
  }

  replay(entries: readonly ModuleLogEntry[]): void {
    for (const entry of entries) this.#add(entry);
  }

  #add(entry: ModuleLogEntry): void {
    if (this.entries.length < MOST_ENTRIES) this.entries.push(entry);
    if ('unmapped' in entry) {
      this.#modules.unmapped(entry.unmapped);
      this.#remove(entry.unmapped.start, entry.unmapped.end);
      return;
    }
    const { start, end } = entry.mapped;
    this.#modules.mapped(entry.mapped);
    const at = this.#firstEndingBehind(start);
    this.#starts.splice(at, 0, start);
    this.#ends.splice(at, 0, end);
    this.#low = Math.min(this.#low, start);
    this.#high = Math.max(this.#high, end);
  }

  #remove(start: number, end: number): void {
    const starts: number[] = [];
    const ends: number[] = [];
    const keep = (from: number, to: number) => {
      if (from >= to) return;
      starts.push(from);
      ends.push(to);
    };
    for (const [index, from] of this.#starts.entries()) {
      const to = this.#ends[index]!;
      if (to <= start || from >= end) {
        keep(from, to);
      } else {
        keep(from, start);
        keep(end, to);
      }
    }
    this.#starts = starts;
    this.#ends = ends;
  }

  #firstEndingBehind(address: number): number {
    let low = 0;
    let high = this.#ends.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#ends[middle]! > address) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
