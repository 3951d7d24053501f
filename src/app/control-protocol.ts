import { join } from 'node:path';

/**
 * The control protocol: newline-delimited JSON over a collector's Unix socket beside the channels. A request is
 * `{id, process, method, params}`, where `process` is the id of one that the collector watches; its response is
 * `{id, result}` or `{id, error: {code, message}}`. After the response to `repl` the connection is a terminal's byte
 * stream.
 */
export interface ControlRequest {
  id: number;
  process: number;
  method: string;
  params: Record<string, unknown>;
}

export interface ControlResponse {
  id: number | null;
  result?: unknown;
  error?: { code: string; message: string };
}

/** Where a collector answers. A channel's header names its collector, so the channel leads here. */
export function controlSocketPath(directory: string, collectorPid: number): string {
  return join(directory, `collector-${collectorPid}.sock`);
}

const NEWLINE = 0x0a;

/** Cuts a byte stream into lines; what follows a line stays available as bytes, for the upgrade. */
export class LineReader {
  private chunks: Buffer[] = [];
  private size = 0;

  constructor(private readonly longestBytes: number) {}

  append(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.size += chunk.length;
  }

  /** The next whole line, or undefined until there is one. Throws where a line outgrows the limit. */
  next(): string | undefined {
    // Only the newest chunk can bring the line's end: older ones were searched when they came.
    const last = this.chunks.at(-1);
    const end = last?.indexOf(NEWLINE) ?? -1;
    if (last === undefined || end < 0) {
      if (this.size > this.longestBytes)
        throw new RangeError(`a line is longer than ${this.longestBytes} bytes`);
      return undefined;
    }
    const line = Buffer.concat([...this.chunks.slice(0, -1), last.subarray(0, end)]);
    const rest = last.subarray(end + 1);
    this.chunks = rest.length > 0 ? [rest] : [];
    this.size = rest.length;
    return line.toString('utf8');
  }

  /** Takes the bytes behind the last line. */
  rest(): Buffer {
    const rest = Buffer.concat(this.chunks);
    this.chunks = [];
    this.size = 0;
    return rest;
  }
}
