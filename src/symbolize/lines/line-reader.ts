import { statSync } from 'node:fs';
import { OffheapError } from '../../wire/error.js';
import type { Chain } from './chain.js';
import type { DebugSource } from './debug-files.js';
import { type DebugKind, debugKind } from './debug-kind.js';
import { askInstalled, type InstalledSymbolizer, installedSymbolizers } from './installed-symbolizer.js';
import { LineWorker } from './line-worker.js';
import { workerPath } from './worker-path.js';

const LIMIT_MS = 20_000;
/** The others are slower, the more so by compressed sections. */
const INSTALLED_LIMIT_MS = 60_000;

export interface LineReaderOptions {
  /** The worker's program; null: there is none. */
  worker?: string | null;
  /** By preference. */
  installed?: () => InstalledSymbolizer[];
  limitMs?: number;
}

/** Reads debug information: by the worker, and what that can't read by the symbolizers of the machine. */
export class LineReader {
  readonly #worker: LineWorker | null;
  readonly #findInstalled: () => InstalledSymbolizer[];
  readonly #limitMs: number;
  #installed: InstalledSymbolizer[] | undefined;

  constructor({ worker = workerPath(), installed, limitMs = LIMIT_MS }: LineReaderOptions = {}) {
    this.#worker = worker === null ? null : new LineWorker(worker);
    this.#findInstalled = installed ?? (() => installedSymbolizers());
    this.#limitMs = limitMs;
  }

  /** The worker's process while there is one. */
  get workerPid(): number | undefined {
    return this.#worker?.pid;
  }

  /**
   * `path`: as the module is called, for its companions beside it. Throws what `LineWorker.ask` throws, and
   * `LINES_UNREADABLE` where nothing here can read it.
   */
  async read(
    source: DebugSource,
    path: string,
    addresses: readonly number[],
  ): Promise<{ chains: Chain[]; problem: string }> {
    const kind = debugKind(source.elf);
    if (kind === 'plain' && this.#worker !== null) return this.#byWorker(this.#worker, source, addresses);
    const { chains, failure } = await this.#byInstalled(source, path, addresses);
    if (chains !== null) return { chains, problem: '' };
    // What is split leaves the lines in the module itself, without the inlined calls.
    if (kind === 'split' && this.#worker !== null) {
      const answer = await this.#byWorker(this.#worker, source, addresses);
      return { ...answer, problem: `without inlined calls: ${unreadable(kind, this.#isAnyInstalled)}` };
    }
    throw failure ?? new OffheapError('LINES_UNREADABLE', unreadable(kind, this.#isAnyInstalled));
  }

  get #isAnyInstalled(): boolean {
    return (this.#installed?.length ?? 0) > 0;
  }

  #byWorker(worker: LineWorker, { elf, alternate }: DebugSource, addresses: readonly number[]) {
    // The descriptor by which it is shared may have been parked since it was found.
    const { sharedPath, path, identity } = elf.file;
    const module = { path: sharedPath ?? path, identity };
    return worker.ask({ module, alternate, addresses }, this.#limitMs);
  }

  async #byInstalled(source: DebugSource, path: string, addresses: readonly number[]) {
    this.#installed ??= this.#findInstalled();
    const file = nameOf(source, path);
    let failure: unknown;
    for (const symbolizer of this.#installed) {
      try {
        const chains = await askInstalled(symbolizer, file, addresses, INSTALLED_LIMIT_MS);
        // A version that doesn't know the compression says nothing, without failing.
        if (chains.some((chain) => chain.length > 0)) return { chains, failure };
      } catch (error) {
        failure ??= error;
      }
    }
    return { chains: null, failure };
  }

  close(): void {
    this.#worker?.close();
  }
}

function unreadable(kind: DebugKind, isAnyInstalled: boolean): string {
  const what = {
    plain: 'offheap was built where libbacktrace is not installed',
    zstd: 'its debug information is compressed by zstd',
    split: 'its debug information lies in .dwo files',
  }[kind];
  return `${what}; install ${isAnyInstalled ? 'a newer' : ''} llvm-symbolizer${kind === 'split' ? '' : ' or addr2line'}`.replaceAll(
    '  ',
    ' ',
  );
}

/** The name under which companions are found beside it, where that is the very file. */
function nameOf({ elf }: DebugSource, path: string): string {
  const { file } = elf;
  const named = [path, file.path].find((name) => identityOf(name) === file.identity);
  return named ?? file.sharedPath ?? file.path;
}

function identityOf(path: string): string | null {
  try {
    const { dev, ino, size, mtimeNs } = statSync(path, { bigint: true });
    return `${dev}:${ino}:${size}:${mtimeNs}`;
  } catch {
    return null;
  }
}
