import type { StackFrame } from '../drain/stacks.js';
import type { Frame } from '../symbolize/frame.js';

export interface Described {
  frame: Frame;
  /** It will be described the same way for ever. */
  isFinal: boolean;
}

/** An engine that makes code may go through any number of addresses. */
const MOST_FRAMES = 200_000;

/**
 * Describes each address once: the stacks of a heap are made of a few thousand addresses, a hundred times over. The
 * frames are shared by all stacks that ask; nobody changes them.
 */
export class DescribedFrames {
  /** By generation, then by address. */
  readonly #known = new Map<number, Map<number, Frame>>();
  #count = 0;

  of({ address, exact, generation }: StackFrame, describe: () => Described): Frame {
    const key = 2 * address + Number(exact);
    const known = this.#known.get(generation)?.get(key);
    if (known !== undefined) return known;
    const { frame, isFinal } = describe();
    if (isFinal) this.#keep(generation, key, frame);
    return frame;
  }

  #keep(generation: number, key: number, frame: Frame): void {
    if (this.#count === MOST_FRAMES) {
      this.#known.clear();
      this.#count = 0;
    }
    let frames = this.#known.get(generation);
    if (frames === undefined) {
      frames = new Map();
      this.#known.set(generation, frames);
    }
    frames.set(key, frame);
    this.#count++;
  }
}
