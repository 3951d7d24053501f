import { roundUp } from './memory-abi.js';

/** The end of the heap that brk moves. */
export class ProgramBreak {
  readonly #pageBytes: number;
  #address: number;
  #lowest: number;

  /** `address` is -1 while it is unknown; `lowest` is where it was first seen: the kernel refuses to go below that. */
  constructor(pageBytes: number, address = -1, lowest = -1) {
    this.#pageBytes = pageBytes;
    this.#address = address;
    this.#lowest = lowest;
  }

  get address(): number {
    return this.#address;
  }

  get lowest(): number {
    return this.#lowest;
  }

  get isKnown(): boolean {
    return this.#address >= 0;
  }

  /** It is seen for the first time. */
  found(address: number, lowest = address): void {
    this.#address = address;
    this.#lowest = lowest;
  }

  /** A call that lowered it turns out to have failed. */
  putBack(address: number): void {
    this.#address = address;
  }

  /** The pages that come by raising it; empty where they are there already. */
  raise(address: number): { start: number; end: number } {
    const pages = this.#pagesBetween(this.#address, address);
    this.#address = address;
    return pages;
  }

  /** The pages that go by lowering it, and where it was; undefined where the kernel would leave it. */
  lower(address: number): { start: number; end: number; before: number } | undefined {
    const before = this.#address;
    if (!(address >= this.#lowest) || address >= before || address <= 0) return undefined;
    this.#address = address;
    return { ...this.#pagesBetween(address, before), before };
  }

  #pagesBetween(low: number, high: number): { start: number; end: number } {
    return { start: roundUp(low, this.#pageBytes), end: roundUp(high, this.#pageBytes) };
  }
}
