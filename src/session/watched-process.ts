import { EventEmitter } from 'node:events';
import { Poller } from '../drain/poller.js';
import type { AccountReport, Snapshot, TrimReport } from '../report/schema.js';
import { stackSites } from '../report/stacks.js';
import { SourceLines } from '../symbolize/lines/source-lines.js';
import { SymbolCache } from '../symbolize/symbol-cache.js';
import { Symbolizer } from '../symbolize/symbols.js';
import type { HeapRecording } from './heap-recording.js';
import { heapView } from './heap-view.js';
import { NotableChanges } from './notable-changes.js';
import { Observations } from './observations.js';
import type { Ended, ProcessFacts } from './process-facts.js';
import { Programs } from './programs.js';
import type { ProcessRecording, RecordingOptions } from './recording.js';
import { type Reported, Reports } from './reports.js';
import { SampleTimer } from './sample-timer.js';
import type {
  FlamegraphFile,
  FlamegraphFormat,
  FlamegraphOptions,
  HeapView,
  LedgerView,
  PagemapOptions,
  Session,
  SessionEvents,
  SnapshotDiff,
  StackSite,
} from './session.js';

export interface WatchOptions extends RecordingOptions {
  /** How often growth is sampled, in milliseconds. */
  intervalMs?: number;
  /** Share of the collector's time that accounts may take which are kept for their history and for verdicts. */
  accountTimeShare?: number;
  symbolizer?: Symbolizer;
  lines?: SourceLines;
  /** Whether there is a channel of the process that it does not follow yet: an exec's, found before it was looked at. */
  goesOn?: () => boolean;
}

const INTERVAL_MS = 1000;

/** One process, from its channel to its reports. */
export class WatchedProcess extends EventEmitter<SessionEvents> implements Session {
  readonly ledger: LedgerView;
  readonly heap: HeapView;
  readonly #facts: ProcessFacts;
  readonly #programs: Programs;
  #poller: Poller | undefined;
  readonly #timer: SampleTimer;
  readonly #observations: Observations;
  readonly #reports: Reports;
  #ended: Ended | undefined;
  #problem: string | undefined;
  #flamegraphRequests = 0;
  readonly #goesOn: () => boolean;
  readonly #changes = new NotableChanges(this);

