/** What debug information says of one function at an address. */
export interface SourceFrame {
  /** As the linker knows it, mangled; null where unknown. */
  rawFunction: string | null;
  file: string | null;
  line: number | null;
}

/**
 * The functions at one address, leaf first: calls that were inlined, then the function that holds them all. Empty where
 * nothing is known.
 */
export type Chain = readonly SourceFrame[];

export const NO_CHAIN: Chain = [];
