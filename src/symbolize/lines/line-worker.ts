import { type ChildProcess, spawn } from 'node:child_process';
import { OffheapError } from '../../wire/error.js';
import { decodeAnswer, encodeRequest, type LinesAnswer, type LinesRequest } from './worker-message.js';

/** An idle worker's memory is of no use to anybody. */
const IDLE_MS = 2000;
/** What has grown beyond this is ended though it is busy: one that is new reads again what it needs. */
const MOST_RESIDENT_BYTES = 512 << 20;
const LONGEST_ANSWER_BYTES = 256 << 20;

interface Waiting {
  resolve(answer: Buffer): void;
  reject(error: OffheapError): void;
}

/**
 * The process that reads debug information with libbacktrace, which never frees: it is started when something is asked
 * and ended when it was idle for a while. A file that makes it crash, hang or grow costs it and not the collector.
 */
export class LineWorker {
  #child: ChildProcess | undefined;
  #waiting: Waiting | undefined;
  #received: Buffer[] = [];
  #receivedBytes = 0;
  #idle: NodeJS.Timeout | undefined;

  constructor(
    private readonly executable: string,
    private readonly mostResidentBytes = MOST_RESIDENT_BYTES,
  ) {}

  /** The process while there is one: for tests. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /**
   * Asks one thing at a time. Throws `LINES_REFUSED` where the file can't be read, `LINES_TIMEOUT`, `LINES_CRASHED` and
   * `LINES_BROKEN`; after these three the next question goes to a new worker.
   */
  async ask(request: LinesRequest, limitMs: number): Promise<LinesAnswer> {
    clearTimeout(this.#idle);
    const child = this.#start();
    const seconds = limitMs / 1000;
    const timer = setTimeout(() => {
      this.#fail('LINES_TIMEOUT', `reading its debug information took more than ${seconds} seconds`);
    }, limitMs);
    try {
      const answer = await new Promise<Buffer>((resolve, reject) => {
        this.#waiting = { resolve, reject };
        child.stdin?.write(encodeRequest(request));
      });
      const decoded = decodeAnswer(answer);
      if (decoded.residentBytes > this.mostResidentBytes) this.close();
      return decoded;
    } catch (error) {
      if (error instanceof OffheapError && error.code !== 'LINES_REFUSED') this.close();
      throw error;
    } finally {
      clearTimeout(timer);
      this.#rest();
    }
  }

  close(): void {
    clearTimeout(this.#idle);
    const child = this.#child;
    this.#child = undefined;
    this.#received = [];
    this.#receivedBytes = 0;
    child?.kill('SIGKILL');
  }

  #start(): ChildProcess {
    if (this.#child !== undefined) {
      hold(this.#child);
      return this.#child;
    }
    const child = spawn(this.executable, [], { stdio: ['pipe', 'pipe', 'ignore'], env: {} });
    this.#child = child;
    child.stdout?.on('data', (chunk: Buffer) => {
      if (child === this.#child) this.#receive(chunk);
    });
    const lost = (reason: string) => {
      if (child === this.#child) this.#fail('LINES_CRASHED', reason);
    };
    child.on('error', (error) => lost(`the worker that reads lines can't be started: ${error.message}`));
    child.on('close', (status, signal) =>
      lost(`its debug information made the worker that reads it end (${signal ?? `status ${status}`})`),
    );
    // It ended without reading: 'close' tells.
    child.stdin?.on('error', () => {});
    return child;
  }

  #receive(chunk: Buffer): void {
    this.#received.push(chunk);
    this.#receivedBytes += chunk.length;
    if (this.#receivedBytes < 4) return;
    if (this.#received[0]!.length < 4) this.#received = [Buffer.concat(this.#received)];
    const bytes = this.#received[0]!.readUInt32LE(0);
    if (bytes > LONGEST_ANSWER_BYTES || this.#receivedBytes > bytes + 4) {
      this.#fail('LINES_BROKEN', 'the answer of the worker that reads lines makes no sense');
    } else if (this.#receivedBytes === bytes + 4) {
      const answer = Buffer.concat(this.#received).subarray(4);
      this.#received = [];
      this.#receivedBytes = 0;
      const waiting = this.#waiting;
      this.#waiting = undefined;
      waiting?.resolve(answer);
    }
  }

  #fail(code: string, message: string): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    this.close();
    waiting?.reject(new OffheapError(code, message));
  }

  /** Nothing is asked: it doesn't keep the program from ending, and ends itself in a while. */
  #rest(): void {
    if (this.#child === undefined) return;
    release(this.#child);
    this.#idle = setTimeout(() => this.close(), IDLE_MS).unref();
  }
}

/** Streams of a child are sockets, which the types don't say. */
type Held = { ref?: () => void; unref?: () => void };

function hold(child: ChildProcess): void {
  for (const each of [child, child.stdin, child.stdout] as (Held | null)[]) each?.ref?.();
}

function release(child: ChildProcess): void {
  for (const each of [child, child.stdin, child.stdout] as (Held | null)[]) each?.unref?.();
}
