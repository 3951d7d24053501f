import { Drain, type DrainHandler, type GapReason } from '../drain/drain.js';
import { MappingLedger } from '../ledger/mapping-ledger.js';
import { PROT_EXEC } from '../ledger/memory-abi.js';
import { SiteTable } from '../ledger/site-table.js';
import type { ElfStore } from '../modules/elf-store.js';
import { ProcessFiles } from '../modules/process-files.js';
import { ModuleTable } from '../modules/table.js';
import { JitCode } from '../symbolize/jit/jit-code.js';
import { ProcessSight } from '../symbolize/jit/process-sight.js';
import { clock } from '../wire/addon.js';
import type { MappingEvent } from '../wire/event.js';
import type { ChannelHeader } from '../wire/header.js';
import { CallCounts } from './call-counts.js';
import { type Checkpoint, CheckpointFile } from './checkpoint-file.js';
import { KernelWitness } from './kernel-witness.js';
import { ModuleLog } from './module-log.js';
import { NodeTimes } from './node-times.js';
import { RecentCalls } from './recent-calls.js';

/** A process as it was when it forked: what its child starts from. */
interface ForkPoint {
  ledger: MappingLedger;
  sites: SiteTable;
}

/**
 * A server that forks for each request would otherwise keep a ledger for each child that never shows up. Children of a
 * small process may appear by the dozen at once; of a large one, a few must do.
 */
const FORK_POINTS_KEPT = 8;
const FORK_RANGES_KEPT = 200_000;
/** Share of the collector's time that checkpoints may take; beyond it history is at risk and `unsaved` says so. */
const CHECKPOINT_TIME_SHARE = 0.1;
/** What they may take beside: a program that starts maps its libraries in one go, and a short life has no share yet. */
const CHECKPOINT_BURST_MS = 500;

export interface RecordingOptions {
  /** Counts the calls of each operation. */
  countsCalls?: boolean;
  /** Asks the kernel too how often memory is mapped; the target pays for it. */
  hasWitness?: boolean;
  elfStore?: ElfStore;
  /** The recording of a channel in this collector, to find a forked child's parent. */
  recordingOf?: (channelId: string) => ProcessRecording | undefined;
}

/** Everything known of one process from its channel: who mapped what, and which code was where. */
export class ProcessRecording implements DrainHandler {
  readonly drain: Drain;
  readonly modules: ModuleTable;
  /** From where the target has called of late. */
  readonly recentCalls = new RecentCalls();
  /** Where somebody asked for them. */
  readonly callCounts: CallCounts | undefined;
  /** Where somebody asked for it. */
  readonly witness: KernelWitness | undefined;
  readonly jit: JitCode;
  readonly nodeTimes = new NodeTimes();
  /** The recording that this one continues after a fork, for stacks from before it. */
  readonly parent: ProcessRecording | undefined;
  /** Events were lost since the ledger was last brought in line with the kernel. */
  outOfStep = false;
  /** What was known before this collector began, it does not know: the one before it left no checkpoint. */
  lacksHistory = false;
  /** Checkpoints could not be written: were this collector killed, the next one would not know the past. */
  unsaved = false;
  /** Told of all memory that is mapped from now on, while somebody wants to know. */
  onMapped: ((start: number, bytes: number) => void) | undefined;
  readonly #moduleLog: ModuleLog;
  readonly #checkpointFile: CheckpointFile;
  readonly #forkPoints = new Map<number, ForkPoint>();
  #ledger: MappingLedger;
  #sites: SiteTable;
  #inherits: boolean;
  #seedReached = 0;
  /** Events before this position are in the checkpoint that we started from. */
  #knownBefore = 0;
  #checkpointMs = 0;
  readonly #startedMs = performance.now();

