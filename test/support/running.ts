import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { onTestFinished } from 'vitest';
import { HANGS_AFTER_MS } from './limits.js';

export interface Ended {
  status: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface StartOptions {
  env?: Record<string, string | undefined>;
  cwd?: string;
  /** After so long it is killed. */
  limitMs?: number;
}

/** A program that runs beside the test and is killed with it at the latest. */
export class Running {
  readonly ended: Promise<Ended>;
  stdout = '';
  stderr = '';
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(
    command: string,
    args: readonly string[] = [],
    { env = {}, cwd, limitMs = HANGS_AFTER_MS }: StartOptions = {},
  ) {
    this.#child = spawn(command, args, {
      stdio: 'pipe',
      env: { ...process.env, ...env },
      // In a group of its own, no terminal of the tester's sends it signals.
      detached: true,
      ...(cwd === undefined ? {} : { cwd }),
    });
    const { stdin, stdout, stderr } = this.#child;
    stdin!.on('error', () => {}); // a program that ended without reading
    stdout!.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    stderr!.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    this.#lines = createInterface({ input: stdout! })[Symbol.asyncIterator]();
    const limit = setTimeout(() => this.#killGroup(), limitMs);
    this.ended = once(this.#child, 'close').then(([status, signal]) => {
      clearTimeout(limit);
      return { status, signal, stdout: this.stdout, stderr: this.stderr };
    });
    // Its children as well: a killed collector leaves its command behind.
    onTestFinished(() => this.#killGroup());
  }

  get pid(): number {
    return this.#child.pid!;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  write(text: string): void {
    this.#child.stdin!.write(text);
  }

  end(text = ''): Promise<Ended> {
    this.#child.stdin!.end(text);
    return this.ended;
  }

  /** The next line of its output that matches; fails where it ends before. */
  async line(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done) throw new Error(`ended without a line like ${pattern}\n${this.stdout}\n${this.stderr}`);
      const match = pattern.exec(value);
      if (match !== null) return match;
    }
  }

  /** Resolves once its stderr has what matches. */
  async complaint(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.stderr);
      if (match !== null) return match;
      const more = await Promise.race([once(this.#child.stderr!, 'data'), this.ended.then(() => null)]);
      const last = pattern.exec(this.stderr);
      if (more === null && last === null) throw new Error(`ended without ${pattern}\n${this.stderr}`);
    }
  }

  #killGroup(): void {
    try {
      process.kill(-this.pid, 'SIGKILL');
    } catch {
      // Nobody of it lives.
    }
  }
}

/** Runs a program to its end. */
export function finish(
  command: string,
  args: readonly string[] = [],
  { input = '', ...options }: StartOptions & { input?: string } = {},
): Promise<Ended> {
  return new Running(command, args, options).end(input);
}
