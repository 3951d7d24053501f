import type { StackFrame } from '../drain/stacks.js';
import type { AttributionFrame } from '../ledger/attribution.js';
import type { Module } from '../modules/table.js';
import { describeFrame, type Frame } from '../symbolize/frame.js';
import type { Symbolizer } from '../symbolize/symbols.js';
import { type Described, DescribedFrames } from './described-frames.js';
import type { ProcessRecording } from './recording.js';

/** Numbers of stacks in snapshots: a node of the process's own tree, or of the tree of a process it was forked from. */
const ANCESTOR_STEP = 2 ** 32;

export function stackNumber(node: number, ancestor: number): number {
  return node === 0 ? 0 : node + ancestor * ANCESTOR_STEP;
}

/** What the addresses of a recording's stacks mean. */
export class CodeMap {
  readonly #recording: ProcessRecording;
  readonly #symbolizer: Symbolizer;
  readonly #frames = new WeakMap<ProcessRecording, DescribedFrames>();

  constructor(recording: ProcessRecording, symbolizer: Symbolizer) {
    this.#recording = recording;
    this.#symbolizer = symbolizer;
  }

  /** A stack for attribution, leaf first, read as far as it is asked for; functions are looked up only when asked for. */
  *attributionFrames(node: number, ancestor: number): Generator<AttributionFrame> {
    for (const { frame, module } of this.#resolve(node, ancestor)) {
      yield {
        module: module?.name ?? '[unknown]',
        path: module?.path ?? null,
        isProgram: module?.isProgram ?? false,
        functionName: () =>
          module === null
            ? null
            : (this.#symbolizer.function(module, frame.address, frame.exact)?.name ?? null),
      };
    }
  }

  /** A stack for reports, leaf first. */
  frames(number: number): Frame[] {
    const ancestor = Math.floor(number / ANCESTOR_STEP);
    const recording = this.#recordingOf(ancestor);
    if (recording === undefined) return [];
    const described = this.#described(recording);
    return recording.drain.stacks
      .frames(number % ANCESTOR_STEP)
      .map((frame) => described.of(frame, () => this.#describe(recording, frame)));
  }

  *#resolve(node: number, ancestor: number): Generator<{ frame: StackFrame; module: Module | null }> {
    const recording = this.#recordingOf(ancestor);
    if (recording === undefined) return;
    for (const frame of recording.drain.stacks.frames(node)) {
      yield { frame, module: moduleOf(recording, frame) };
    }
  }

  #recordingOf(ancestor: number): ProcessRecording | undefined {
    let recording: ProcessRecording | undefined = this.#recording;
    for (let step = 0; step < ancestor; step++) recording = recording?.parent;
    return recording;
  }

  #describe(recording: ProcessRecording, frame: StackFrame): Described {
    const module = moduleOf(recording, frame);
    const described = describeFrame(this.#symbolizer, module, frame.address, frame.exact);
    if (described.function === null) {
      const made = recording.jit.describe(inCode(frame), Number.POSITIVE_INFINITY);
      // Other code may come to stand there.
      if (made !== null) return { frame: { ...described, ...made }, isFinal: false };
      if (module?.elf === null) return { frame: described, isFinal: false };
    }
    // Code that nothing is known of may become known by an event that is still on its way.
    return { frame: described, isFinal: module !== null };
  }

  #described(recording: ProcessRecording): DescribedFrames {
    let described = this.#frames.get(recording);
    if (described === undefined) {
      described = new DescribedFrames();
      this.#frames.set(recording, described);
    }
    return described;
  }
}

function moduleOf({ modules }: ProcessRecording, frame: StackFrame): Module | null {
  return modules.find(inCode(frame), frame.generation);
}

/** A return address may be the first byte behind its module's code. */
function inCode({ address, exact }: StackFrame): number {
  return exact ? address : address - 1;
}
