import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  futimesSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writevSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { SymbolTable } from './symbol-table.js';

const MAGIC = 'offheap\0';
/** To be raised with each change of what a table holds. */
const VERSION = 1;
const HEAD_BYTES = 64;
const VERSION_AT = 8;
const CHECKSUM_AT = 12;
const CHECKED_FROM = 16;
const KEY_AT = 16;
const MOST_BYTES = 256 << 20;
const MOST_FILE_BYTES = 512 << 20;
/** What stays when there is too much. */
const KEPT_SHARE = 0.75;
const SUFFIX = '.symbols';
const TOUCHED_MS = 3_600_000;
const ABANDONED_MS = 3_600_000;

/**
 * Symbol tables on disk, for all collectors of this user. The folder is this user's alone, and still nothing is taken
 * for granted: a file that is another's, damaged or cut short is dropped, and its table is read anew. Files appear
 * whole, by a rename; those not used for longest go when there are too many.
 */
export class SymbolCache {
  /** Why nothing is kept, in one line; null while all is well. */
  problem: string | null = null;
  #isReady = false;
  #bytes: number | null = null;
  #written = 0;

  constructor(
    private readonly folder: string,
    private readonly mostBytes = MOST_BYTES,
  ) {}

  /** The one in this user's cache folder; null where there is no such folder. */
  static ofUser(environment: NodeJS.ProcessEnv = process.env): SymbolCache | null {
    const { XDG_CACHE_HOME } = environment;
    if (XDG_CACHE_HOME && isAbsolute(XDG_CACHE_HOME)) {
      return new SymbolCache(join(XDG_CACHE_HOME, 'offheap', 'symbols'));
    }
    const home = homedir();
    return isAbsolute(home) ? new SymbolCache(join(home, '.cache', 'offheap', 'symbols')) : null;
  }

  read(key: string): SymbolTable | null {
    if (!this.#open()) return null;
    const hash = keyHash(key);
    const path = this.#pathOf(hash);
    let descriptor: number;
    try {
      descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch {
      return null;
    }
    try {
      const table = readTable(descriptor, hash);
      if (table === null) rmSync(path, { force: true });
      return table;
    } catch {
      return null;
    } finally {
      closeSync(descriptor);
    }
  }

  write(key: string, { bytes }: SymbolTable): void {
    if (this.problem !== null || bytes.length > MOST_FILE_BYTES || !this.#open()) return;
    const head = Buffer.alloc(HEAD_BYTES);
    head.write(MAGIC, 'latin1');
    head.writeUInt32LE(VERSION, VERSION_AT);
    const hash = keyHash(key);
    hash.copy(head, KEY_AT);
    head.writeUInt32LE(crc32(bytes, crc32(head.subarray(CHECKED_FROM))), CHECKSUM_AT);
    const scratch = join(this.folder, `.${process.pid}-${this.#written++}-${Date.now()}`);
    try {
      const descriptor = openSync(scratch, 'wx', 0o600);
      try {
        const written = writevSync(descriptor, [head, bytes]);
        if (written !== HEAD_BYTES + bytes.length) throw new Error('no space left');
      } finally {
        closeSync(descriptor);
      }
      renameSync(scratch, this.#pathOf(hash));
      this.#makeRoom(HEAD_BYTES + bytes.length);
    } catch (error) {
      rmSync(scratch, { force: true });
      this.problem = `symbol tables can't be kept in ${this.folder}: ${(error as Error).message}`;
    }
  }

  #open(): boolean {
    if (this.#isReady || this.problem !== null) return this.#isReady;
    try {
      mkdirSync(this.folder, { recursive: true, mode: 0o700 });
      for (const folder of [dirname(this.folder), this.folder]) {
        const stat = lstatSync(folder);
        if (!stat.isDirectory() || !isOurs(stat)) {
          this.problem = `symbol tables are not kept: ${folder} is not this user's alone to write to`;
          return false;
        }
      }
      this.#isReady = true;
    } catch (error) {
      this.problem = `symbol tables are not kept: ${(error as Error).message}`;
    }
    return this.#isReady;
  }

  /** Another collector writes too, so what is there is counted anew before anything is deleted. */
  #makeRoom(added: number): void {
    this.#bytes = this.#bytes === null ? null : this.#bytes + added;
    if (this.#bytes !== null && this.#bytes <= this.mostBytes) return;
    const files = readdirSync(this.folder).flatMap((name) => {
      const path = join(this.folder, name);
      const stat = statSync(path, { throwIfNoEntry: false });
      return stat === undefined ? [] : [{ name, path, bytes: stat.size, usedMs: stat.mtimeMs }];
    });
    for (const { name, path, usedMs } of files) {
      if (!name.endsWith(SUFFIX) && Date.now() - usedMs > ABANDONED_MS) rmSync(path, { force: true });
    }
    let total = files.reduce((sum, { bytes }) => sum + bytes, 0);
    if (total > this.mostBytes) {
      files.sort((a, b) => a.usedMs - b.usedMs);
      for (const { path, bytes } of files) {
        if (total <= this.mostBytes * KEPT_SHARE) break;
        rmSync(path, { force: true });
        total -= bytes;
      }
    }
    this.#bytes = total;
  }

  #pathOf(hash: Buffer): string {
    return `${this.folder}/${hash.toString('hex')}${SUFFIX}`;
  }
}

function readTable(descriptor: number, key: Buffer): SymbolTable | null {
  const stat = fstatSync(descriptor);
  if (!stat.isFile() || !isOurs(stat) || stat.size < HEAD_BYTES || stat.size > MOST_FILE_BYTES) return null;
  // Of its own, so that its parts stand at multiples of 4.
  const content = Buffer.allocUnsafeSlow(stat.size) as Buffer<ArrayBuffer>;
  if (readSync(descriptor, content, 0, stat.size, 0) !== stat.size) return null;
  const isSound =
    content.toString('latin1', 0, MAGIC.length) === MAGIC &&
    content.readUInt32LE(VERSION_AT) === VERSION &&
    content.subarray(KEY_AT, KEY_AT + key.length).equals(key) &&
    content.readUInt32LE(CHECKSUM_AT) === crc32(content.subarray(CHECKED_FROM));
  if (!isSound) return null;
  if (Date.now() - stat.mtimeMs > TOUCHED_MS) futimesSync(descriptor, new Date(), new Date());
  try {
    return new SymbolTable(new Uint8Array(content.buffer, HEAD_BYTES));
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

function isOurs({ uid, mode }: { uid: number; mode: number }): boolean {
  return uid === process.geteuid?.() && (mode & 0o022) === 0;
}

function keyHash(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
