import { OPERATIONS, type Operation } from '../wire/event.js';
import type { Origin } from './live-range.js';
import { MEMORY_CLASSES, type MemoryClass } from './memory-abi.js';

/** What an origin is beyond its numbers, packed into one integer by `packTraits`. */
export interface Traits {
  operation: Operation;
  class: MemoryClass;
  byProfiler: boolean;
  stackArea: boolean;
  growsDown: boolean;
  /** A System V attachment: shmdt finds its pieces by their base. */
  attachment: boolean;
  /** log2 of the huge page; 0 for ordinary pages. */
  hugePageShift: number;
}

const CLASS_SHIFT = 4;
const BY_PROFILER = 1 << 6;
const STACK_AREA = 1 << 7;
const GROWS_DOWN = 1 << 8;
const ATTACHMENT = 1 << 9;
const HUGE_SHIFT = 10;
export const TRAITS_LIMIT = 1 << 16;

const OPERATION_CODES = new Map(OPERATIONS.map((operation, code) => [operation, code]));

export function packTraits(traits: Traits): number {
  return (
    OPERATION_CODES.get(traits.operation)! |
    (MEMORY_CLASSES.indexOf(traits.class) << CLASS_SHIFT) |
    (traits.byProfiler ? BY_PROFILER : 0) |
    (traits.stackArea ? STACK_AREA : 0) |
    (traits.growsDown ? GROWS_DOWN : 0) |
    (traits.attachment ? ATTACHMENT : 0) |
    (traits.hugePageShift << HUGE_SHIFT)
  );
}

export function areValidTraits(traits: number): boolean {
  return (
    traits < TRAITS_LIMIT &&
    (traits & 15) < OPERATIONS.length &&
    ((traits >>> CLASS_SHIFT) & 3) < MEMORY_CLASSES.length
  );
}

/**
 * Origins by slot, in columns. A slot lives as long as bytes of it are held: by live ranges, or by ranges that a
 * running call took out and may give back.
 */
export class OriginTable {
  #sites = new Uint32Array(64);
  #threads = new Uint32Array(64);
  #traits = new Uint16Array(64);
  #ids = new Float64Array(64);
  #times = new Float64Array(64);
  #bytes = new Float64Array(64);
  #heldBytes = new Float64Array(64);
  /** Few origins have one; a column would cost each of them a pointer. */
  #paths = new Map<number, string>();
  #free: number[] = [];
  #used = 0;
  nextId = 1;

  /** How many slots there ever were at once. */
  get slotCount(): number {
    return this.#used;
  }

  /** A new origin that holds nothing yet. */
  add(
    site: number,
    threadId: number,
    timeNs: number,
    bytes: number,
    traits: number,
    path: string | null,
  ): number {
    return this.restore(this.nextId++, site, threadId, timeNs, bytes, traits, path);
  }

  restore(
    id: number,
    site: number,
    threadId: number,
    timeNs: number,
    bytes: number,
    traits: number,
    path: string | null,
  ): number {
    const slot = this.#free.pop() ?? this.#used++;
    if (slot >= this.#sites.length) this.#resize(slot * 2);
    this.#ids[slot] = id;
    this.#sites[slot] = site;
    this.#threads[slot] = threadId;
    this.#times[slot] = timeNs;
    this.#bytes[slot] = bytes;
    this.#traits[slot] = traits;
    this.#heldBytes[slot] = 0;
    if (path !== null) this.#paths.set(slot, path);
    return slot;
  }

  /** Changes what the slot holds; a slot that holds nothing any more is forgotten. */
  hold(slot: number, bytes: number): void {
    const held = this.#heldBytes[slot]! + bytes;
    this.#heldBytes[slot] = held;
    if (held > 0) return;
    this.#free.push(slot);
    if (this.#paths.size > 0) this.#paths.delete(slot);
  }

  /** Adds to the size of a mapping that grows at its end. */
  extend(slot: number, bytes: number): void {
    this.#bytes[slot]! += bytes;
  }

  id(slot: number): number {
    return this.#ids[slot]!;
  }

  timeNs(slot: number): number {
    return this.#times[slot]!;
  }

  site(slot: number): number {
    return this.#sites[slot]!;
  }

  traits(slot: number): number {
    return this.#traits[slot]!;
  }

  operation(slot: number): Operation {
    return OPERATIONS[this.#traits[slot]! & 15]!;
  }

  isFile(slot: number): boolean {
    return ((this.#traits[slot]! >>> CLASS_SHIFT) & 3) === 2;
  }

  isAttachment(slot: number): boolean {
    return (this.#traits[slot]! & ATTACHMENT) !== 0;
  }

  hugePageShift(slot: number): number {
    return this.#traits[slot]! >>> HUGE_SHIFT;
  }

  class(slot: number): MemoryClass {
    return MEMORY_CLASSES[(this.#traits[slot]! >>> CLASS_SHIFT) & 3]!;
  }

  bytes(slot: number): number {
    return this.#bytes[slot]!;
  }

  path(slot: number): string | null {
    return this.#paths.get(slot) ?? null;
  }

  /** The same mapping, made anew by mremap. */
  traitsAsRemapped(slot: number): number {
    return (this.#traits[slot]! & ~(15 | BY_PROFILER)) | OPERATION_CODES.get('mremap')!;
  }

  view(slot: number): Origin {
    const traits = this.#traits[slot]!;
    const operation = this.operation(slot);
    return {
      id: this.#ids[slot]!,
      site: this.#sites[slot]!,
      operation,
      threadId: this.#threads[slot]!,
      timeNs: this.#times[slot]!,
      bytes: this.#bytes[slot]!,
      class: this.class(slot),
      seeded: operation === 'seed',
      byProfiler: (traits & BY_PROFILER) !== 0,
      stackArea: (traits & STACK_AREA) !== 0,
      growsDown: (traits & GROWS_DOWN) !== 0,
      path: this.path(slot),
    };
  }

  clone(): OriginTable {
    const copy = new OriginTable();
    copy.#sites = this.#sites.slice();
    copy.#threads = this.#threads.slice();
    copy.#traits = this.#traits.slice();
    copy.#ids = this.#ids.slice();
    copy.#times = this.#times.slice();
    copy.#bytes = this.#bytes.slice();
    copy.#heldBytes = this.#heldBytes.slice();
    copy.#paths = new Map(this.#paths);
    copy.#free = this.#free.slice();
    copy.#used = this.#used;
    copy.nextId = this.nextId;
    return copy;
  }

  #resize(slots: number): void {
    this.#sites = grown(this.#sites, new Uint32Array(slots));
    this.#threads = grown(this.#threads, new Uint32Array(slots));
    this.#traits = grown(this.#traits, new Uint16Array(slots));
    this.#ids = grown(this.#ids, new Float64Array(slots));
    this.#times = grown(this.#times, new Float64Array(slots));
    this.#bytes = grown(this.#bytes, new Float64Array(slots));
    this.#heldBytes = grown(this.#heldBytes, new Float64Array(slots));
  }
}

function grown<T extends Uint16Array | Uint32Array | Float64Array>(column: T, larger: T): T {
  larger.set(column);
  return larger;
}
