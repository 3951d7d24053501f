import type { StackFrame } from '../drain/stacks.js';
import type { AttributionFrame } from '../ledger/attribution.js';
import type { Module } from '../modules/table.js';
import { describeFrame, type Frame } from '../symbolize/frame.js';
import type { Symbolizer } from '../symbolize/symbols.js';
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
    return Array.from(this.#resolve(number % ANCESTOR_STEP, ancestor), ({ frame, module }) =>
      describeFrame(this.#symbolizer, module, frame.address, frame.exact),
    );
  }

  *#resolve(node: number, ancestor: number): Generator<{ frame: StackFrame; module: Module | null }> {
    let recording: ProcessRecording | undefined = this.#recording;
    for (let step = 0; step < ancestor; step++) recording = recording?.parent;
    if (recording === undefined) return;
    const { modules, drain } = recording;
    for (const frame of drain.stacks.frames(node)) {
      // A return address may be the first byte behind its module's code.
      const module = modules.find(frame.exact ? frame.address : frame.address - 1, frame.generation);
      yield { frame, module };
    }
  }
}
