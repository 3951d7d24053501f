import type { StackFrame } from '../drain/stacks.js';
import type { Frame } from '../symbolize/frame.js';

export interface Described {
  /** Leaf first: one address may stand for several inlined calls. */
  frames: readonly Frame[];
  /** Its module is known: it is described the same way until more lines are known. */
  isKnown: boolean;
}

interface Kept {
  frames: readonly Frame[];
  linesVersion: number;
}

/** An engine that makes code may go through any number of addresses. */
const MOST_FRAMES = 200_000;

/**
 * Describes each address once: the stacks of a heap are made of a few thousand addresses, a hundred times over. The
 * frames are shared by all stacks that ask; nobody changes them.
 */
export class DescribedFrames {
  /** By generation, then by address; Python's by function, then by line. */
  readonly #known = new Map<number, Map<number, Kept>>();
  #count = 0;

  /** What was described before lines of source were known is described anew: `linesVersion` says how many are. */
  of(
    { address, exact, generation, python }: StackFrame,
    linesVersion: number,
    describe: () => Described,
  ): readonly Frame[] {
    const group = python === undefined ? generation : -1 - python.code;
    const key = python === undefined ? 2 * address + Number(exact) : python.line;
    const kept = this.#known.get(group)?.get(key);
    if (kept?.linesVersion === linesVersion) return kept.frames;
    const { frames, isKnown } = describe();
    if (kept !== undefined && isKnown) Object.assign(kept, { frames, linesVersion });
    else if (isKnown) this.#keep(group, key, { frames, linesVersion });
    return frames;
  }

  #keep(group: number, key: number, kept: Kept): void {
    if (this.#count === MOST_FRAMES) {
      this.#known.clear();
      this.#count = 0;
    }
    let frames = this.#known.get(group);
    if (frames === undefined) {
      frames = new Map();
      this.#known.set(group, frames);
    }
    frames.set(key, kept);
    this.#count++;
  }
}
