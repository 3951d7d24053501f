import { EventEmitter } from 'node:events';
import { GrowthTracker } from '../diagnose/growth.js';
import { Poller } from '../drain/poller.js';
import { diffSnapshots } from '../report/diff.js';
import { renderFlamegraph } from '../report/flamegraph/flamegraph.js';
import type { Snapshot, SnapshotMapping, SnapshotOwner } from '../report/schema.js';
import { stackSites } from '../report/stacks.js';
import { Symbolizer } from '../symbolize/symbols.js';
import { OffheapError } from '../wire/error.js';
import { Attributions } from './attributions.js';
import { CodeMap } from './code-map.js';
import { bringInStep } from './in-step.js';
import { learnCode } from './learn-code.js';
import type { Ended, ProcessFacts } from './process-facts.js';
import { ProcessRecording, type RecordingOptions } from './recording.js';
import { ResidencySampler } from './residency-sampler.js';
import { SampleTimer } from './sample-timer.js';
import type {
  FlamegraphOptions,
  LedgerView,
  Session,
  SessionEvents,
  SnapshotDiff,
  StackSite,
} from './session.js';
import { buildSnapshot, ownerKey } from './snapshot.js';

export interface WatchOptions extends RecordingOptions {
  /** How often growth is sampled, in milliseconds. */
  intervalMs?: number;
  symbolizer?: Symbolizer;
}

const INTERVAL_MS = 1000;
/** An owner that grows faster than this is worth a `growth` event. */
const NOTABLE_BYTES_PER_MINUTE = 10e6;

/** One process, from its channel to its reports. */
export class WatchedProcess extends EventEmitter<SessionEvents> implements Session {
  readonly ledger: LedgerView;
  readonly #facts: ProcessFacts;
  readonly #symbolizer: Symbolizer;
  readonly #options: WatchOptions;
  #recording: ProcessRecording | undefined;
  /** The present one and, after exec, those before it: children that were forked from them still ask for their stacks. */
  #recordings: ProcessRecording[] = [];
  /** All that is left of a process that ended and was closed while others run on. */
  #last: Snapshot | undefined;
  #attributions: Attributions | undefined;
  #code: CodeMap | undefined;
  #growth = new GrowthTracker();
  #poller: Poller | undefined;
  readonly #timer: SampleTimer;
  readonly #residency: ResidencySampler;
  #mark: Snapshot | undefined;
  #ended: Ended | undefined;
  #problem: string | undefined;
  #flamegraphRequests = 0;
  #gapBytes = 0;
  readonly #since = Date.now();

  constructor(facts: ProcessFacts, options: WatchOptions = {}) {
    super();
    this.#facts = facts;
    this.#options = options;
    this.#symbolizer = options.symbolizer ?? new Symbolizer();
    this.#residency = new ResidencySampler(facts);
    this.#timer = new SampleTimer(() => this.#sample(), options.intervalMs ?? INTERVAL_MS);
    this.ledger = {
      byOwner: () => this.snapshot().owners,
      byStack: (): StackSite[] => stackSites(this.snapshot()),
      at: (address) => this.#at(address),
      mark: () => this.mark(),
    };
  }

  get pid(): number {
    return this.#facts.pid;
  }

  get recording(): ProcessRecording | undefined {
    return this.#recording;
  }

  /** What is open, the present recording last. */
  get recordings(): readonly ProcessRecording[] {
    return this.#recordings;
  }

  get ended(): boolean {
    return this.#ended !== undefined;
  }

