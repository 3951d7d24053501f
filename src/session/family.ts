import { rmSync } from 'node:fs';
import { type ChannelFile, channelFiles } from '../drain/directory.js';
import { visibleParentId, visibleProcessId } from '../drain/pid-namespaces.js';
import { liveness } from '../drain/process-identity.js';
import { ElfStore } from '../modules/elf-store.js';
import { SourceLines } from '../symbolize/lines/source-lines.js';
import { SymbolCache } from '../symbolize/symbol-cache.js';
import { Symbolizer } from '../symbolize/symbols.js';
import { Channel } from '../wire/channel.js';
import { OffheapError } from '../wire/error.js';
import { ProcessFacts } from './process-facts.js';
import type { ProcessRecording } from './recording.js';
import { WatchedProcess } from './watched-process.js';

/** Between two looks into the folder: soon after something came, seldom where nothing does. */
const SCAN_MS = 50;
const IDLE_SCAN_MS = 400;
/** A parent that maps as fast as we read would otherwise keep its child waiting for ever. */
const MOST_POLLS = 64;
/** Ended members that stay open: a child of theirs may show itself late, and asks for what they had mapped. */
const ENDED_OPEN = 16;
/** Members whose last snapshot is kept once their channels are closed. */
const ENDED_KEPT = 256;

export interface FamilyOptions {
  /** Whether processes that members start become members. */
  followChildren: boolean;
  /** Whether the channels of members are deleted once they are read to their end. */
  removeChannels?: boolean;
  /** Called with each child as it becomes a member. */
  onChild?: (child: WatchedProcess) => void;
  intervalMs?: number;
  /** Counts the calls of each operation. */
  countsCalls?: boolean;
  /** Asks the kernel too how often members map memory. */
  hasWitness?: boolean;
}

/**
 * Processes that belong together, their channels found as they appear: a member that calls exec goes on in a new
 * channel, and a member's children become members. A build starts processes by the thousand, so ended members are
 * closed but for the last few.
 */
export class Family {
  /** Oldest first. */
  readonly members = new Set<WatchedProcess>();
  /** Ended members that were dropped, those that held least. */
  forgotten = 0;
  readonly #directory: string;
  readonly #options: FamilyOptions;
  /** The newest member of each process id. */
  readonly #byPid = new Map<number, WatchedProcess>();
  readonly #recordings = new Map<string, ProcessRecording>();
  readonly #seen = new Set<string>();
  /** What is known of channels that are finished being made and not yet seen. */
  readonly #peeked = new Map<string, Peeked>();
  readonly #elfStore = new ElfStore();
  readonly #symbolizer = new Symbolizer({ cache: SymbolCache.ofUser() });
  readonly #lines = new SourceLines();
  #timer: NodeJS.Timeout | undefined;

  constructor(directory: string, options: FamilyOptions) {
    this.#directory = directory;
    this.#options = options;
    // Channels from before are nobody's children here.
    for (const { path } of channelFiles(directory)) this.#seen.add(path);
    this.#schedule(SCAN_MS);
  }

  /** A process for this family, not yet a member. */
  create(facts: ProcessFacts): WatchedProcess {
    return new WatchedProcess(facts, {
      elfStore: this.#elfStore,
      symbolizer: this.#symbolizer,
      lines: this.#lines,
      countsCalls: this.#options.countsCalls ?? false,
      hasWitness: this.#options.hasWitness ?? false,
      recordingOf: (channelId) => this.#recordings.get(channelId),
      goesOn: () => this.#goingOn(new Set([facts.pid])).size > 0,
      ...(this.#options.intervalMs === undefined ? {} : { intervalMs: this.#options.intervalMs }),
    });
  }

  adopt(member: WatchedProcess): void {
    this.members.add(member);
    this.#byPid.set(member.pid, member);
    if (member.recording !== undefined) this.#remember(member.recording);
  }

  /** Looks for new channels of members and of their children; returns whether something new was there. */
  scan(): boolean {
    const files = this.#listed();
    const present = new Set(files.map(({ path }) => path));
    for (const path of this.#seen) if (!present.has(path)) this.#seen.delete(path);
    for (const path of this.#peeked.keys()) if (!present.has(path)) this.#peeked.delete(path);
    const fresh = this.#unread(files);
    // A parent's channel is older than its child's, and an exec's than the next program's.
    fresh.sort((a, b) => a.startedNs - b.startedNs);
    for (const [index, { path, pid, parentPid, parentChannelId, ready }] of fresh.entries()) {
      // Of a thousand that came and went since the last look, few need be open together.
      if (index % ENDED_OPEN === 0) this.#closeEnded();
      if (!ready) continue;
      this.#seen.add(path);
      this.#peeked.delete(path);
      const known = this.#byPid.get(pid);
      // A process number may be used anew.
      if (known !== undefined && !known.ended) this.#follow(known, path);
      else if (this.#options.followChildren) this.#addChild(pid, parentPid, parentChannelId, path);
    }
    this.#closeEnded();
    return fresh.length > 0;
  }

  /** Stops watching; the channels of processes that run on stay, for whoever attaches to them. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const member of this.members) {
      const recordings = [...member.recordings];
      member.release();
      if (member.ended) this.#forgetRecordings(recordings);
    }
  }

  /** Those of some processes, gone by now, that left a channel which is still to be followed: an exec's. */
  #goingOn(gone: ReadonlySet<number>): Set<number> {
    const unread = this.#unread(this.#listed()).filter(({ pid, ready }) => ready && gone.has(pid));
    return new Set(unread.map(({ pid }) => pid));
  }

  /** Of these, the channels that nobody follows yet. */
  #unread(files: readonly ChannelFile[]): (ChannelFile & Peeked)[] {
    return files
      .filter(({ path }) => !this.#seen.has(path))
      .map((file) => {
        const peeked = this.#peeked.get(file.path) ?? peek(file);
        if (peeked.ready) this.#peeked.set(file.path, peeked);
        return { ...file, ...peeked };
      });
  }

  /** The channels that are in the folder now; none where it can't be read. */
  #listed(): ChannelFile[] {
    try {
      return channelFiles(this.#directory);
    } catch (error) {
      if (error instanceof OffheapError) return [];
      throw error;
    }
  }

  #schedule(delayMs: number): void {
    this.#timer = setTimeout(() => {
      const found = this.scan();
      if (this.#timer !== undefined) this.#schedule(found ? SCAN_MS : Math.min(delayMs * 1.5, IDLE_SCAN_MS));
    }, delayMs);
    this.#timer.unref();
  }

  #addChild(pid: number, parentPid: number, parentChannelId: string | null, path: string): void {
    const parent = this.#byPid.get(parentPid);
    // A child whose parent is gone has another parent process by now; its channel still says whose fork it is.
    const isOurs =
      parent !== undefined || (parentChannelId !== null && this.#recordings.has(parentChannelId));
    if (!isOurs) return;
    // The fork must have been read before its child starts from it, and one poll takes only so much.
    for (let polls = 0; polls < MOST_POLLS && (parent?.poll() ?? 0) > 0; polls++);
    const child = this.create(new ProcessFacts(pid, false));
    this.adopt(child);
    this.#options.onChild?.(child);
    this.#follow(child, path);
  }

  #follow(member: WatchedProcess, path: string): void {
    try {
      member.follow(path);
    } catch (error) {
      if (!(error instanceof OffheapError)) throw error;
      member.problem = error.message;
      return;
    }
    if (member.recording !== undefined) this.#remember(member.recording);
    // What stood before an exec has said all it can, unless children that were forked from it may still come.
    const needed = this.#ancestors();
    const replaced = member.recordings.filter(
      (each) => each !== member.recording && !needed.has(each) && !each.mayHaveChildren,
    );
    for (const recording of replaced) member.closeReplaced(recording);
    this.#forgetRecordings(replaced);
  }

