import type { StackFrame } from '../drain/stacks.js';
import type { AttributionFrame } from '../ledger/attribution.js';
import type { Module } from '../modules/table.js';
import { describeFrames, type Frame } from '../symbolize/frame.js';
import { SourceLines } from '../symbolize/lines/source-lines.js';
import { describePythonFrame } from '../symbolize/python-frame.js';
import type { Symbolizer } from '../symbolize/symbols.js';
import { type Described, DescribedFrames } from './described-frames.js';
import { madeCode, madeCodeHasChanged } from './made-code.js';
import type { ProcessRecording } from './recording.js';
import { StackVariants } from './stack-variants.js';

/**
 * Numbers of stacks in snapshots: a node of the process's own tree, or of the tree of a process it was forked from; and which
 * of its variants, where its code has changed.
 */
const ANCESTOR_STEP = 2 ** 32;
const VARIANT_STEP = 2 ** 48;

/** Whoever waits for lines of source has waited long enough: what is still looked up comes with a later snapshot. */
const LINES_LIMIT_MS = 60_000;

export function stackNumber(node: number, ancestor: number): number {
  return node === 0 ? 0 : node + ancestor * ANCESTOR_STEP;
}

export interface StacksWithLines {
  /** By number. */
  stacks: Record<string, Frame[]>;
  /** Why frames have no lines that should have: one line each. */
  problems: string[];
}

/** By stack node, as it is with one version of what engines have told. */
interface ChangingCode {
  version: number;
  byNode: Map<number, readonly number[]>;
}

function nodeOf(stackNumber: number): number {
  return stackNumber % ANCESTOR_STEP;
}

function ancestorOf(stackNumber: number): number {
  return Math.floor((stackNumber % VARIANT_STEP) / ANCESTOR_STEP);
}

/** What the addresses of a recording's stacks mean. */
export class CodeMap {
  readonly #recording: ProcessRecording;
  readonly #symbolizer: Symbolizer;
  readonly #lines: SourceLines;
  readonly #frames = new WeakMap<ProcessRecording, DescribedFrames>();
  readonly #variants = new StackVariants();
  readonly #changing = new WeakMap<ProcessRecording, ChangingCode>();

  constructor(recording: ProcessRecording, symbolizer: Symbolizer, lines = new SourceLines()) {
    this.#recording = recording;
    this.#symbolizer = symbolizer;
    this.#lines = lines;
  }

  /** Why names have to be read anew by each collector. */
  get symbolsProblem(): string | undefined {
    return this.#symbolizer.cacheProblem ?? undefined;
  }

  /** A stack for attribution, leaf first, read as far as it is asked for; functions are looked up only when asked for. */
  *attributionFrames(node: number, ancestor: number): Generator<AttributionFrame> {
    for (const { frame, module } of this.#resolve(node, ancestor)) {
      // Memory belongs to the native code that asked for it.
      if (frame.python !== undefined) continue;
      yield {
        module: module?.name ?? '[unknown]',
        path: module?.path ?? null,
        isProgram: module?.isProgram ?? false,
        // The functions that matter are C's: names of other languages needn't be read for it.
        functionName: () =>
          module === null ? null : this.#symbolizer.rawName(module, frame.address, frame.exact),
      };
    }
  }

  /** The number of a stack as it was at a time, in nanoseconds since the start of the process that captured it. */
  numberAt(node: number, ancestor: number, timeNs: number): number {
    const number = stackNumber(node, ancestor);
    const recording = this.#recordingOf(ancestor);
    if (recording === undefined || recording.jit.isEmpty || number >= VARIANT_STEP) return number;
    const changing = this.#changingCode(recording, node);
    if (changing.length === 0) return number;
    const variantAt = (time: number) => {
      const key = changing.map((address) => JSON.stringify(madeCode(recording, address, time))).join();
      return this.#variants.intern(number, { key, timeNs: time });
    };
    // The first variant is the one that the stack's own number stands for.
    variantAt(Math.min(recording.nodeTimes.of(node), recording.nowNs));
    return number + variantAt(timeNs) * VARIANT_STEP;
  }

  /** A stack for reports, leaf first, with the lines of source that are known so far. */
  frames(number: number): Frame[] {
    const recording = this.#recordingOf(ancestorOf(number));
    if (recording === undefined) return [];
    const { version } = this.#lines;
    const frames = recording.drain.stacks.frames(nodeOf(number));
    const describe = this.#describer(recording, number, frames, version);
    return frames.flatMap((frame) => describe(frame, moduleOf(recording, frame)));
  }

