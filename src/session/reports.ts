import { diffSnapshots } from '../report/diff.js';
import { PAGEMAP_FORMATS, renderPagemap } from '../report/pagemap/pagemap.js';
import type { AccountReport, Snapshot, SnapshotMapping, TrimReport } from '../report/schema.js';
import { OffheapError } from '../wire/error.js';
import { accountOf, accountOfEnded } from './account.js';
import { checkChoice } from './choice.js';
import { claimsOf } from './claims.js';
import { drawFlamegraph } from './flamegraph.js';
import type { Observations } from './observations.js';
import { pageMap } from './page-map.js';
import type { Ended, ProcessFacts } from './process-facts.js';
import type { Program } from './program.js';
import type { Programs } from './programs.js';
import type { ProcessRecording } from './recording.js';
import type {
  FlamegraphFile,
  FlamegraphFormat,
  FlamegraphOptions,
  PagemapOptions,
  SnapshotDiff,
} from './session.js';
import { buildSnapshot } from './snapshot.js';
import { withLines } from './snapshot-lines.js';
import { trimTarget } from './trim.js';
import { describedVerdicts } from './verdicts.js';

/** How long a sleeping program's allocator is waited for: servers wake ten times a second. */
const PATIENCE_MS = 150;

/** A process as far as its reports look at it. */
export interface Reported {
  readonly facts: ProcessFacts;
  readonly programs: Programs;
  readonly observations: Observations;
  /** Undefined while it runs. */
  readonly end: Ended | undefined;
  /** Why nothing is recorded, where nothing is. */
  readonly problem: string | undefined;
  /** Takes in what the target has recorded; returns the number of events. */
  poll(): number;
}

/** What can be asked of a process, while it runs and afterwards. */
export class Reports {
  readonly #of: Reported;
  readonly #since = Date.now();
  /** All that is left of a process that ended and was closed while others run on. */
  #last: Snapshot | undefined;
  #mark: Snapshot | undefined;

  constructor(of: Reported) {
    this.#of = of;
  }

  get last(): Snapshot | undefined {
    return this.#last;
  }

  /** Keeps the last snapshot: from now on all answers come from it. */
  keepLast(): void {
    this.#last = this.build();
  }

  snapshot(): Snapshot {
    if (this.#of.end === undefined) this.#of.poll();
    return this.build();
  }

  /** As of what was taken in last. */
  build(): Snapshot {
    if (this.#last !== undefined) return this.#last;
    const program = this.#of.programs.present;
    const observations = this.#of.observations;
    program?.recording.followJit();
    if (program !== undefined && this.#of.end === undefined) observations.checkHooks(program.recording);
    return buildSnapshot({
      facts: this.#of.facts,
      ended: this.#of.end,
      recording: program?.recording,
      attributions: program?.attributions,
      code: program?.code,
      heap: program?.heap,
      residency: observations.residency,
      accountHistory: observations.accountHistory,
      verdicts: describedVerdicts(program),
      bytesPerMinute: (key) => program?.growth.bytesPerMinute(key) ?? 0,
      observedSeconds: (Date.now() - this.#since) / 1000,
      problem: this.#of.problem,
      gaps: observations.gaps(program?.recording),
      unlocatedBytes: observations.unlocatedBytes,
      observerEffects: observations.observerEffects(),
      hookers: observations.hookers,
    });
  }

  async withLines(snapshot: Snapshot, stacks?: readonly number[]): Promise<Snapshot> {
    const code = this.#of.programs.present?.code;
    return code === undefined ? snapshot : withLines(snapshot, code, stacks);
  }

  at(address: number | string): SnapshotMapping | undefined {
    const wanted = Number(address);
    return this.snapshot().mappings.find(
      ({ start, bytes }) => wanted >= Number(start) && wanted < Number(start) + bytes,
    );
  }

  account(): AccountReport {
    const program = this.#of.programs.present;
    if (program === undefined || this.#of.end !== undefined || !this.#of.facts.isRunning()) {
      return accountOfEnded(this.snapshot());
    }
    try {
      return accountOf(this.#of.facts, {
        claims: () => {
          this.#catchUp(program.recording);
          return claimsOf(program.recording, program.attributions, this.#of.facts);
        },
        allocators: program.allocators(PATIENCE_MS),
        bytesPerMinute: (key) => program.growth.bytesPerMinute(key),
        gaps: this.#of.observations.gaps(program.recording),
        verdicts: describedVerdicts(program),
        heap: program.heap,
      });
    } catch (error) {
      // It ended while it was read.
      if (!(error instanceof OffheapError) || error.code !== 'PROCESS_MISSING') throw error;
      return accountOfEnded(this.snapshot());
    }
  }

  async pagemap({ format = 'svg' }: PagemapOptions = {}): Promise<string> {
    checkChoice('format', format, PAGEMAP_FORMATS);
    const program = this.#running();
    this.#catchUp(program.recording);
    return renderPagemap(pageMap(program, this.#of.facts), format);
  }

  async trim(options: { limitMs?: number } = {}): Promise<TrimReport> {
    const program = this.#running();
    this.#of.poll();
    return trimTarget(program, this.#of.facts, options);
  }

  mark(): Snapshot {
    this.#mark = this.snapshot();
    this.#of.programs.present?.heap.mark();
    return this.#mark;
  }

  diff(since: Snapshot | undefined = this.#mark): SnapshotDiff {
    return diffSnapshots(since ?? this.#requireMark(), this.snapshot());
  }

  async flamegraph<F extends FlamegraphFormat = 'svg'>(
    options: FlamegraphOptions<F> = {},
  ): Promise<FlamegraphFile<F>> {
    const sources = {
      snapshot: () => this.snapshot(),
      mark: () => this.#requireMark(),
      withLines: (snapshot: Snapshot) => this.withLines(snapshot),
    };
    return drawFlamegraph(sources, options);
  }

  #running(): Program {
    const program = this.#of.programs.present;
    if (program === undefined || this.#of.end !== undefined || !this.#of.facts.isRunning()) {
      throw new OffheapError('PROCESS_ENDED', `process ${this.#of.facts.pid} has ended; ask one that runs`);
    }
    return program;
  }

  #requireMark(): Snapshot {
    if (this.#mark !== undefined) return this.#mark;
    throw new OffheapError(
      'NO_MARK',
      'there is no mark to compare with; set one with mark() while a collector runs (offheap run, top or repl)',
    );
  }

  /** Takes in what was recorded by now. What a busy target adds meanwhile would have no end. */
  #catchUp({ drain }: ProcessRecording): void {
    const { ringHead } = drain.channel.header();
    while (this.#of.poll() > 0 && drain.position < ringHead);
  }
}
