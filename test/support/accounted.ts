import { type ChildProcess, spawn } from 'node:child_process';
import { on, once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { processStatus } from '../../src/drain/process-identity.js';
import type { AccountReport } from '../../src/report/schema.js';
import { type AttachOptions, attach } from '../../src/session/attach.js';
import type { Session } from '../../src/session/session.js';
import { shimPath } from '../../src/session/shim.js';
import { OffheapError } from '../../src/wire/error.js';
import { HANGS_AFTER_MS } from './limits.js';

/** A command under the shim and a session that watches it. Both end with the test. */
export class AccountedTarget implements AsyncDisposable {
  private constructor(
    readonly session: Session,
    private readonly child: ChildProcess,
    private readonly closed: Promise<unknown>,
    private readonly directory: string,
    private readonly lines: AsyncIterator<string[]>,
  ) {}

  static async start(
    [command, ...args]: readonly string[],
    {
      preload = [],
      env = {},
      ...options
    }: AttachOptions & { preload?: string[]; env?: Record<string, string> } = {},
  ): Promise<AccountedTarget> {
    const directory = mkdtempSync('/dev/shm/offheap-test-');
    chmodSync(directory, 0o700);
    const child = spawn(command!, args, {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: {
        ...process.env,
        LD_PRELOAD: [shimPath(), ...preload].join(':'),
        OFFHEAP_DIR: directory,
        ...env,
      },
    });
    // At once: who listens later misses the first lines.
    const lines = on(createInterface({ input: child.stdout! }), 'line', { close: ['close'] });
    const closed = once(child, 'close');
    const limit = performance.now() + HANGS_AFTER_MS;
    for (;;) {
      try {
        const session = await attach(child.pid!, { dir: directory, ...options });
        return new AccountedTarget(session, child, closed, directory, lines);
      } catch (error) {
        const isEarly =
          error instanceof OffheapError && ['NO_CHANNEL', 'CHANNEL_STARTING'].includes(error.code);
        if (!isEarly || performance.now() > limit) throw error;
        await sleep(1);
      }
    }
  }

  get pid(): number {
    return this.child.pid!;
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** The next line of its output that matches. */
  async line(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const { value, done } = await this.lines.next();
      if (done) throw new Error(`ended without a line like ${pattern}`);
      const match = pattern.exec(value[0]!);
      if (match !== null) return match;
    }
  }

  /** Writes a line; resolves once it is answered by one that begins with "done". */
  async tell(command: string): Promise<void> {
    this.child.stdin!.write(`${command}\n`);
    await this.line(/^done/);
  }

  endInput(): void {
    this.child.stdin!.end();
  }

  /** The account while the target runs on. */
  account(): AccountReport {
    return this.session.account();
  }

  /** The account once it says all: a loaded machine may not run the program within the time that an account waits. */
  async accountTold(
    saysAll = ({ problems }: AccountReport) => problems.length === 0,
  ): Promise<AccountReport> {
    const limit = performance.now() + HANGS_AFTER_MS;
    for (;;) {
      const account = this.account();
      if (saysAll(account) || performance.now() > limit) return account;
      await sleep(1);
    }
  }

  /** The account while all threads are stopped, wherever they are; undefined where it has ended. */
  async accountPaused(): Promise<AccountReport | undefined> {
    this.child.kill('SIGSTOP');
    try {
      for (;;) {
        if (!this.running) return undefined;
        const states = readdirSync(`/proc/${this.pid}/task`).map(
          (task) => processStatus(Number(task))?.state,
        );
        if (states.every((state) => state === 'T')) return this.session.account();
        if (states.every((state) => state === undefined || state === 'Z')) return undefined;
        await sleep(1);
      }
    } finally {
      this.child.kill('SIGCONT');
    }
  }

  /** Lets it end by itself: its standard input is at its end. */
  async finish(): Promise<void> {
    this.child.stdin!.end();
    await this.closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill('SIGKILL');
    await this.closed;
    await this.session.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
