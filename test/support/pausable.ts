import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { readMaps } from '../../src/account/maps.js';
import { processStatus } from '../../src/drain/process-identity.js';
import { HANGS_AFTER_MS } from './limits.js';
import { Recorder } from './recorded.js';
import type { RecordedProcess } from './recorded-process.js';

/** A target under the shim that can be stopped at any moment, and that ends with the test. */
export class PausableTarget implements AsyncDisposable {
  readonly recorder: Recorder;
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;
  #output = '';

  private constructor(recorder: Recorder, command: readonly string[], env: Record<string, string>) {
    this.recorder = recorder;
    this.#child = spawn(command[0]!, command.slice(1), {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, ...env },
    });
    this.#child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
    });
    this.#closed = once(this.#child, 'close');
  }

  /** Starts a command and leaves it paused, soon after its recording began. */
  static async start(
    command: readonly string[],
    { env = {}, ...preload }: { env?: Record<string, string>; preload?: string[]; before?: string[] } = {},
  ): Promise<PausableTarget> {
    const recorder = new Recorder();
    const target = new PausableTarget(recorder, command, { ...recorder.environment(preload), ...env });
    try {
      while (await target.pause()) {
        recorder.poll();
        const [recorded] = recorder.of(target.pid);
        // Until then what it held before its start is still being written down.
        if (recorded?.recording.drain.channel.header().state === 'running') return target;
        target.resume();
        // The shortest of runs: on a busy machine a timer may come after the target's end.
        await setImmediate();
      }
      throw new Error(`${command[0]} ended before it was recorded`);
    } catch (error) {
      await target[Symbol.asyncDispose]();
      throw error;
    }
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The program that the target runs now. */
  get recorded(): RecordedProcess {
    return this.recorder.of(this.pid).at(-1)!;
  }

  /** Waits until the target says that it is ready. */
  async ready(): Promise<string> {
    await this.#until(() => this.#output.includes('READY\n'));
    return this.#output;
  }

  /** Stops all of its threads wherever they are; false when it has ended. */
  async pause(): Promise<boolean> {
    this.#child.kill('SIGSTOP');
    for (;;) {
      if (!this.running) return false;
      const states = tasks(this.pid).map((task) => processStatus(task)?.state);
      if (states.length > 0 && states.every((state) => state === 'T')) return true;
      if (states.every((state) => state === undefined || state === 'Z' || state === 'X')) return false;
      await sleep(1);
    }
  }

  resume(): void {
    this.#child.kill('SIGCONT');
  }

  /** How many threads of a paused target stand between a system call and its record: its event is yet to come. */
  threadsInShim(): number {
    const code = readMaps(this.pid).filter(
      ({ path, executable }) => executable && path.endsWith('/liboffheap.so'),
    );
    return tasks(this.pid).filter((task) => {
      const position = Number(
        readFileSync(`/proc/${this.pid}/task/${task}/syscall`, 'utf8').trim().split(' ').at(-1),
      );
      return code.some(({ start, end }) => position >= start && position < end);
    }).length;
  }

  /** Lets it end by itself: its standard input is at its end. */
  async finish(): Promise<number | null> {
    this.#child.stdin!.end();
    await this.#closed;
    this.recorder.finish();
    return this.#child.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#closed;
    this.recorder[Symbol.dispose]();
  }

  async #until(reached: () => boolean): Promise<void> {
    const limit = performance.now() + HANGS_AFTER_MS;
    while (!reached()) {
      if (!this.running && !reached()) throw new Error(`the target ended early\n${this.#output}`);
      if (performance.now() > limit) throw new Error(`the target did not get ready\n${this.#output}`);
      await sleep(1);
    }
  }
}

function tasks(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map(Number);
  } catch {
    return [];
  }
}
