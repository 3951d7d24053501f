import { createWriteStream, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';

const LIMIT_SECONDS = 90;
const MOST_BYTES = 4 * 2 ** 30;

/**
 * Debug files by build-id from the servers of DEBUGINFOD_URLS, kept where elfutils' client keeps them, so that both use
 * what either has fetched.
 */
export class Debuginfod {
  readonly #urls: readonly string[];
  readonly #folder: string;
  readonly #limitMs: number;

  constructor(env: NodeJS.ProcessEnv = process.env) {
    this.#urls = (env.DEBUGINFOD_URLS ?? '').split(/\s+/).filter((url) => /^https?:\/\//.test(url));
    this.#folder =
      env.DEBUGINFOD_CACHE_PATH || join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'debuginfod_client');
    this.#limitMs = 1000 * (Number(env.DEBUGINFOD_TIMEOUT) || LIMIT_SECONDS);
  }

  get isConfigured(): boolean {
    return this.#urls.length > 0;
  }

  /** Path of the debug file, null where no server has it. What went wrong else is thrown, as any error. */
  async fetch(buildId: string): Promise<string | null> {
    const path = join(this.#folder, buildId, 'debuginfo');
    if (isThere(path)) return path;
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
    } finally {
      rmSync(scratch, { force: true });
    }
    return true;
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