  constructor(facts: ProcessFacts, options: WatchOptions = {}) {
    super();
    this.#facts = facts;
    this.#goesOn = options.goesOn ?? (() => false);
    this.#programs = new Programs(facts, {
      recording: options,
      symbolizer: options.symbolizer ?? new Symbolizer({ cache: SymbolCache.ofUser() }),
      lines: options.lines ?? new SourceLines(),
      onGap: (reason) => void this.emit('gap', { reason, bytes: 0 }),
    });
    this.#observations = new Observations(facts, {
      accountTimeShare: options.accountTimeShare,
      onGap: (gap) => void this.emit('gap', gap),
    });
    this.#reports = new Reports(this.#reported());
    this.#timer = new SampleTimer(() => this.#sample(), options.intervalMs ?? INTERVAL_MS);
    this.heap = heapView(this);
    this.ledger = {
      byOwner: () => this.snapshot().owners,
      byStack: (): StackSite[] => stackSites(this.snapshot()),
      at: (address) => this.#reports.at(address),
      mark: () => this.mark(),
      heap: this.heap,
    };
  }

  get pid(): number {
    return this.#facts.pid;
  }

  get recording(): ProcessRecording | undefined {
    return this.#programs.present?.recording;
  }

  get heapRecording(): HeapRecording | undefined {
    return this.#programs.present?.heap.recording;
  }

  /** All that is left once this process is retired. */
  get lastSnapshot(): Snapshot | undefined {
    return this.#reports.last;
  }

  /** What is open, the present recording last. */
  get recordings(): readonly ProcessRecording[] {
    return this.#programs.recordings;
  }

  get ended(): boolean {
    return this.#ended !== undefined;
  }

  get isRetired(): boolean {
    return this.#reports.last !== undefined;
  }

  /** Bytes that are mapped now, or were at the end. */
  get liveBytes(): number {
    return this.snapshot().owners.reduce((total, { bytes }) => total + bytes, 0);
  }

  get problem(): string | undefined {
    return this.#problem;
  }

  /** Why nothing is recorded, where nothing is. */
  set problem(reason: string) {
    this.#problem = reason;
  }

  /** Reads a channel of this process: its first one, or after exec the new program's. */
  follow(channelPath: string): void {
    this.#stopPolling();
    const { recording } = this.#programs.follow(channelPath);
    this.#problem = undefined;
    // A request from before the first collector still waits for its answer.
    const isFirst = recording.drain.channel.opened.collectorBeatNs === 0;
    this.#flamegraphRequests = isFirst ? 0 : recording.header.flamegraphRequests;
    this.poll();
    // Of one that is gone already, as most are of thousands of short lives, there is no more to be seen.
    if (this.#facts.isRunning()) this.#sample();
    const pollable = {
      poll: () => this.poll(),
      get ended() {
        return recording.drain.ended;
      },
    };
    this.#poller = new Poller(pollable, (error) => this.#onEnd(error));
    this.#poller.start();
  }

  /** Takes in what the target has recorded; returns the number of events. */
  poll(): number {
    const events = this.#programs.poll();
    const requests = this.recording?.header.flamegraphRequests ?? 0;
    if (requests > this.#flamegraphRequests && this.listenerCount('flamegraph') > 0) {
      this.#flamegraphRequests = requests;
      this.emit('flamegraph');
    }
    return events;
  }

  /** The process has ended, as its parent (us) or /proc tells. */
  end(ended: Ended): void {
    if (this.#ended !== undefined) return;
    this.#stopPolling();
    this.#programs.finish();
    if (this.recording !== undefined) this.#observations.hearWitness(this.recording, ended);
    this.#ended = ended;
    this.#timer.stop();
    this.announceEnd();
  }

  /** Tells the listeners how the process ended. */
  announceEnd(): void {
    if (this.#ended !== undefined) this.emit('exit', { ...this.#ended });
  }

  /** Whether it ended without our being told: somebody else has started it. */
  get isGone(): boolean {
    return !this.ended && !this.#facts.isOurChild && !this.#facts.isRunning();
  }

  endIfGone(): void {
    if (this.isGone && !this.#goesOn()) this.endAsGone();
  }

  /** Nobody tells the status of a process that `isGone`, only whether it said goodbye. */
  endAsGone(): void {
    const header = this.recording?.drain.channel.header();
    this.end({ state: header?.state === 'exited' ? 'exited' : 'killed', exit: header?.exitStatus ?? null });
  }

  /** Closes what stood before an exec. */
  closeReplaced(recording: ProcessRecording): void {
    this.#programs.closeReplaced(recording);
  }

  /** Keeps the last snapshot of an ended process and closes all else; returns the recordings that are closed now. */
  retire(): ProcessRecording[] {
    this.#reports.keepLast();
    return this.#programs.drop();
  }

  snapshot(): Snapshot {
    return this.#reports.snapshot();
  }

  withLines(snapshot: Snapshot, stacks?: readonly number[]): Promise<Snapshot> {
    return this.#reports.withLines(snapshot, stacks);
  }

  account(): AccountReport {
    return this.#reports.account();
  }

  pagemap(options?: PagemapOptions): Promise<string> {
    return this.#reports.pagemap(options);
  }

  trim(options?: { limitMs?: number }): Promise<TrimReport> {
    return this.#reports.trim(options);
  }

  mark(): Snapshot {
    return this.#reports.mark();
  }

  diff(since?: Snapshot): SnapshotDiff {
    return this.#reports.diff(since);
  }

  flamegraph<F extends FlamegraphFormat = 'svg'>(options?: FlamegraphOptions<F>): Promise<FlamegraphFile<F>> {
    return this.#reports.flamegraph(options);
  }

  async close(): Promise<void> {
    this.release();
  }

  /** Stops watching this one process. */
  release(): void {
    this.#timer.stop();
    this.#stopPolling();
    this.#programs.close();
    this.removeAllListeners();
  }

  #reported(): Reported {
    const self = this;
    return {
      facts: this.#facts,
      programs: this.#programs,
      observations: this.#observations,
      get end() {
        return self.#ended;
      },
      get problem() {
        return self.#problem;
      },
      poll: () => this.poll(),
    };
  }

  #sample(): void {
    const program = this.#programs.present;
    if (program === undefined || this.#ended !== undefined) return;
    this.poll();
    this.#observations.sample(program);
    // A whole snapshot is made only for those who want it: with 100,000 mappings it is work.
    if (this.listenerCount('snapshot') > 0 || this.listenerCount('growth') > 0) {
      this.#changes.tell(this.#reports.build());
    }
  }

  /** What somebody else has found to be missing: one line. */
  addGap(reason: string): void {
    this.#observations.addGap(reason);
  }

  #onEnd(error: unknown): void {
    if (error !== undefined) {
      this.#problem = error instanceof Error ? error.message : String(error);
      this.emit('gap', { reason: this.#problem, bytes: 0 });
      this.#stopPolling();
      return;
    }
    this.endIfGone();
  }

  #stopPolling(): void {
    this.#poller?.stop();
    this.#poller = undefined;
  }
}
