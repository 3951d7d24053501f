import { type CodeName, readCodeName } from './code-name.js';
import { CodeStore, type CodeStoreLimits } from './code-store.js';
import { GrowingFile } from './growing-file.js';
import { HEADER_BYTES, JitdumpRecords, positionAt, readJitdumpHeader } from './jitdump.js';
import { PerfMapLines } from './perf-map.js';
import type { ProcessSight } from './process-sight.js';

export interface JitCodeOptions extends CodeStoreLimits {
  sight: Pick<ProcessSight, 'ownPid' | 'isOwner' | 'pathOf'>;
  /** When the process began: by CLOCK_MONOTONIC, and in milliseconds since 1970. */
  startMonotonicNs: number;
  startUnixMs: number;
  /** Nanoseconds since then. */
  nowNs: () => number;
}

const JITDUMP_FILE = /(?:^|\/)jit-\d+\.dump$/;
/** A process that maps more of them is playing. */
const MOST_DUMPS = 16;
/** Read at once. */
const CHUNK_BYTES = 1 << 16;
/** A refresh takes no longer, whatever a file holds; what is left is read by the next ones. */
const REFRESH_MS = 3000;
/** V8 counts its source positions from the begin of an ELF file that perf would make of the code. */
const V8_POSITION_BIAS = 0x40;
const V8_NAME = /^[A-Z]\w*:/;
const LONGEST_POSITIONS_BYTES = 4 << 20;
/** `detail` of a piece: which dump, and where in it. */
const DUMP_STEP = 2 ** 44;
const MOST_NAMES = 1 << 16;

interface Dump {
  file: GrowingFile;
  records: JitdumpRecords | null;
}

/**
 * The names of the code that an engine made while it ran, as the engine tells them: in a perf map, /tmp/perf-PID.map, or
 * in jitdump files, which are found by their mappings.
 */
export class JitCode {
  readonly #options: JitCodeOptions;
  readonly #store: CodeStore;
  readonly #map: GrowingFile;
  readonly #lines = new PerfMapLines();
  readonly #dumps = new Map<string, Dump>();
  readonly #problems = new Set<string>();
  #lastLookNs = 0;
  #names = new Map<number, CodeName>();
  #namesVersion = 0;

  constructor(options: JitCodeOptions) {
    this.#options = options;
    this.#store = new CodeStore(options);
    this.#map = this.#growingFile(`/tmp/perf-${options.sight.ownPid}.map`);
  }

  /** Rises with every change of what `describe` may answer. */
  get version(): number {
    return this.#store.version;
  }

  get isEmpty(): boolean {
    return this.#store.count === 0;
  }

