import { askTargetAtOnce } from '../drain/request.js';
import { layout } from '../wire/addon.js';
import type { Channel } from '../wire/channel.js';
import { OffheapError } from '../wire/error.js';

/** A request brings two dozen sizes. Blocks beyond what so many bring are few, and their slack is a small part of them. */
const MOST_REQUESTS = 8;

/** The sizes in which a program's allocator hands out blocks. They never change: each is asked for once. */
export class AllocatorSizeClasses {
  readonly #classes: number[] = [];
  #requests = 0;

  constructor(private readonly channel: Channel) {}

  /** Rising, from the smallest on; those that are known by now where no thread answers within `limitMs`. */
  ask(limitMs: number): readonly number[] {
    while (this.#requests < MOST_REQUESTS && this.#askForMore(limitMs));
    return this.#classes;
  }

  /** False where there are no more for now. */
  #askForMore(limitMs: number): boolean {
    try {
      const from = (this.#classes.at(-1) ?? 0) + 1;
      const answer = askTargetAtOnce(this.channel, 'size classes', limitMs, from);
      if (answer === undefined) return false;
      this.#requests++;
      const by = layout.enumerations.sizeRoundings[answer.answerSource];
      const isTold = answer.answer === 'done' && by !== undefined && by !== 'nothing';
      const isWhole = isTold && this.#add(answer.answerValues, by === 'mi_good_size');
      if (!isWhole) this.#requests = MOST_REQUESTS;
      return isWhole;
    } catch (error) {
      // The channel says elsewhere what is the matter with it.
      if (error instanceof OffheapError) return false;
      throw error;
    }
  }

  /** False behind the last one. */
  #add(sizes: readonly number[], untilStepsShrink: boolean): boolean {
    for (const size of sizes) {
      const [before = 0, last = 0] = this.#classes.slice(-2);
      if (!(size > last)) return false;
      // mimalloc's function rounds larger sizes to pages, where its blocks are larger than that.
      if (untilStepsShrink && this.#classes.length > 1 && size - last < last - before) return false;
      this.#classes.push(size);
    }
    return true;
  }
}