  /** Throws what `Drain` throws. */
  constructor(path: string, options: RecordingOptions = {}) {
    this.drain = new Drain(path);
    this.callCounts = options.countsCalls === true ? new CallCounts() : undefined;
    this.witness = options.hasWitness === true ? new KernelWitness(this.drain) : undefined;
    const header = this.drain.header;
    const { processId } = this.drain;
    this.modules = new ModuleTable(
      new ProcessFiles({
        pid: processId,
        startTicks: header.processStartTicks,
        startedMs: Number(header.startUnixNs / 1000n) / 1000,
        ...(options.elfStore === undefined ? {} : { store: options.elfStore }),
      }),
    );
    const { processId: ownPid, processStartTicks: startTicks, startMonotonicNs } = header;
    this.jit = new JitCode({
      sight: new ProcessSight({ pid: processId, ownPid, startTicks, channelPath: path }),
      startMonotonicNs,
      startUnixMs: Number(header.startUnixNs / 1_000_000n),
      nowNs: () => this.nowNs,
    });
    this.#moduleLog = new ModuleLog(this.modules);
    this.#checkpointFile = new CheckpointFile(path);
    this.parent = header.parentChannelId === null ? undefined : options.recordingOf?.(header.parentChannelId);
    const inherited = this.parent?.takeForkPoint(header.parentPosition);
    this.#inherits = inherited !== undefined;
    const saved = this.#checkpointFile.read(header.backlogFrom);
    this.#ledger = saved?.ledger ?? inherited?.ledger ?? new MappingLedger();
    this.#sites = saved?.sites ?? inherited?.sites ?? new SiteTable();
    if (saved !== undefined) {
      this.#knownBefore = saved.position;
      this.#moduleLog.replay(saved.modules);
      this.#inherits = false;
    } else if (header.backlogFrom > 0) {
      this.outOfStep = true;
      this.lacksHistory = true;
    }
  }

  get header(): ChannelHeader {
    return this.drain.header;
  }

  /** Nanoseconds since the process's start. */
  get nowNs(): number {
    return clock().monotonicNs - this.header.startMonotonicNs;
  }

  get path(): string {
    return this.drain.channel.path;
  }

  /** Forks were recorded whose children have not shown themselves. */
  get mayHaveChildren(): boolean {
    return this.#forkPoints.size > 0;
  }

  get ledger(): MappingLedger {
    return this.#ledger;
  }

  get sites(): SiteTable {
    return this.#sites;
  }

  /** What this process held when it forked at a position; once for each child. */
  takeForkPoint(position: number): ForkPoint | undefined {
    const point = this.#forkPoints.get(position);
    this.#forkPoints.delete(position);
    return point;
  }

