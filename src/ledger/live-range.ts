import type { Operation } from '../wire/event.js';
import type { MemoryClass } from './memory-abi.js';

/** The call that mapped a range. Pieces that a range is later split into keep it; so does a range that mremap moves. */
export interface Origin {
  /** Unique in a ledger, rising with time. */
  readonly id: number;
  /** Number in the `SiteTable`. */
  readonly site: number;
  readonly operation: Operation;
  readonly threadId: number;
  /** Nanoseconds since the channel's start. */
  readonly timeNs: number;
  /** Size when it was mapped; what is left of it may be less. */
  readonly bytes: number;
  readonly class: MemoryClass;
  /** Mapped before the recording started. */
  readonly seeded: boolean;
  /** The shim's own. */
  readonly byProfiler: boolean;
  /** Mapped with MAP_STACK or MAP_GROWSDOWN. */
  readonly stackArea: boolean;
  /** MAP_GROWSDOWN: the kernel may extend the range downward without a call, so without an event. */
  readonly growsDown: boolean;
  /** The file, where the event named one. */
  readonly path: string | null;
}

/** Addresses `start` up to, not including, `end` are mapped; neighbours of one origin differ in protection. */
export interface LiveRange {
  readonly start: number;
  readonly end: number;
  readonly origin: Origin;
  /** PROT_READ 1 | PROT_WRITE 2 | PROT_EXEC 4; 0 is a mere reservation of addresses. */
  readonly protection: number;
}

/** Live ranges by address as columns: no object for each, for who looks at all of them often. */
export interface RangeColumns {
  /** `[start, end, …]` */
  bounds: Float64Array;
  protections: Uint8Array;
  /** Of the origins. */
  ids: Float64Array;
  sites: Uint32Array;
  timesNs: Float64Array;
  /** 1: a file's. */
  files: Uint8Array;
}
