import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

const PATIENCE_MS = 120_000;

/** A program that answers each line on its standard input with a line on its output. */
export class Conversation {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  #errors = '';

  constructor(command: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const [program, ...args] = command;
    this.#child = spawn(program!, args, {
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#child.stderr!.on('data', (bytes: Buffer) => {
      this.#errors = (this.#errors + bytes).slice(-2000);
    });
    this.#child.stdin!.on('error', () => {});
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]();
  }

  /** Of the program, or of the tool that it was started by. */
  get pid(): number {
    return this.#child.pid!;
  }

  async ask(line: string): Promise<string> {
    this.#child.stdin!.write(`${line}\n`);
    return await this.next();
  }

  /** The next line of output. Throws with what the program complained about when there is none. */
  async next(): Promise<string> {
    const patience = setTimeout(() => this.#child.kill('SIGKILL'), PATIENCE_MS);
    const { value, done } = await this.#lines.next();
    clearTimeout(patience);
    if (done) throw new Error(`${this.#child.spawnargs.join(' ')}: no answer\n${this.#errors}`);
    return value;
  }

  /** Closes its input and waits until it has ended. */
  async end(): Promise<void> {
    this.#child.stdin!.end();
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'exit');
  }
}
