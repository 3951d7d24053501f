import type { Snapshot } from '../../src/report/schema.js';
import { Attributions } from '../../src/session/attributions.js';
import { CodeMap, stackNumber } from '../../src/session/code-map.js';
import { ProcessFacts } from '../../src/session/process-facts.js';
import { ProcessRecording, type RecordingOptions } from '../../src/session/recording.js';
import { ResidencySampler } from '../../src/session/residency-sampler.js';
import { buildSnapshot } from '../../src/session/snapshot.js';
import { NO_VERDICTS } from '../../src/session/verdicts.js';
import type { Symbolizer } from '../../src/symbolize/symbols.js';
import type { MappingEvent } from '../../src/wire/event.js';

/** How often a system call was made. */
export interface RecordedCount {
  ok: number;
  failed: number;
}

/** A mapping that the shim made for itself. */
export interface OwnMapping {
  start: number;
  bytes: number;
}

/** A recording that also counts the calls that its events tell of. */
class CountingRecording extends ProcessRecording {
  readonly calls: Record<string, RecordedCount> = {};
  readonly ownMappings: OwnMapping[] = [];
  truncatedStacks = 0;
  /** Stacks of all calls, those that left nothing behind too: nodes of the stack tree. */
  readonly stacks = new Set<number>();

  override event(event: MappingEvent): void {
    this.#count(event);
    super.event(event);
  }

  #count(event: MappingEvent): void {
    const { operation, phase, result } = event;
    if (event.byProfiler) {
      this.ownMappings.push({ start: event.result, bytes: event.args[1] });
      return;
    }
    if (operation === 'seed' || operation === 'fork') return;
    this.stacks.add(event.stack);
    if (event.stackTruncated && phase !== 'end' && phase !== 'failed') this.truncatedStacks++;
    this.calls[operation] ??= { ok: 0, failed: 0 };
    const count = this.calls[operation];
    // brk never fails as far as the kernel's answer goes: it tells the break.
    const failed = operation !== 'brk' && result < 0;
    if (phase === 'begin') count.ok++;
    else if (phase === 'complete') count[failed ? 'failed' : 'ok']++;
    else if (phase === 'failed' && operation !== 'brk') {
      count.ok--;
      count.failed++;
    }
  }
}

export interface RecordedOptions extends RecordingOptions {
  symbolizer: Symbolizer;
}

/** One program in one process, as its channel tells. */
export class RecordedProcess {
  readonly recording: CountingRecording;
  readonly facts: ProcessFacts;
  readonly #code: CodeMap;
  readonly #attributions: Attributions;
  readonly #residency: ResidencySampler;

  constructor(channelPath: string, options: RecordedOptions) {
    this.recording = new CountingRecording(channelPath, options);
    const { header, drain } = this.recording;
    this.facts = new ProcessFacts(header.processId, false);
    this.facts.describe(header, drain.channel.command());
    this.#code = new CodeMap(this.recording, options.symbolizer);
    this.#attributions = new Attributions(this.recording, this.#code, this.facts.programPath());
    this.#residency = new ResidencySampler(this.facts);
  }

  get pid(): number {
    return this.recording.header.processId;
  }

  get calls(): Readonly<Record<string, RecordedCount>> {
    return this.recording.calls;
  }

  /** The functions of each distinct stack that was captured, leaf first; unnamed ones by their module. */
  stacks(): string[][] {
    return [...this.recording.stacks].map((node) =>
      this.#code.frames(stackNumber(node, 0)).map((frame) => frame.function ?? `[${frame.module}]`),
    );
  }

  snapshot(): Snapshot {
    return buildSnapshot({
      facts: this.facts,
      ended: this.facts.isRunning() ? undefined : { state: 'exited', exit: null },
      recording: this.recording,
      attributions: this.#attributions,
      code: this.#code,
      residency: this.#residency,
      bytesPerMinute: () => 0,
      observedSeconds: 0,
      accountHistory: { timesMs: [], series: [] },
      verdicts: NO_VERDICTS,
      problem: undefined,
      gaps: [],
      unlocatedBytes: 0,
      observerEffects: [],
      hookers: [],
    });
  }
}
