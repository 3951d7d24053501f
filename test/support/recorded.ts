import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { channelFiles } from '../../src/drain/directory.js';
import { ElfStore } from '../../src/modules/elf-store.js';
import { shimPath } from '../../src/session/shim.js';
import { Symbolizer } from '../../src/symbolize/symbols.js';
import { Channel } from '../../src/wire/channel.js';
import { OffheapError } from '../../src/wire/error.js';
import { HANGS_AFTER_MS } from './limits.js';
import { RecordedProcess } from './recorded-process.js';

/** Targets start and end within milliseconds; a ring holds far more than they record in this time. */
const POLL_MS = 5;

/** Reads all channels that appear in a private folder of its own, while the targets run. */
export class Recorder {
  readonly directory = mkdtempSync('/dev/shm/offheap-test-');
  /** One for each program that ran in each process, in order of their start. */
  readonly processes: RecordedProcess[] = [];
  readonly #seen = new Set<string>();
  readonly #options = {
    elfStore: new ElfStore(),
    symbolizer: new Symbolizer(),
    recordingOf: (id: string) =>
      this.processes.find(({ recording }) => recording.header.channelId === id)?.recording,
  };
  readonly #timer = setInterval(() => this.#pollMeanwhile(), POLL_MS);

  /** What a target needs in its environment. Libraries in `preload` stand behind the shim, those in `before` ahead. */
  environment({ preload = [] as string[], before = [] as string[] } = {}): Record<string, string> {
    return {
      LD_PRELOAD: [...before, shimPath(), ...preload].join(':'),
      OFFHEAP_DIR: this.directory,
      OFFHEAP_MARK: '1',
    };
  }

  /** Takes in what has been recorded so far; returns the number of events. */
  poll(): number {
    this.#scan();
    return this.processes.reduce(
      (events, { recording }) => events + recording.drain.poll(recording).events,
      0,
    );
  }

  /** Reads everything to its end: the targets are gone. */
  finish(): void {
    do {
      for (const { recording } of this.processes) recording.drain.finish();
    } while (this.poll() > 0);
  }

  /** The recordings of a process, one for each program that it ran. */
  of(pid: number): RecordedProcess[] {
    return this.processes.filter((each) => each.pid === pid);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    for (const { recording } of this.processes) recording.close();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** What goes wrong here goes wrong again for whoever polls next, and is theirs to report. */
  #pollMeanwhile(): void {
    try {
      this.poll();
    } catch {
      clearInterval(this.#timer);
    }
  }

  #scan(): void {
    const fresh = channelFiles(this.directory).filter(({ path }) => !this.#seen.has(path));
    const started = fresh.flatMap(({ path }) => {
      const startedNs = startOf(path);
      return startedNs === undefined ? [] : [{ path, startedNs }];
    });
    // A parent's channel is older than its child's, which starts from what was read of the parent's.
    for (const { path } of started.sort((a, b) => a.startedNs - b.startedNs)) {
      this.#seen.add(path);
      for (const { recording } of this.processes) while (recording.drain.poll(recording).events > 0);
      this.processes.push(new RecordedProcess(path, this.#options));
    }
  }
}

/** When the channel was made; undefined while it is being made. */
function startOf(path: string): number | undefined {
  if (statSync(path).size === 0) return undefined;
  try {
    const channel = new Channel(path);
    channel.close();
    return channel.opened.startMonotonicNs;
  } catch (error) {
    if (error instanceof OffheapError && error.code === 'CHANNEL_STARTING') return undefined;
    throw error;
  }
}

export interface RunOptions {
  env?: Record<string, string>;
  input?: string | Buffer;
}

export interface Run {
  pid: number;
  status: number | null;
  signal: NodeJS.Signals | null;
  stdout: Buffer;
  stderr: Buffer;
}

/** Runs a command to its end, its streams kept as bytes. */
export async function run(command: string, args: string[] = [], options: RunOptions = {}): Promise<Run> {
  const child = spawn(command, args, {
    stdio: 'pipe',
    env: { ...process.env, ...options.env },
    timeout: HANGS_AFTER_MS,
    killSignal: 'SIGKILL',
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (bytes: Buffer) => stdout.push(bytes));
  child.stderr.on('data', (bytes: Buffer) => stderr.push(bytes));
  child.stdin.on('error', () => {}); // a command that ended without reading
  child.stdin.end(options.input ?? '');
  const [status, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return { pid: child.pid!, status, signal, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr) };
}

/** Runs a command under the shim to its end and reads its channels to their ends. Dispose of the recorder. */
export async function record(
  command: string,
  args: string[] = [],
  { env = {}, preload = [], ...options }: RunOptions & { preload?: string[] } = {},
): Promise<{ recorder: Recorder; run: Run; main: RecordedProcess }> {
  const recorder = new Recorder();
  try {
    const ended = await run(command, args, {
      ...options,
      env: { ...recorder.environment({ preload }), ...env },
    });
    recorder.finish();
    const main = recorder.of(ended.pid).at(-1);
    if (main === undefined) throw new Error(`${command} left no channel\n${ended.stderr}`);
    return { recorder, run: ended, main };
  } catch (error) {
    recorder[Symbol.dispose]();
    throw error;
  }
}
