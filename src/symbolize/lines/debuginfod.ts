import { createWriteStream, mkdirSync, readdirSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';

const LIMIT_SECONDS = 90;
const MOST_BYTES = 4 * 2 ** 30;
/** What is kept of all files, where nothing else is set. */
const MOST_KEPT_BYTES = 8e9;
/** What stays when there is too much. */
const KEPT_SHARE = 0.75;

/**
 * Debug files by build-id from the servers of DEBUGINFOD_URLS, kept where elfutils' client keeps them, so that both use
 * what either has fetched.
 */
export class Debuginfod {
  readonly #urls: readonly string[];
  readonly #folder: string;
  readonly #limitMs: number;
  readonly #mostKeptBytes: number;

  constructor(env: NodeJS.ProcessEnv = process.env) {
    this.#urls = (env.DEBUGINFOD_URLS ?? '').split(/\s+/).filter((url) => /^https?:\/\//.test(url));
    this.#folder =
      env.DEBUGINFOD_CACHE_PATH || join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'debuginfod_client');
    this.#mostKeptBytes = 1e6 * Number(env.OFFHEAP_DEBUGINFOD_MEGABYTES) || MOST_KEPT_BYTES;
    this.#limitMs = 1000 * (Number(env.DEBUGINFOD_TIMEOUT) || LIMIT_SECONDS);
  }

  get isConfigured(): boolean {
    return this.#urls.length > 0;
  }

  /** Path of the debug file, null where no server has it. What went wrong else is thrown, as any error. */
  async fetch(buildId: string): Promise<string | null> {
    const path = join(this.#folder, buildId, 'debuginfo');
    if (isThere(path)) {
      touch(path);
      return path;
    }
    let failure: unknown;
    for (const url of this.#urls) {
      try {
        if (await this.#download(`${url.replace(/\/+$/, '')}/buildid/${buildId}/debuginfo`, path))
          return path;
      } catch (error) {
        failure = new Error(`${url}: ${reasonOf(error)}`);
      }
    }
    if (failure !== undefined) throw failure;
    return null;
  }

  async #download(url: string, path: string): Promise<boolean> {
    const response = await fetch(url, { signal: AbortSignal.timeout(this.#limitMs) });
    if (response.status === 404) return false;
    if (!response.ok || response.body === null) throw new Error(`status ${response.status}`);
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    // Two collectors may fetch the same; each renames a whole file into place.
    const scratch = `${path}.${process.pid}`;
    try {
      await pipeline(
        Readable.fromWeb(response.body as ReadableStream),
        atMost(MOST_BYTES),
        createWriteStream(scratch, { mode: 0o600 }),
      );
      renameSync(scratch, path);
      this.#makeRoom(path);
    } finally {
      rmSync(scratch, { force: true });
    }
    return true;
  }

  /** Debug files not used for longest go; what elfutils' client has fetched besides is its own affair. */
  #makeRoom(newest: string): void {
    const names = readdirSync(this.#folder).filter((name) => /^[0-9a-f]+$/.test(name));
    const files = names.flatMap((buildId) => {
      const path = join(this.#folder, buildId, 'debuginfo');
      const stat = statSync(path, { throwIfNoEntry: false });
      return stat?.isFile() ? [{ path, bytes: stat.size, usedMs: stat.mtimeMs }] : [];
    });
    let total = files.reduce((sum, { bytes }) => sum + bytes, 0);
    if (total <= this.#mostKeptBytes) return;
    files.sort((a, b) => a.usedMs - b.usedMs);
    for (const { path, bytes } of files) {
      if (total <= this.#mostKeptBytes * KEPT_SHARE) return;
      if (path === newest) continue;
      rmSync(path, { force: true });
      total -= bytes;
    }
  }
}

/** Ages count from the last use, whatever the file system does about access times. */
function touch(path: string): void {
  try {
    utimesSync(path, new Date(), new Date());
  } catch {
    // Somebody else's, and older than it need be.
  }
}

/** An empty file is how elfutils' client notes that there is none. */
function isThere(path: string): boolean {
  return (statSync(path, { throwIfNoEntry: false })?.size ?? 0) > 0;
}

function atMost(bytes: number): Transform {
  let seen = 0;
  return new Transform({
    transform(chunk: Buffer, _, done) {
      seen += chunk.length;
      done(seen > bytes ? new Error(`more than ${bytes} bytes`) : null, chunk);
    },
  });
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