  /** Why names may be missing, one line each. */
  get problems(): string[] {
    const problems = [...this.#problems];
    const files = [this.#map, ...[...this.#dumps.values()].map(({ file }) => file)];
    for (const { problem } of files) if (problem !== null) problems.push(problem);
    if (files.some(({ behind }) => behind > CHUNK_BYTES))
      problems.push('a perf map or jitdump is still being read');
    const count = (number: number) => number.toLocaleString('en-US');
    const nonsense = this.#lines.malformed + this.#store.senseless;
    if (nonsense > 0) problems.push(`${count(nonsense)} entries of the perf map or jitdump make no sense`);
    if (this.#store.left > 0) {
      problems.push(`${count(this.#store.left)} pieces of JIT code are more than there is room for`);
    }
    return problems;
  }

  /** Reads what has been written since the last time. `mapped` are the files that the process maps executable. */
  refresh(mapped: Iterable<string>): void {
    const nowNs = this.#options.nowNs();
    this.#readMap();
    for (const path of mapped) if (JITDUMP_FILE.test(path)) this.#readDump(path);
    this.#lastLookNs = nowNs;
  }

  /** The code at a runtime address as it was at a time (nanoseconds since the process's start), or null. */
  describe(address: number, timeNs: number): CodeName | null {
    const piece = this.#store.find(address, timeNs);
    if (piece < 0) return null;
    const name = this.#nameOf(piece);
    const position = this.#positionOf(piece, address);
    return position === null ? name : { ...name, ...position };
  }

  /** As `describe`, but nothing that came to stand there later. */
  describeBefore(address: number, timeNs: number): CodeName | null {
    const piece = this.#store.find(address, timeNs);
    return piece >= 0 && this.#store.timeNs(piece) <= timeNs ? this.describe(address, timeNs) : null;
  }

  /** Whether the time matters for what is at `address`. */
  hasChanged(address: number): boolean {
    return this.#store.hasChanged(address);
  }

  close(): void {
    this.#map.close();
    for (const { file } of this.#dumps.values()) file.close();
  }

  #growingFile(path: string): GrowingFile {
    const { sight, startUnixMs } = this.#options;
    return new GrowingFile({
      name: path,
      path: () => sight.pathOf(path),
      isOwner: (uid) => sight.isOwner(uid),
      notBeforeMs: startUnixMs,
    });
  }

  #readMap(): void {
    // A perf map has no times: what is new in it came after the last look.
    const timeNs = this.#lastLookNs;
    const take = (piece: Parameters<CodeStore['add']>[0]) => {
      if (!this.#store.has(piece)) this.#store.add(piece);
    };
    for (const started = performance.now(); performance.now() - started < REFRESH_MS; ) {
      const growth = this.#map.read(CHUNK_BYTES);
      if (growth === null || growth.bytes.length === 0) return;
      const taken = this.#lines.read(growth.bytes, timeNs, take);
      if (taken === 0 && growth.bytes.length < CHUNK_BYTES) return;
      // A line as long as all that was read is none.
      if (taken === 0) this.#lines.malformed++;
      this.#map.take(taken || growth.bytes.length);
    }
  }

  #readDump(path: string): void {
    let dump = this.#dumps.get(path);
    if (dump === undefined) {
      if (this.#dumps.size === MOST_DUMPS) return;
      dump = { file: this.#growingFile(path), records: null };
      this.#dumps.set(path, dump);
    }
    const { file } = dump;
    const number = [...this.#dumps.keys()].indexOf(path);
    for (const started = performance.now(); performance.now() - started < REFRESH_MS; ) {
      const growth = file.read(CHUNK_BYTES);
      if (growth === null || growth.bytes.length === 0) return;
      let taken: number;
      if (growth.isAnew || growth.offset === 0) {
        if (growth.bytes.length < HEADER_BYTES) return;
        taken = this.#begin(dump, { path, number, bytes: growth.bytes });
      } else {
        taken = dump.records?.read(growth.bytes, growth.offset, file.behind) ?? file.behind;
        const damagedAt = dump.records?.damagedAt ?? null;
        if (damagedAt !== null) this.#problems.add(`${path} makes no sense from byte ${damagedAt} on`);
      }
      if (taken === 0) return;
      file.take(taken);
    }
  }

  /** Reads the header; returns how many bytes are done with. */
  #begin(dump: Dump, { path, number, bytes }: { path: string; number: number; bytes: Buffer }): number {
    const header = readJitdumpHeader(bytes);
    const { sight, startMonotonicNs } = this.#options;
    dump.records = null;
    if (typeof header === 'string') {
      this.#problems.add(`${path} can't be read: ${header}`);
      return dump.file.behind;
    }
    if (header.processId !== sight.ownPid) {
      this.#problems.add(`${path} is process ${header.processId}'s: not believed`);
      return dump.file.behind;
    }
    dump.records = new JitdumpRecords({
      timeOf: (stampNs) => (header.hasMonotonicTimes ? stampNs - startMonotonicNs : this.#lastLookNs),
      take: (piece) => {
        const { detail = 0 } = piece;
        this.#store.add({ ...piece, detail: detail === 0 ? 0 : number * DUMP_STEP + detail });
      },
    });
    return header.headerBytes;
  }

  #nameOf(piece: number): CodeName {
    if (this.#namesVersion !== this.#store.version || this.#names.size >= MOST_NAMES) {
      this.#names = new Map();
      this.#namesVersion = this.#store.version;
    }
    let name = this.#names.get(piece);
    if (name === undefined) {
      name = readCodeName(this.#store.name(piece));
      this.#names.set(piece, name);
    }
    return name;
  }

  #positionOf(piece: number, address: number): Pick<CodeName, 'file' | 'line'> | null {
    const detail = this.#store.detail(piece);
    if (detail === 0) return null;
    const file = [...this.#dumps.values()][Math.floor(detail / DUMP_STEP)]?.file;
    if (file === undefined) return null;
    const offset = detail % DUMP_STEP;
    const head = file.bytesAt(offset, 8);
    if (head.length < 8) return null;
    const record = file.bytesAt(offset, Math.min(head.readUInt32LE(4), LONGEST_POSITIONS_BYTES));
    const bias = V8_NAME.test(this.#store.name(piece)) ? V8_POSITION_BIAS : 0;
    const position = positionAt(record, address + bias);
    if (position === null || position.line <= 0) return null;
    return this.#located(position);
  }

  /** V8 writes "file:///srv/app.mjs:12:3" where others write a path. */
  #located({ file, line }: { file: string; line: number }): Pick<CodeName, 'file' | 'line'> {
    const { file: path } = readCodeName(`JS:~ ${file}:${line}:1`);
    return { file: path, line };
  }
}
