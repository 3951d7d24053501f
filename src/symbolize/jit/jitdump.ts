import type { CodePiece } from './code-store.js';

/** The header, and what each record begins with, in bytes. */
export const HEADER_BYTES = 40;
const PREFIX_BYTES = 16;
const LOAD_BYTES = PREFIX_BYTES + 40;
const MOVE_BYTES = PREFIX_BYTES + 48;
const DEBUG_BYTES = PREFIX_BYTES + 16;
/** Of a name so much is looked for its end. */
const LONGEST_NAME_BYTES = 4096;

const MAGIC = 0x4a695444;
const FLAG_ARCHITECTURE_CLOCK = 1;
enum RecordKind {
  load = 0,
  move = 1,
  debugInfo = 2,
}

/** Source positions that wait for the code that they are about; threads write theirs alternately. */
const MOST_WAITING = 4096;

export interface JitdumpHeader {
  headerBytes: number;
  processId: number;
  /** Times are CLOCK_MONOTONIC's, not the processor's own. */
  hasMonotonicTimes: boolean;
}

/** The header of a jitdump file, or in words why it is none that we can read. */
export function readJitdumpHeader(bytes: Buffer): JitdumpHeader | string {
  if (bytes.length < HEADER_BYTES) return 'its header is cut';
  if (bytes.readUInt32LE(0) !== MAGIC) return 'it is no jitdump file of this kind of processor';
  const headerBytes = bytes.readUInt32LE(8);
  const version = bytes.readUInt32LE(4);
  if (version !== 1) return `it is of version ${version}, not 1`;
  if (headerBytes < HEADER_BYTES || headerBytes > 4096) return 'its header makes no sense';
  const flags = bytes.readUInt32LE(32);
  return {
    headerBytes,
    processId: bytes.readUInt32LE(20),
    hasMonotonicTimes: (flags & FLAG_ARCHITECTURE_CLOCK) === 0,
  };
}

export interface JitdumpRecordsOptions {
  /** The time of a record's stamp, in nanoseconds since the process's start. */
  timeOf: (stampNs: number) => number;
  take: (piece: CodePiece) => void;
}

/** The records of a jitdump file, as it grows. A piece's `detail` is where its source positions lie in the file. */
export class JitdumpRecords {
  /** Set where a record makes no sense: what is behind it can't be found. */
  damagedAt: number | null = null;
  /** By the code's address. */
  readonly #positions = new Map<number, number>();
  /** What a move needs of the code that it moves, by the code's number. */
  readonly #loaded = new Map<number, Pick<CodePiece, 'name' | 'detail'>>();

  constructor(private readonly options: JitdumpRecordsOptions) {}

  /**
   * Reads whole records. `bytes` begin at `offset`, and the file has `available` from there on: of a record no more than
   * its head need be in `bytes`. Returns how many bytes are done with.
   */
  read(bytes: Buffer, offset: number, available: number): number {
    let at = 0;
    while (this.damagedAt === null && at + PREFIX_BYTES <= bytes.length) {
      const kind = bytes.readUInt32LE(at);
      const recordBytes = bytes.readUInt32LE(at + 4);
      if (recordBytes < PREFIX_BYTES) {
        this.damagedAt = offset + at;
        return available;
      }
      if (at + recordBytes > available) return at;
      const record = bytes.subarray(at, at + recordBytes);
      // More of it may be in the file than was read.
      const isWhole = record.length === recordBytes || record.length >= LOAD_BYTES + LONGEST_NAME_BYTES;
      if (!isWhole && at > 0) return at;
      this.#take(kind, record, offset + at);
      at += recordBytes;
    }
    return at;
  }

  #take(kind: number, record: Buffer, offset: number): void {
    const timeNs = this.options.timeOf(Number(record.readBigUInt64LE(8)));
    if (kind === RecordKind.load && record.length >= LOAD_BYTES) this.#load(record, timeNs);
    else if (kind === RecordKind.move && record.length >= MOVE_BYTES) this.#move(record, timeNs);
    else if (kind === RecordKind.debugInfo && record.length >= DEBUG_BYTES) {
      if (this.#positions.size >= MOST_WAITING) this.#positions.clear();
      this.#positions.set(Number(record.readBigUInt64LE(PREFIX_BYTES)), offset);
    }
  }

  #load(record: Buffer, timeNs: number): void {
    const start = Number(record.readBigUInt64LE(PREFIX_BYTES + 16));
    const bytes = Number(record.readBigUInt64LE(PREFIX_BYTES + 24));
    const index = Number(record.readBigUInt64LE(PREFIX_BYTES + 32));
    const rest = record.subarray(LOAD_BYTES, LOAD_BYTES + LONGEST_NAME_BYTES);
    const end = rest.indexOf(0);
    const name = end < 0 ? rest : rest.subarray(0, end);
    const detail = this.#positions.get(start) ?? 0;
    this.#positions.delete(start);
    this.options.take({ start, bytes, timeNs, name, detail });
    if (this.#loaded.size >= MOST_WAITING) this.#loaded.clear();
    this.#loaded.set(index, { name: Buffer.from(name), detail });
  }

  #move(record: Buffer, timeNs: number): void {
    const start = Number(record.readBigUInt64LE(PREFIX_BYTES + 24));
    const bytes = Number(record.readBigUInt64LE(PREFIX_BYTES + 32));
    const index = Number(record.readBigUInt64LE(PREFIX_BYTES + 40));
    const loaded = this.#loaded.get(index);
    // Source positions go by the old address.
    if (loaded !== undefined) this.options.take({ start, bytes, timeNs, name: loaded.name, detail: 0 });
  }
}

export interface SourcePosition {
  file: string;
  line: number;
}

/** The entry of a record of source positions that covers an address, or null. */
export function positionAt(record: Buffer, address: number): SourcePosition | null {
  if (record.length < DEBUG_BYTES || record.readUInt32LE(0) !== RecordKind.debugInfo) return null;
  const end = Math.min(record.length, record.readUInt32LE(4));
  let best: SourcePosition | null = null;
  let bestAddress = -1;
  let file = '';
  for (let at = DEBUG_BYTES; at + 16 < end; ) {
    const start = Number(record.readBigUInt64LE(at));
    const line = record.readInt32LE(at + 8);
    const nameEnd = record.indexOf(0, at + 16);
    if (nameEnd < 0 || nameEnd >= end) break;
    // A lone 0xff stands for the file of the entry before.
    const isSame = nameEnd === at + 17 && record[at + 16] === 0xff;
    if (!isSame) file = record.toString('utf8', at + 16, nameEnd);
    if (start <= address && start >= bestAddress) {
      bestAddress = start;
      best = { file, line };
    }
    at = nameEnd + 1;
  }
  return best;
}
