import { hash as digest } from 'node:crypto';
import { lstatSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { SymbolTable } from '../wire/symbol-table.js';

/** What a file has before its table. */
const HEAD_BYTES = 64;
const MOST_BYTES = 256 << 20;
/** What stays when there is too much. */
const KEPT_SHARE = 0.75;
const SUFFIX = '.symbols';
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
    return SymbolTable.open(this.#pathOf(hash), hash);
  }

  write(key: string, table: SymbolTable): void {
    if (this.problem !== null || !this.#open()) return;
    const hash = keyHash(key);
    const scratch = join(this.folder, `.${process.pid}-${this.#written++}-${Date.now()}`);
    try {
      table.save(scratch, hash);
      renameSync(scratch, this.#pathOf(hash));
      this.#makeRoom(HEAD_BYTES + table.bytes);
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

function isOurs({ uid, mode }: { uid: number; mode: number }): boolean {
  return uid === process.geteuid?.() && (mode & 0o022) === 0;
}

function keyHash(key: string): Buffer {
  return digest('sha256', key, 'buffer');
}
