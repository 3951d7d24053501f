/** What a stack's frames say depends on the time where engines put other code to the same addresses. */
export interface Variant {
  /** What tells it from others: the changing frames, as text. */
  key: string;
  /** A moment at which the stack says that. */
  timeNs: number;
}

/** Variants that a stack's number has room for. */
export const MOST_VARIANTS = 31;

/** The variants of stacks that have been met, by the stack's number. */
export class StackVariants {
  readonly #variants = new Map<number, Variant[]>();

  /** The number of the variant with that key, 0 for the first; the last one where there are too many. */
  intern(stack: number, variant: Variant): number {
    let variants = this.#variants.get(stack);
    if (variants === undefined) {
      variants = [];
      this.#variants.set(stack, variants);
    }
    const known = variants.findIndex(({ key }) => key === variant.key);
    if (known >= 0) return known;
    if (variants.length === MOST_VARIANTS) return MOST_VARIANTS - 1;
    return variants.push(variant) - 1;
  }

  timeNs(stack: number, variant: number): number | undefined {
    return this.#variants.get(stack)?.[variant]?.timeNs;
  }
}