  /** Stacks with the lines of source of their frames, which are looked up now; and what was in the way. */
  async withLines(numbers: readonly number[]): Promise<StacksWithLines> {
    // The channel may be closed by the time that the lines are known.
    const stacks = numbers.map((number) => ({
      number,
      frames: [...this.#resolve(nodeOf(number), ancestorOf(number))],
    }));
    const paths = new Set<string>();
    for (const { frames } of stacks) {
      for (const { module, frame } of frames) {
        if (module === null) continue;
        this.#lines.want(module, frame.exact ? frame.address : frame.address - 1);
        paths.add(module.path ?? module.name);
      }
    }
    const isWhole = await this.#lines.settled(LINES_LIMIT_MS);
    const { problems, version } = this.#lines;
    return {
      stacks: Object.fromEntries(
        stacks.map(({ number, frames }) => {
          const recording = this.#recordingOf(ancestorOf(number));
          if (recording === undefined) return [number, []];
          const each = frames.map(({ frame }) => frame);
          const describe = this.#describer(recording, number, each, version);
          return [number, frames.flatMap(({ frame, module }) => describe(frame, module))];
        }),
      ),
      problems: [
        ...(isWhole
          ? []
          : [`lines are missing: reading them took more than ${LINES_LIMIT_MS / 1000} seconds`]),
        ...[...paths]
          .filter((path) => problems.has(path))
          .map((path) => `no lines of ${path}: ${problems.get(path)}`),
      ],
    };
  }

  *#resolve(node: number, ancestor: number): Generator<{ frame: StackFrame; module: Module | null }> {
    const recording = this.#recordingOf(ancestor);
    if (recording === undefined) return;
    const { stacks, pythonCodes } = recording.drain;
    for (const frame of stacks.frames(node)) {
      // Known from here on, when the channel is closed too.
      if (frame.python !== undefined) pythonCodes.describe(frame.python.code);
      yield { frame, module: frame.python === undefined ? moduleOf(recording, frame) : null };
    }
  }

  #recordingOf(ancestor: number): ProcessRecording | undefined {
    let recording: ProcessRecording | undefined = this.#recording;
    for (let step = 0; step < ancestor; step++) recording = recording?.parent;
    return recording;
  }

  /** Addresses of a stack at which different code has stood. */
  #changingCode(recording: ProcessRecording, node: number): readonly number[] {
    let known = this.#changing.get(recording);
    if (known?.version !== recording.jit.version) {
      known = { version: recording.jit.version, byNode: new Map() };
      this.#changing.set(recording, known);
    }
    let addresses = known.byNode.get(node);
    if (addresses === undefined) {
      const frames = recording.drain.stacks.frames(node);
      addresses = frames.map(inCode).filter((address) => madeCodeHasChanged(recording, address));
      known.byNode.set(node, addresses);
    }
    return addresses;
  }

  /** What describes the frames of one stack. */
  #describer(
    recording: ProcessRecording,
    number: number,
    stack: readonly StackFrame[],
    linesVersion: number,
  ) {
    const described = this.#described(recording);
    const variant = Math.floor(number / VARIANT_STEP);
    const timeNs =
      this.#variants.timeNs(number % VARIANT_STEP, variant) ?? recording.nodeTimes.of(nodeOf(number));
    const hasPython = stack.some(({ python }) => python !== undefined);
    return (frame: StackFrame, module: Module | null): readonly Frame[] => {
      const frames = described.of(frame, linesVersion, () =>
        this.#describe(recording, frame, module, timeNs),
      );
      // With -X perf each function is called by a trampoline of its name, and would stand there twice.
      const isTold = hasPython && frame.python === undefined;
      return isTold ? frames.filter(({ language }) => language !== 'python') : frames;
    };
  }

  #describe(
    recording: ProcessRecording,
    frame: StackFrame,
    module: Module | null,
    timeNs: number,
  ): Described {
    const { address, exact, python } = frame;
    if (python !== undefined) {
      const code = recording.drain.pythonCodes.describe(python.code);
      return { frames: [describePythonFrame(code, python.line)], isKnown: true };
    }
    const frames = describeFrames(this.#symbolizer, this.#lines, module, address, exact);
    if (frames.length === 1 && frames[0]!.function === null) {
      const made = madeCode(recording, inCode(frame), timeNs);
      // Other code may come to stand there.
      const { unnamed: _, functionAddress: __, ...place } = frames[0]!;
      if (made !== null) return { frames: [{ ...place, ...made }], isKnown: false };
      if (module?.elf === null) return { frames, isKnown: false };
    }
    // Code that nothing is known of may become known by an event that is still on its way.
    return { frames, isKnown: module !== null };
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