  get isRetired(): boolean {
    return this.#last !== undefined;
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
    this.#finishReplaced();
    const recording = new ProcessRecording(channelPath, this.#options);
    const { header } = recording;
    this.#facts.describe(header, recording.drain.channel.command());
    this.#recording = recording;
    this.#recordings.push(recording);
    this.#problem = undefined;
    this.#code = new CodeMap(recording, this.#symbolizer);
    this.#attributions = new Attributions(recording, this.#code, this.#facts.programPath());
    this.#growth = new GrowthTracker();
    // A request from before the first collector still waits for its answer.
    const isFirst = recording.drain.channel.opened.collectorBeatNs === 0;
    this.#flamegraphRequests = isFirst ? 0 : header.flamegraphRequests;
    const pollable = {
      poll: () => this.poll(),
      get ended() {
        return recording.drain.ended;
      },
    };
    if (recording.lacksHistory) learnCode(recording, this.pid);
    this.poll();
    this.#sample();
    this.#poller = new Poller(pollable, (error) => this.#onEnd(error));
    this.#poller.start();
  }

  /** Takes in what the target has recorded; returns the number of events. */
  poll(): number {
    const recording = this.#recording;
    if (recording === undefined || recording.drain.ended) return 0;
    const { events, lost } = recording.drain.poll(recording);
    if (lost > 0) this.emit('gap', { reason: `${lost} events were lost`, bytes: 0 });
    if (events === 0) recording.catchUp();
    if (recording.outOfStep && this.#facts.isRunning()) bringInStep(recording, this.pid);
    const requests = recording.header.flamegraphRequests;
    if (requests > this.#flamegraphRequests && this.listenerCount('flamegraph') > 0) {
      this.#flamegraphRequests = requests;
      this.emit('flamegraph');
    }
    return events;
  }

  /** The process has ended, as its parent (us) or /proc tells. */
  end(ended: Ended): void {
    if (this.#ended !== undefined) return;
    this.#recording?.drain.finish();
    // The ring may hold more than one poll takes.
    while (this.poll() > 0);
    this.#stopPolling();
    this.#ended = ended;
    this.#timer.stop();
    this.announceEnd();
  }

  /** Tells the listeners how the process ended. */
  announceEnd(): void {
    if (this.#ended !== undefined) this.emit('exit', { ...this.#ended });
  }

  /** Of a process that somebody else has started nobody tells us the status, only whether it said goodbye. */
  endIfGone(): void {
    if (this.#facts.isOurChild || this.#facts.isRunning()) return;
    const header = this.#recording?.drain.channel.header();
    this.end({ state: header?.state === 'exited' ? 'exited' : 'killed', exit: header?.exitStatus ?? null });
  }

  /** Closes what stood before an exec. */
  closeReplaced(recording: ProcessRecording): void {
    recording.close();
    this.#recordings = this.#recordings.filter((each) => each !== recording);
  }

  /** Keeps the last snapshot of an ended process and closes all else; returns the recordings that are closed now. */
  retire(): ProcessRecording[] {
    this.#last = this.#build();
    const closed = this.#recordings;
    for (const recording of closed) recording.close();
    this.#recordings = [];
    this.#recording = undefined;
    this.#attributions = undefined;
    this.#code = undefined;
    return closed;
  }

  snapshot(): Snapshot {
    if (this.#ended === undefined) this.poll();
    return this.#build();
  }

  account(): Snapshot['rss'] & { owners: SnapshotOwner[]; unexplained: SnapshotMapping[] } {
    const { rss, owners, mappings } = this.snapshot();
    return { ...rss, owners, unexplained: mappings.filter(({ kind }) => kind === 'unexplained') };
  }

  mark(): Snapshot {
    this.#mark = this.snapshot();
    return this.#mark;
  }

  diff(since: Snapshot | undefined = this.#mark): SnapshotDiff {
    return diffSnapshots(since ?? this.#requireMark(), this.snapshot());
  }

  async flamegraph({ format = 'svg', of = 'live' }: FlamegraphOptions = {}): Promise<string> {
    const since = of === 'growth' ? this.#requireMark() : undefined;
    return renderFlamegraph(this.snapshot(), format, since);
  }

  async close(): Promise<void> {
    this.release();
  }

  /** Stops watching this one process. */
  release(): void {
    this.#timer.stop();
    this.#stopPolling();
    for (const recording of this.#recordings) recording.close();
    this.removeAllListeners();
  }

  #requireMark(): Snapshot {
    if (this.#mark !== undefined) return this.#mark;
    throw new OffheapError('NO_MARK', 'there is no mark to compare with; set one with mark() first');
  }

  #sample(): void {
    const recording = this.#recording;
    const attributions = this.#attributions;
    if (recording === undefined || attributions === undefined || this.#ended !== undefined) return;
    this.#residency.sample(recording.ledger);
    const bytes = new Map<string, number>();
    for (const { site, bytes: held, reservedBytes } of recording.ledger.sites()) {
      const key = ownerKey(attributions.of(site));
      bytes.set(key, (bytes.get(key) ?? 0) + held - reservedBytes);
    }
    this.#growth.add(performance.now(), bytes);
    // A whole snapshot is made only for those who want it: with 100,000 mappings it is work.
    if (this.listenerCount('snapshot') > 0 || this.listenerCount('growth') > 0) this.#announce();
  }

  #announce(): void {
    const snapshot = this.#build();
    this.emit('snapshot', snapshot);
    for (const owner of snapshot.owners) {
      if (owner.growthBytesPerMinute >= NOTABLE_BYTES_PER_MINUTE) this.emit('growth', owner);
    }
    const { unexplainedBytes } = snapshot.completeness;
    if (unexplainedBytes > this.#gapBytes) {
      this.emit('gap', {
        reason: 'some ranges were mapped by nobody that was seen',
        bytes: unexplainedBytes,
      });
    }
    this.#gapBytes = unexplainedBytes;
  }

  #build(): Snapshot {
    if (this.#last !== undefined) return this.#last;
    return buildSnapshot({
      facts: this.#facts,
      ended: this.#ended,
      recording: this.#recording,
      attributions: this.#attributions,
      code: this.#code,
      residency: this.#residency,
      bytesPerMinute: (key) => this.#growth.bytesPerMinute(key),
      observedSeconds: (Date.now() - this.#since) / 1000,
      problem: this.#problem,
    });
  }

  #at(address: number | string): SnapshotMapping | undefined {
    const wanted = Number(address);
    return this.snapshot().mappings.find(
      ({ start, bytes }) => wanted >= Number(start) && wanted < Number(start) + bytes,
    );
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

  /** Reads the program before an exec to its end: the forks in it are where its children start from. */
  #finishReplaced(): void {
    this.#stopPolling();
    this.#recording?.drain.finish();
    try {
      while (this.poll() > 0);
    } catch (error) {
      if (!(error instanceof OffheapError)) throw error;
      this.emit('gap', { reason: error.message, bytes: 0 });
    }
  }

  #stopPolling(): void {
    this.#poller?.stop();
    this.#poller = undefined;
  }
}
