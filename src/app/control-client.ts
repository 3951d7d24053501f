import { lstatSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { finished } from 'node:stream/promises';
import type { SnapshotDiff } from '../report/diff.js';
import type { Overview } from '../report/overview.js';
import type { AccountReport, Snapshot, TrimReport } from '../report/schema.js';
import type { FlamegraphOptions, PagemapOptions } from '../session/session.js';
import { OffheapError } from '../wire/error.js';
import type { Collector, OverviewOptions, ReplTerminal } from './collector.js';
import { type ControlResponse, LineReader } from './control-protocol.js';
import type { EvaluateOptions } from './evaluate.js';

interface Pending {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/**
 * The collector behind a control socket; undefined where none answers there. A socket that isn't this user's alone is
 * refused: whoever made it could show anything.
 */
export async function connectControl(path: string, pid: number): Promise<Collector | undefined> {
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (status === undefined) return undefined;
  if (!status.isSocket() || status.uid !== process.getuid?.() || (status.mode & 0o077) !== 0) {
    throw new OffheapError(
      'SOCKET_REFUSED',
      `the control socket ${path} is not this user's alone; ask as the user who runs the collector`,
    );
  }
  const socket = connect(path);
  const connected = await new Promise<boolean>((resolve, reject) => {
    socket.once('connect', () => resolve(true));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      // Left over from a collector that was killed: nobody will answer there again.
      if (error.code === 'ECONNREFUSED') rmSync(path, { force: true });
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(false);
      else
        reject(
          new OffheapError(
            'CONTROL_SOCKET',
            `can't ask the collector at ${path}: ${error.message}; try again`,
          ),
        );
    });
  });
  return connected ? new RemoteCollector(pid, socket) : undefined;
}

class RemoteCollector implements Collector {
  readonly ended: Promise<string>;
  private readonly pending = new Map<number, Pending>();
  private readonly reader = new LineReader(Number.POSITIVE_INFINITY);
  private lastId = 0;

  constructor(
    readonly pid: number,
    private readonly socket: Socket,
  ) {
    socket.on('data', this.receive);
    // 'close' follows, and ends what is pending.
    socket.on('error', () => {});
    this.ended = new Promise((resolve) => {
      socket.once('close', () => {
        const gone = new OffheapError('COLLECTOR_GONE', `the collector of process ${pid} is gone; ask again`);
        for (const { reject } of this.pending.values()) reject(gone);
        this.pending.clear();
        resolve(`the collector of process ${pid} is gone`);
      });
    });
  }

  overview(options: OverviewOptions = {}): Promise<Overview> {
    return this.call('overview', { ...options });
  }

  snapshot(): Promise<Snapshot> {
    return this.call('snapshot');
  }

  account(): Promise<AccountReport> {
    return this.call('account');
  }

  pagemap(options: PagemapOptions = {}): Promise<string> {
    return this.call('pagemap', { ...options });
  }

  trim(): Promise<TrimReport> {
    return this.call('trim');
  }

  mark(): Promise<{ takenAt: string }> {
    return this.call('mark');
  }

  diff(): Promise<SnapshotDiff> {
    return this.call('diff');
  }

  async flamegraph(options: FlamegraphOptions = {}): Promise<string | Uint8Array> {
    const file = await this.call<string | { base64: string }>('flamegraph', { ...options });
    return typeof file === 'string' ? file : Buffer.from(file.base64, 'base64');
  }

  evaluate(expression: string, options: EvaluateOptions): Promise<string> {
    return this.call('eval', { expression, ...options });
  }

  async repl({ input, output, interactive, colors, columns }: ReplTerminal): Promise<void> {
    await this.call('repl', { interactive, colors, columns });
    this.socket.off('data', this.receive);
    const rest = this.reader.rest();
    if (rest.length > 0) this.socket.unshift(rest);
    input.pipe(this.socket);
    this.socket.pipe(output, { end: false });
    await finished(this.socket, { writable: false, error: false });
    input.unpipe(this.socket);
  }

  async close(): Promise<void> {
    this.socket.destroy();
  }

  private readonly receive = (chunk: Buffer): void => {
    this.reader.append(chunk);
    for (let line = this.reader.next(); line !== undefined; line = this.reader.next()) {
      const { id, result, error } = JSON.parse(line) as ControlResponse;
      const waiting = this.pending.get(id ?? this.lastId);
      this.pending.delete(id ?? this.lastId);
      if (error === undefined) waiting?.resolve(result);
      else waiting?.reject(new OffheapError(error.code, error.message));
      // What follows the answer to `repl` is no line.
      if (result === true) return;
    }
  };

  private call<Result>(method: string, params: Record<string, unknown> = {}): Promise<Result> {
    this.lastId += 1;
    const id = this.lastId;
    return new Promise((resolve, reject) => {
      if (this.socket.destroyed) {
        reject(new OffheapError('COLLECTOR_GONE', `the collector of process ${this.pid} is gone; ask again`));
        return;
      }
      this.pending.set(id, { resolve: (result) => resolve(result as Result), reject });
      this.socket.write(`${JSON.stringify({ id, process: this.pid, method, params })}\n`);
    });
  }
}