  event(event: MappingEvent): void {
    if (event.position < this.#knownBefore) return;
    if (event.operation === 'fork') {
      this.#rememberFork(event.position);
      return;
    }
    if (this.#inherits) this.#dropLeftBehind(event);
    this.recentCalls.note(event);
    this.callCounts?.note(event);
    this.witness?.note(event, this.#ledger.breakAddress);
    this.apply(event);
  }

  /** Applies an event to the ledger and the module table; also one that did not come from the channel. */
  apply(event: MappingEvent): void {
    this.#ledger.apply(event, this.#sites.intern(event));
    this.#followCode(event);
    if (this.onMapped !== undefined) tellMapped(event, this.onMapped);
  }

  gap(reason: GapReason): void {
    if (reason !== 'damaged') this.outOfStep = true;
  }

  checkpoint(position: number): void {
    this.unsaved = !this.#mayWrite() || !this.#writeCheckpoint(position);
    // What is there tells of a moment that the ring no longer reaches back to.
    if (this.unsaved) this.#checkpointFile.remove();
    this.drain.confirm(position);
  }

  /** Makes up for checkpoints that were left out, once there is time for one. */
  catchUp(): void {
    if (!this.unsaved || !this.#mayWrite() || !this.#writeCheckpoint(this.drain.position)) return;
    this.drain.confirm(this.drain.position);
    this.unsaved = false;
  }

  /** For when the channel goes too. */
  removeCheckpoint(): void {
    this.#checkpointFile.remove();
  }

  /** Learns the names of the code that was made since the last time. */
  followJit(): void {
    this.nodeTimes.note(this.header.nodesUsed, this.nowNs);
    this.jit.refresh(this.modules.current.flatMap(({ path }) => path ?? []));
  }

  /** Stops reading; what was not confirmed stays in the channel for the next collector. */
  close(): void {
    this.jit.close();
    this.witness?.close();
    this.drain.close();
  }

  #mayWrite(): boolean {
    const elapsedMs = performance.now() - this.#startedMs;
    return this.#checkpointMs < CHECKPOINT_BURST_MS + CHECKPOINT_TIME_SHARE * elapsedMs;
  }

  #writeCheckpoint(position: number): boolean {
    const started = performance.now();
    this.drain.announceCheckpoint(position);
    const written = this.#checkpointFile.write(this.#state(position));
    this.#checkpointMs += performance.now() - started;
    return written;
  }

  #state(position: number): Checkpoint {
    return {
      position,
      ledger: this.#ledger,
      sites: this.#sites,
      modules: this.#moduleLog.entries,
    };
  }

  #rememberFork(position: number): void {
    this.#forkPoints.set(position, { ledger: this.#ledger.clone(), sites: this.#sites.fork() });
    const { liveRanges, fileRanges } = this.#ledger;
    const kept = Math.max(FORK_POINTS_KEPT, FORK_RANGES_KEPT / Math.max(1, liveRanges + fileRanges));
    for (const oldest of this.#forkPoints.keys()) {
      if (this.#forkPoints.size <= kept) break;
      this.#forkPoints.delete(oldest);
    }
  }

  /**
   * A forked child has what its seeds show and no more: some ranges stay behind (MADV_DONTFORK). The seeds come in
   * address order before all other events; how many there are the header can't say while they are being written.
   */
  #dropLeftBehind(event: MappingEvent): void {
    if (event.operation !== 'seed') {
      this.#inherits = false;
      this.#release(event, this.#seedReached, 2 ** 47);
      return;
    }
    const [start, bytes] = event.args;
    if (start > this.#seedReached) this.#release(event, this.#seedReached, start);
    this.#seedReached = start + bytes;
  }

  #release(like: MappingEvent, start: number, end: number): void {
    for (const range of [...this.#ledger.rangesIn(start, end)]) {
      const from = Math.max(start, range.start);
      const bytes = Math.min(end, range.end) - from;
      this.#ledger.apply(
        {
          ...like,
          operation: 'munmap',
          phase: 'complete',
          args: [from, bytes, 0, 0, 0, 0],
          result: 0,
          path: null,
        },
        0,
      );
    }
  }

  #followCode(event: MappingEvent): void {
    const { operation, phase, args } = event;
    if (operation === 'seed' && (args[2] & PROT_EXEC) !== 0) {
      this.#moduleLog.mapped(event, args[0], args[1], args[5]);
    } else if (operation === 'mmap' && phase === 'complete' && event.result > 0) {
      if ((args[2] & PROT_EXEC) !== 0) this.#moduleLog.mapped(event, event.result, args[1], args[5]);
      else if (this.#moduleLog.covers(event.result, args[1]))
        this.#moduleLog.unmapped(event, event.result, args[1]);
    } else if (operation === 'munmap' && phase === 'begin' && this.#moduleLog.covers(args[0], args[1])) {
      this.#moduleLog.unmapped(event, args[0], args[1]);
    } else if (operation === 'mprotect' && makesCode(event)) {
      if (!this.#moduleLog.covers(args[0], args[1])) this.#moduleLog.mapped(event, args[0], args[1], 0);
    }
  }
}

/** The shim makes code executable again that it has changed, and is no module where it has code of its own. */
function makesCode({ byProfiler, result, args }: MappingEvent): boolean {
  return !byProfiler && result === 0 && (args[2] & PROT_EXEC) !== 0;
}

function tellMapped(
  { operation, phase, args, result, extra }: MappingEvent,
  tell: (start: number, bytes: number) => void,
): void {
  if (phase === 'begin' || phase === 'failed' || result <= 0) return;
  if (operation === 'mmap') tell(result, args[1]);
  else if (operation === 'mremap') tell(result, args[2]);
  else if (operation === 'shmat') tell(result, extra);
  // The new end; how far it was before, the ledger knows.
  else if (operation === 'brk') tell(result - 1, 1);
}
