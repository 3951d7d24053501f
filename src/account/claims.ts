import type { Attribution } from '../ledger/attribution.js';

/** Somebody to whom ranges belong. */
export interface Holder extends Attribution {
  /** The range is a file's by the call that mapped it: the kernel's listing says which. */
  isFile: boolean;
}

/** The ledger's ranges as columns, by address and apart from one another: whose is what. */
export interface Claims {
  /** `[start, end, …]` */
  bounds: Float64Array;
  /** Positions in `holders`. */
  holderOf: Uint32Array;
  /** 1: mapped without any access. */
  reserved: Uint8Array;
  /** One number for all ranges that are left of the same mapping. */
  originOf: Float64Array;
  /** When it was mapped, in milliseconds since 1970. */
  mappedAtMs: Float64Array;
  holders: readonly Holder[];
}
