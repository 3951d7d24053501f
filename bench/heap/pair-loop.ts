import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Snapshot } from '../../src/report/schema.js';
import { buildTarget } from '../support/builds.js';
import { ChannelFolder } from '../support/channels.js';
import { Conversation } from '../support/conversation.js';
import { sleep } from '../support/processes.js';
import { isOurs, type Side, under } from './side.js';

/** So much the collector may lag: what is measured is never its pace. */
const DRAIN_PAUSE_MS = 30;

export interface Timed {
  /** CPU of the target's threads per pair. */
  ns: number;
  pairs: number;
}

/** `bench/targets/heap_pairs.c` at a stack depth, under one side, for as many measurements as are wanted. */
export class PairLoop {
  readonly #folder = new ChannelFolder();
  readonly #snapshot = join(this.#folder.path, 'snapshot.json');
  readonly #target: Conversation;
  #pairs = 0;

  constructor(
    readonly side: Side,
    frames: number,
  ) {
    const command = [buildTarget('heap_pairs', '-pthread'), String(frames)];
    const way = { snapshot: this.#snapshot };
    this.#target = new Conversation(under(side, command, this.#folder.path, way));
  }

  /** Makes pairs by one of the target's patterns; `crossed` makes twice as many. */
  async measure(pattern: string, count: number, levels = 0): Promise<Timed> {
    const [ns, pairs] = (await this.#target.ask(`${pattern} ${count} ${levels}`)).split(' ').map(Number);
    if (isOurs(this.side)) await sleep(DRAIN_PAUSE_MS);
    this.#pairs += pairs!;
    return { ns: ns!, pairs: pairs! };
  }

  /** Ends the target. Resolves with why its figures are none, or null: pairs that nobody recorded are cheap. */
  async end(): Promise<string | null> {
    try {
      await this.#target.end();
      return isOurs(this.side) ? whyInvalid(this.side, this.#pairs, this.#snapshot) : null;
    } finally {
      this.#folder.remove();
    }
  }
}

function whyInvalid(side: 'off' | 'sampled' | 'exact', pairs: number, snapshot: string): string | null {
  const { heap, completeness }: Snapshot = JSON.parse(readFileSync(snapshot, 'utf8'));
  if (heap.mode !== side) return `${side}: recorded as ${heap.mode} at the end`;
  if (completeness.heapEventsLost > 0) return `${side}: ${completeness.heapEventsLost} events were lost`;
  if (side === 'exact' && heap.allocations < pairs) {
    return `exact: the collector saw ${heap.allocations} of at least ${pairs} allocations`;
  }
  return null;
}
