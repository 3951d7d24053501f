import { chmodSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { FRAME_FILTERS } from '../report/frame-filter.js';
import type { FlamegraphOptions, PagemapOptions } from '../session/session.js';
import { OffheapError } from '../wire/error.js';
import type { Collector } from './collector.js';
import { type ControlRequest, type ControlResponse, LineReader } from './control-protocol.js';

const LONGEST_REQUEST_BYTES = 1 << 20;
/** sun_path holds 108 bytes with its NUL; a longer path would be cut without a word. */
const LONGEST_PATH_BYTES = 107;

export interface ControlServer {
  close(): void;
}

/** The collector of a process, where this one watches it. */
export type FindCollector = (pid: number) => Collector | undefined;

/**
 * Lets other commands of the same user ask this collector. The socket is code execution: mode 0600, never TCP.
 * A socket that nobody answers is left over from a collector that died, and is replaced.
 */
export async function serveControl(path: string, find: FindCollector): Promise<ControlServer> {
  if (Buffer.byteLength(path) > LONGEST_PATH_BYTES) {
    throw new OffheapError(
      'CONTROL_PATH',
      `the path ${path} is too long for a socket; choose a shorter --dir`,
    );
  }
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    answer(socket, find);
  });
  try {
    await listen(server, path);
  } catch (error) {
    if (!isCode(error, 'EADDRINUSE')) throw listenError(path, error);
    if (await isAnswered(path)) {
      throw new OffheapError('ALREADY_COLLECTED', `another collector answers at ${path}; ask that one`);
    }
    rmSync(path, { force: true });
    await listen(server, path).catch((again: unknown) => {
      throw listenError(path, again);
    });
  }
  chmodSync(path, 0o600);
  return {
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    // Bound synchronously: there is no moment at which others could open the socket.
    const before = process.umask(0o177);
    try {
      server.listen(path, () => {
        server.off('error', reject);
        resolve();
      });
    } finally {
      process.umask(before);
    }
  });
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}

function listenError(path: string, error: unknown): OffheapError {
  const reason = error instanceof Error ? error.message : String(error);
  return new OffheapError('CONTROL_SOCKET', `no control socket at ${path}: ${reason}; check its folder`);
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

function answer(socket: Socket, find: FindCollector): void {
  const reader = new LineReader(LONGEST_REQUEST_BYTES);
  const respond = (response: ControlResponse) => {
    if (socket.writable) socket.write(`${JSON.stringify(response)}\n`);
  };
  const receive = (chunk: Buffer) => {
    reader.append(chunk);
    try {
      for (let line = reader.next(); line !== undefined; line = reader.next()) {
        const request = parse(line);
        const collector = find(request.process);
        if (collector === undefined) {
          respond({ id: request.id, error: errorOf(notWatched(request.process)) });
          continue;
        }
        if (request.method === 'repl') {
          socket.off('data', receive);
          // The prompt is loaded first: what arrives meanwhile would be handed to nobody, and be lost.
          socket.pause();
          respond({ id: request.id, result: true });
          const rest = reader.rest();
          if (rest.length > 0) socket.unshift(rest);
          upgrade(socket, request.params, collector);
          return;
        }
        call(collector, request).then(
          (result) => respond({ id: request.id, result: result ?? null }),
          (error: unknown) => respond({ id: request.id, error: errorOf(error) }),
        );
      }
    } catch (error) {
      respond({ id: null, error: { code: 'BAD_REQUEST', message: errorOf(error).message } });
      socket.end();
    }
  };
  socket.on('data', receive);
  // A client that goes away in the middle of an answer is no fault of ours.
  socket.on('error', () => socket.destroy());
}

function parse(line: string): ControlRequest {
  const request: unknown = JSON.parse(line);
  if (typeof request !== 'object' || request === null) throw new TypeError('a request is an object');
  const { id, process, method, params = {} } = request as Partial<ControlRequest>;
  const hasNumbers = typeof id === 'number' && typeof process === 'number';
  if (!hasNumbers || typeof method !== 'string' || typeof params !== 'object' || params === null) {
    throw new TypeError('a request has a number id, a number process, a string method, and an object params');
  }
  return { id, process, method, params };
}

async function call(collector: Collector, { method, params }: ControlRequest): Promise<unknown> {
  switch (method) {
    case 'overview':
      return collector.overview({
        only: FRAME_FILTERS.find((filter) => filter === params.only),
        linesWithinMs: typeof params.linesWithinMs === 'number' ? params.linesWithinMs : undefined,
      });
    case 'snapshot':
      return collector.snapshot();
    case 'account':
      return collector.account();
    case 'pagemap':
      return collector.pagemap(params as PagemapOptions);
    case 'trim':
      return collector.trim();
    case 'mark':
      return collector.mark();
    case 'diff':
      return collector.diff();
    case 'flamegraph':
      return asJson(await collector.flamegraph(params as FlamegraphOptions));
    case 'eval':
      return collector.evaluate(String(params.expression), {
        json: params.json === true,
        colors: params.colors === true,
        columns: Number(params.columns) || 80,
      });
    default:
      throw new OffheapError(
        'UNKNOWN_METHOD',
        `this collector knows no method '${method}'; update the older part`,
      );
  }
}

/** Bytes have no form of their own in JSON. */
function asJson(file: string | Uint8Array): string | { base64: string } {
  return typeof file === 'string' ? file : { base64: Buffer.from(file).toString('base64') };
}

function upgrade(socket: Socket, params: Record<string, unknown>, collector: Collector): void {
  const columns = Number(params.columns) || 80;
  // readline wraps its line at the width that its output names.
  Object.assign(socket, { columns });
  const terminal = {
    interactive: params.interactive === true,
    colors: params.colors === true,
    columns,
  };
  collector.repl({ input: socket, output: socket, ...terminal }).then(
    () => socket.end(),
    () => socket.destroy(),
  );
}

function notWatched(pid: number): OffheapError {
  return new OffheapError(
    'NOT_WATCHED',
    `this collector does not watch process ${pid}; offheap ps lists who does`,
  );
}

function errorOf(error: unknown): { code: string; message: string } {
  if (error instanceof OffheapError) return { code: error.code, message: error.message };
  return { code: 'INTERNAL', message: error instanceof Error ? error.message : String(error) };
}
