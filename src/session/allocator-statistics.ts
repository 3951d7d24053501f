import type { ToldStatistics } from '../account/allocators/told.js';
import { runNs } from '../account/thread-stacks.js';
import { askTargetAtOnce } from '../drain/request.js';
import { layout } from '../wire/addon.js';
import type { Channel } from '../wire/channel.js';
import { OffheapError } from '../wire/error.js';

/** Who has run no longer than this since then has not changed its heap by what would show. */
const ASLEEP_NS = 1e6;

/** Asks a program's allocator what it counts, and remembers what it said while the program sleeps. */
export class AllocatorStatistics {
  #last: { told: ToldStatistics; ranNs: number | undefined } | undefined;

  constructor(
    private readonly channel: Channel,
    private readonly pid: number,
  ) {}

  /**
   * A program that works calls its allocator all the time; `limitMs` is for one that sleeps. Undefined where it does not tell
   * how things are now.
   */
  ask(limitMs: number): ToldStatistics | undefined {
    const told = this.#ask(limitMs);
    const ranNs = runNs(this.pid);
    if (told !== undefined) {
      this.#last = { told, ranNs };
      return told;
    }
    const slept = ranNs !== undefined && ranNs - (this.#last?.ranNs ?? Number.NEGATIVE_INFINITY) < ASLEEP_NS;
    return slept ? this.#last?.told : undefined;
  }

  #ask(limitMs: number): ToldStatistics | undefined {
    try {
      const answer = askTargetAtOnce(this.channel, 'statistics', limitMs);
      if (answer?.answer !== 'done') return undefined;
      const source = layout.enumerations.statisticsSources[answer.answerSource];
      if (source !== 'jemalloc' && source !== 'tcmalloc') return undefined;
      const names = layout.enumerations[`${source}Statistics`];
      return { source, values: new Map(names.map((name, index) => [name, answer.answerValues[index] ?? 0])) };
    } catch (error) {
      // The channel says elsewhere what is the matter with it.
      if (error instanceof OffheapError) return undefined;
      throw error;
    }
  }
}
