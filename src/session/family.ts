import { rmSync } from 'node:fs';
import { type ChannelFile, channelFiles } from '../drain/directory.js';
import { ElfStore } from '../modules/elf-store.js';
import { Symbolizer } from '../symbolize/symbols.js';
import { Channel } from '../wire/channel.js';
import { OffheapError } from '../wire/error.js';
import { ProcessFacts } from './process-facts.js';
import type { ProcessRecording } from './recording.js';
import { WatchedProcess } from './watched-process.js';

const SCAN_MS = 50;

export interface FamilyOptions {
  /** Whether processes that members start become members. */
  followChildren: boolean;
  intervalMs?: number;
}

/**
 * Processes that belong together, their channels found as they appear: a member that calls exec goes on in a new
 * channel, and a member's children become members.
 */
export class Family {
  readonly members = new Map<number, WatchedProcess>();
  readonly #directory: string;
  readonly #options: FamilyOptions;
  readonly #recordings = new Map<string, ProcessRecording>();
  readonly #seen = new Set<string>();
  readonly #paths: string[] = [];
  readonly #elfStore = new ElfStore();
  readonly #symbolizer = new Symbolizer();
  #timer: NodeJS.Timeout | undefined;

  constructor(directory: string, options: FamilyOptions) {
    this.#directory = directory;
    this.#options = options;
    // Channels from before are nobody's children here.
    for (const { path } of channelFiles(directory)) this.#seen.add(path);
    this.#timer = setInterval(() => this.scan(), SCAN_MS);
    this.#timer.unref();
  }

  /** A process for this family, not yet a member. */
  create(facts: ProcessFacts): WatchedProcess {
    return new WatchedProcess(facts, {
      elfStore: this.#elfStore,
      symbolizer: this.#symbolizer,
      recordingOf: (channelId) => this.#recordings.get(channelId),
      ...(this.#options.intervalMs === undefined ? {} : { intervalMs: this.#options.intervalMs }),
    });
  }

  adopt(member: WatchedProcess): void {
    this.members.set(member.pid, member);
    if (member.recording !== undefined) this.#remember(member.recording);
  }

  /** Looks for new channels of members and of their children. */
  scan(): void {
    let files: ChannelFile[];
    try {
      files = channelFiles(this.#directory);
    } catch (error) {
      if (error instanceof OffheapError) return;
      throw error;
    }
    const fresh = files
      .filter(({ path }) => !this.#seen.has(path))
      .map((file) => ({ ...file, ...peek(file.path) }));
    // A parent's channel is older than its child's, and an exec's than the next program's.
    fresh.sort((a, b) => a.startedNs - b.startedNs);
    for (const { path, pid, parentPid, ready } of fresh) {
      if (!ready) continue;
      this.#seen.add(path);
      const member = this.members.get(pid);
      if (member !== undefined) this.#follow(member, path);
      else if (this.#options.followChildren && this.members.has(parentPid)) this.#add(pid, parentPid, path);
    }
  }

  /** Removes the channels of all members, and what lies beside them. */
  removeChannels(): void {
    for (const path of this.#paths) {
      for (const suffix of ['', '.ledger', '.sock']) rmSync(`${path}${suffix}`, { force: true });
    }
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #add(pid: number, parentPid: number, path: string): void {
    // The fork must have been read before its child starts from it.
    this.members.get(parentPid)?.poll();
    const member = this.create(new ProcessFacts(pid, false));
    this.members.set(pid, member);
    this.#follow(member, path);
  }

  #follow(member: WatchedProcess, path: string): void {
    this.#paths.push(path);
    try {
      member.follow(path);
    } catch (error) {
      if (!(error instanceof OffheapError)) throw error;
      member.problem = error.message;
      return;
    }
    if (member.recording !== undefined) this.#remember(member.recording);
  }

  #remember(recording: ProcessRecording): void {
    this.#recordings.set(recording.header.channelId, recording);
  }
}

/** Who made a channel, and whether it is finished being made; one that can't be read is left to its member. */
function peek(path: string): { parentPid: number; startedNs: number; ready: boolean } {
  try {
    const channel = new Channel(path);
    try {
      const { parentProcessId, startMonotonicNs } = channel.opened;
      return { parentPid: parentProcessId, startedNs: startMonotonicNs, ready: true };
    } finally {
      channel.close();
    }
  } catch (error) {
    if (!(error instanceof OffheapError)) throw error;
    const pending = error.code === 'CHANNEL_STARTING' || error.code === 'CHANNEL_MISSING';
    return { parentPid: 0, startedNs: 0, ready: !pending };
  }
}
