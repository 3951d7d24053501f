import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { CodeMap, stackNumber } from '../src/session/code-map.js';
import { Symbolizer } from '../src/symbolize/symbols.js';
import { HeapChannel } from '../src/wire/heap.js';
import { buildC } from './support/build.js';
import { Recorder } from './support/recorded.js';
import { Running } from './support/running.js';

const BLOCKS = 1000;
const BLOCK_BYTES = 4000;
const MEAN_BYTES = 4096;
/** So far, at most, an estimate of a thousand blocks lies from the truth but once in a million times. */
const MOST_ERROR = 5 * Math.sqrt(BLOCKS / (Math.exp(BLOCK_BYTES / MEAN_BYTES) - 1));

/** test/targets/heap_phases.c under load, with its heap open. */
class Phases {
  readonly #running: Running;
  readonly #recorder: Recorder;
  readonly heap: HeapChannel;
  readonly #code: CodeMap;

  private constructor(running: Running, recorder: Recorder) {
    this.#running = running;
    this.#recorder = recorder;
    const { recording } = recorder.of(running.pid)[0]!;
    this.heap = new HeapChannel(recording.drain.channel.path);
    this.#code = new CodeMap(recording, new Symbolizer());
    this.heap.start();
  }

  static async start(mode: string): Promise<Phases> {
    const recorder = new Recorder();
    onTestFinished(() => recorder[Symbol.dispose]());
    const env = { ...recorder.environment(), OFFHEAP_HEAP: mode };
    const running = new Running(buildC('heap_phases'), [], { env });
    await running.line(/^READY$/);
    await expect.poll(() => recorder.of(running.pid).length, { interval: 5 }).toBeGreaterThan(0);
    return new Phases(running, recorder);
  }

  /** Has the main thread do it, while three others allocate. */
  async tell(command: string): Promise<void> {
    this.#running.write(`${command}\n`);
    await this.#running.line(new RegExp(`^kept ${command}$`));
  }

  /** Live blocks of a phase, as they are recorded. */
  live(phase: string): number {
    this.#recorder.poll();
    const { stack, liveAllocations } = this.heap.sites();
    return [...stack].reduce((sum, node, row) => {
      const functions = this.#code.frames(stackNumber(node, 0)).map((frame) => frame.function);
      return functions.includes(phase) ? sum + liveAllocations[row]! : sum;
    }, 0);
  }

  /** Why the recording is less than complete. */
  degraded(): readonly string[] {
    return this.#recorder.of(this.#running.pid)[0]!.recording.drain.channel.header().degraded;
  }

  async end(): Promise<number | null> {
    const { status, stderr } = await this.#running.end();
    expect(stderr).toBe('');
    this.#recorder.finish();
    this.heap.finish();
    return status;
  }
}

test('off, exact, sampled, exact, off: each counts what it should from its switch on, under load', async () => {
  const phases = await Phases.start('off');
  const { heap } = phases;
  await phases.tell('first');
  expect(phases.live('first')).toBe(0);

  heap.setMode('exact');
  await phases.tell('second');
  expect(phases.live('second')).toBe(BLOCKS);
  const unknownBefore = heap.totals().unknownFrees;
  // From before the recording: nobody knows them.
  await phases.tell('free first');
  expect(heap.totals().unknownFrees).toBeGreaterThanOrEqual(unknownBefore + BLOCKS);
  expect(phases.live('first')).toBe(0);

  const exact = heap.totals();
  heap.setMode('sampled', MEAN_BYTES);
  await phases.tell('third');
  const sampled = heap.totals();
  expect(sampled).toMatchObject({ mode: 'sampled', sampleBytes: MEAN_BYTES });
  expect(sampled.epoch).toBeGreaterThan(exact.epoch);
  // No longer followed, but said.
  expect(sampled.beforeAllocations).toBeGreaterThanOrEqual(BLOCKS);
  expect(sampled.beforeBytes).toBeGreaterThanOrEqual(BLOCKS * BLOCK_BYTES);
  expect(phases.live('second')).toBe(0);
  expect(Math.abs(phases.live('third') - BLOCKS)).toBeLessThan(MOST_ERROR);

  heap.setMode('exact');
  const third = phases.live('third');
  await phases.tell('fourth');
  expect(phases.live('fourth')).toBe(BLOCKS);
  expect(phases.live('third')).toBe(third);
  await phases.tell('free fourth');
  expect(phases.live('fourth')).toBe(0);
  // What was sampled is followed to its end.
  await phases.tell('free third');
  expect(phases.live('third')).toBe(0);
  await phases.tell('fourth');
  expect(phases.live('fourth')).toBe(BLOCKS);

  heap.setMode('off');
  const off = heap.totals();
  expect(off.liveAllocations).toBe(0);
  expect(off.beforeAllocations).toBeGreaterThanOrEqual(sampled.beforeAllocations + BLOCKS);
  await phases.tell('first');
  expect(phases.live('first')).toBe(0);

  heap.setMode('exact');
  await phases.tell('second');
  expect(phases.live('second')).toBe(BLOCKS);
  expect(await phases.end()).toBe(0);
  expect(heap.totals()).toMatchObject({ lost: 0, damaged: 0 });
  expect(phases.live('second')).toBe(BLOCKS);
});

test('switched a thousand times under load, nothing breaks, and the last mode counts right', async () => {
  // Until a collector reads, exact recording would wait for nobody.
  const phases = await Phases.start('off');
  const { heap } = phases;
  for (let i = 0; i < 1000; i++) {
    heap.setMode((['off', 'sampled', 'exact'] as const)[i % 3]!, 1 + ((i * 7919) % 100_000));
    if (i % 10 === 0) await sleep(1);
  }
  // Switched while the pool was full, sampling drops events, and counts them.
  heap.setMode('off');
  heap.drain();
  const { lost } = heap.totals();
  heap.setMode('exact');
  await phases.tell('first');
  expect(phases.live('first')).toBe(BLOCKS);
  await phases.tell('free first');
  expect(phases.live('first')).toBe(0);
  expect(await phases.end()).toBe(0);
  expect(heap.totals()).toMatchObject({ mode: 'exact', lost, damaged: 0 });
  // Exact recording has waited wherever it had to.
  expect(phases.degraded()).toEqual([]);
  // The threads that ran all the time have freed all that they had.
  expect(heap.totals().liveAllocations).toBeLessThan(50);
});
