import type { SourceLines } from '../symbolize/lines/source-lines.js';
import type { Symbolizer } from '../symbolize/symbols.js';
import { OffheapError } from '../wire/error.js';
import { bringInStep } from './in-step.js';
import { learnCode } from './learn-code.js';
import type { ProcessFacts } from './process-facts.js';
import { Program } from './program.js';
import { ProcessRecording, type RecordingOptions } from './recording.js';

export interface ProgramsOptions {
  recording: RecordingOptions;
  symbolizer: Symbolizer;
  lines: SourceLines;
  /** Events were lost or can't be read. */
  onGap: (reason: string) => void;
}

/** What one process runs, a program after the other, each with a channel of its own. */
export class Programs {
  #present: Program | undefined;
  /** The present one's and, after exec, those before it: children that were forked from them still ask for their stacks. */
  #recordings: ProcessRecording[] = [];

  constructor(
    private readonly facts: ProcessFacts,
    private readonly options: ProgramsOptions,
  ) {}

  get present(): Program | undefined {
    return this.#present;
  }

  /** What is open, the present one last. */
  get recordings(): readonly ProcessRecording[] {
    return this.#recordings;
  }

  /** Everything that the present program recorded was read. */
  get ended(): boolean {
    return this.#present?.recording.drain.ended ?? true;
  }

  /** Opens the channel of the program that the process runs now; the one before it is read to its end. */
  follow(channelPath: string): Program {
    this.#finishReplaced();
    const { facts, options } = this;
    const recording = new ProcessRecording(channelPath, options.recording);
    facts.describe(recording.header, recording.drain.channel.command());
    this.#present = new Program(recording, {
      symbolizer: options.symbolizer,
      lines: options.lines,
      pid: facts.pid,
      path: facts.programPath(),
      isRunning: facts.isRunning(),
      readMappings: () => void this.poll(),
    });
    this.#recordings.push(recording);
    if (recording.lacksHistory) learnCode(recording, facts.pid);
    return this.#present;
  }

  /** Takes in what the target has recorded; returns the number of events. */
  poll(): number {
    const recording = this.#present?.recording;
    if (recording === undefined || recording.drain.ended) return 0;
    const { events, lost } = recording.drain.poll(recording);
    if (lost > 0) this.options.onGap(`${lost} events were lost`);
    recording.witness?.listen();
    if (events === 0) recording.catchUp();
    if (recording.outOfStep && this.facts.isRunning()) bringInStep(recording, this.facts.pid);
    return events;
  }

  /** The target writes no more: takes in all that it left. */
  finish(): void {
    this.#present?.recording.drain.finish();
    this.#present?.heap.finish();
    // The ring may hold more than one poll takes.
    while (this.poll() > 0);
  }

  /** Closes what stood before an exec. */
  closeReplaced(recording: ProcessRecording): void {
    recording.close();
    this.#recordings = this.#recordings.filter((each) => each !== recording);
  }

  close(): void {
    // The heap is read under the claim that the recording holds.
    this.#present?.heap.close();
    for (const recording of this.#recordings) recording.close();
  }

  /** Closes all and keeps nothing of it; returns the recordings. */
  drop(): ProcessRecording[] {
    this.close();
    const closed = this.#recordings;
    this.#recordings = [];
    this.#present = undefined;
    return closed;
  }

  /** The forks in the program before an exec are where its children start from. */
  #finishReplaced(): void {
    try {
      this.finish();
    } catch (error) {
      if (!(error instanceof OffheapError)) throw error;
      this.options.onGap(error.message);
    }
    this.#present?.heap.close();
  }
}