  #remember(recording: ProcessRecording): void {
    this.#recordings.set(recording.header.channelId, recording);
  }

  /** Forgets recordings that are closed, and deletes their channels where that is asked for. */
  #forgetRecordings(recordings: readonly ProcessRecording[]): void {
    for (const recording of recordings) {
      const { header, path } = recording;
      this.#recordings.delete(header.channelId);
      if (this.#options.removeChannels !== true) continue;
      rmSync(path, { force: true });
      recording.removeCheckpoint();
    }
  }

  /** Recordings whose stacks others refer to. */
  #ancestors(): Set<ProcessRecording> {
    const ancestors = new Set<ProcessRecording>();
    for (const member of this.members) {
      for (const recording of member.recordings) {
        for (let { parent } = recording; parent !== undefined; parent = parent.parent) ancestors.add(parent);
      }
    }
    return ancestors;
  }

  #closeEnded(): void {
    const gone = [...this.members].filter((member) => member.isGone);
    const goingOn = gone.length === 0 ? new Set() : this.#goingOn(new Set(gone.map(({ pid }) => pid)));
    for (const member of gone) if (!goingOn.has(member.pid)) member.endAsGone();
    const ended = [...this.members].filter((member) => member.ended && !member.isRetired);
    let excess = ended.length - ENDED_OPEN;
    if (excess <= 0) return;
    const needed = this.#ancestors();
    for (const member of ended) {
      if (excess <= 0) break;
      if (member.recordings.some((recording) => needed.has(recording))) continue;
      this.#forgetRecordings(member.retire());
      excess--;
    }
    this.#forgetLeast();
  }

  #forgetLeast(): void {
    const retired = [...this.members].filter((member) => member.isRetired);
    retired.sort((a, b) => a.liveBytes - b.liveBytes);
    for (const member of retired.slice(0, Math.max(0, retired.length - ENDED_KEPT))) {
      this.members.delete(member);
      if (this.#byPid.get(member.pid) === member) this.#byPid.delete(member.pid);
      this.forgotten++;
    }
  }
}

interface Peeked {
  /** As we know it. */
  pid: number;
  parentPid: number;
  parentChannelId: string | null;
  startedNs: number;
  ready: boolean;
}

/** Who made a channel, and whether it is finished being made; one that can't be read is left to its member. */
function peek({ path, pid }: ChannelFile): Peeked {
  try {
    const channel = new Channel(path);
    try {
      const { parentProcessId, parentChannelId, startMonotonicNs, processId, processStartTicks, state } =
        channel.opened;
      const visibleId = visibleProcessId(channel.opened);
      const parentPid = visibleId === processId ? parentProcessId : (visibleParentId(visibleId) ?? 0);
      // While it writes its seeds nearly everything would look unexplained; one that died at it writes no more.
      const ready = state !== 'starting' || liveness(visibleId, processStartTicks) === 'gone';
      return { pid: visibleId, parentPid, parentChannelId, startedNs: startMonotonicNs, ready };
    } finally {
      channel.close();
    }
  } catch (error) {
    if (!(error instanceof OffheapError)) throw error;
    const pending = error.code === 'CHANNEL_STARTING' || error.code === 'CHANNEL_MISSING';
    return { pid, parentPid: 0, parentChannelId: null, startedNs: 0, ready: !pending };
  }
}
