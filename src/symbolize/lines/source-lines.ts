import { ElfError } from '../../modules/bounded-file.js';
import type { ElfFile } from '../../modules/elf.js';
import { fileAddress, type Module } from '../../modules/table.js';
import { OffheapError } from '../../wire/error.js';
import { type Chain, NO_CHAIN } from './chain.js';
import { DebugFiles, type DebugSource, type FoundDebugFile } from './debug-files.js';
import { Debuginfod } from './debuginfod.js';
import { LineReader } from './line-reader.js';

/** One question: large enough that most modules need one, small enough for its time limit. */
const MOST_ADDRESSES_ASKED = 16_384;
/** An engine that makes code may go through any number of addresses. */
const MOST_CHAINS = 400_000;

interface KnownModule {
  elf: ElfFile;
  path: string;
  chains: Map<number, Chain>;
  wanted: Set<number>;
  /** Undefined until it was looked for. */
  source: DebugSource | undefined;
  /** A server is asked for it. */
  fetching: Promise<void> | undefined;
  /** Nothing more is asked of its debug information: it has none, or reading it failed. */
  hasGivenUp: boolean;
}

export interface SourceLinesOptions {
  files?: DebugFiles;
  reader?: LineReader;
  debuginfod?: Debuginfod;
}

/**
 * The lines of source and the inlined calls at the addresses that somebody wants to see. They are looked up one module
 * after the other in another process; what is known is told at once.
 */
export class SourceLines {
  readonly #modules = new Map<string, KnownModule>();
  readonly #problems = new Map<string, string>();
  readonly #files: DebugFiles;
  readonly #reader: LineReader;
  readonly #debuginfod: Debuginfod;
  #running: Promise<void> | undefined;
  #version = 0;
  #count = 0;

  constructor(options: SourceLinesOptions = {}) {
    this.#files = options.files ?? new DebugFiles();
    this.#reader = options.reader ?? new LineReader();
    this.#debuginfod = options.debuginfod ?? new Debuginfod();
  }

  /** Rises whenever more is known. */
  get version(): number {
    return this.#version;
  }

  /** Why addresses of a file have no lines though its debug information may tell, by path: one line each. */
  get problems(): ReadonlyMap<string, string> {
    return this.#problems;
  }

  /** The functions at a runtime address (the byte itself, of a call and not behind it); undefined while unknown. */
  chain(module: Module, address: number): Chain | undefined {
    if (!isTrusted(module)) return NO_CHAIN;
    const known = this.#modules.get(keyOf(module.elf));
    return known?.chains.get(fileAddress(module, address)) ?? (known?.hasGivenUp ? NO_CHAIN : undefined);
  }

  /** Looks an address up soon. */
  want(module: Module, address: number): void {
    if (!isTrusted(module)) return;
    const key = keyOf(module.elf);
    let known = this.#modules.get(key);
    if (known === undefined) {
      known = {
        elf: module.elf,
        path: module.path ?? module.name,
        chains: new Map(),
        wanted: new Set(),
        source: undefined,
        fetching: undefined,
        hasGivenUp: false,
      };
      this.#modules.set(key, known);
    }
    const inFile = fileAddress(module, address);
    if (known.hasGivenUp || known.chains.has(inFile)) return;
    known.elf = module.elf;
    known.wanted.add(inFile);
    this.#running ??= this.#run();
  }

  /** Resolves when nothing is wanted any more, with true; or after a time in milliseconds, with false. */
  async settled(limitMs = Number.POSITIVE_INFINITY): Promise<boolean> {
    const deadline = performance.now() + limitMs;
    for (;;) {
      const fetching = [...this.#modules.values()].flatMap((known) => known.fetching ?? []);
      if (this.#running === undefined && fetching.length === 0) return true;
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) return false;
      await before(Promise.all([this.#running, ...fetching]), leftMs);
    }
  }

  /** Ends the process that reads; it is started anew where more is wanted. */
  close(): void {
    this.#reader.close();
  }

  async #run(): Promise<void> {
    // Whoever wants one address wants more in the same breath.
    await Promise.resolve();
    for (;;) {
      const next = [...this.#modules.values()].find(
        ({ wanted, fetching }) => wanted.size > 0 && fetching === undefined,
      );
      if (next === undefined) break;
      await this.#lookUp(next);
      this.#version++;
    }
    this.#running = undefined;
  }

  async #lookUp(known: KnownModule): Promise<void> {
    try {
      const source = known.source ?? this.#find(known);
      if (source === null) return;
      const addresses = [...known.wanted].sort((a, b) => a - b).slice(0, MOST_ADDRESSES_ASKED);
      for (const address of addresses) known.wanted.delete(address);
      const { chains, problem } = await this.#reader.read(source, known.path, addresses);
      if (problem !== '') this.#problems.set(known.path, problem);
      this.#keep(known, addresses, chains);
    } catch (error) {
      if (!(error instanceof OffheapError || error instanceof ElfError)) throw error;
      this.#problems.set(known.path, error.message);
      giveUp(known);
    }
  }

  /** Null where there is none, or none yet. */
  #find(known: KnownModule): DebugSource | null {
    const found = this.#files.find(known.elf, known.path);
    this.#take(known, found);
    const { buildId } = known.elf;
    if (found.source !== null) return found.source;
    if (buildId === null || !this.#debuginfod.isConfigured) giveUp(known);
    else known.fetching = this.#fetch(known, buildId);
    return null;
  }

  async #fetch(known: KnownModule, buildId: string): Promise<void> {
    try {
      const file = await this.#debuginfod.fetch(buildId);
      if (file !== null) this.#take(known, this.#files.accept(known.elf, known.path, file));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#problems.set(known.path, `its debug file can't be fetched: ${reason}`);
    }
    known.fetching = undefined;
    if (known.source === undefined) giveUp(known);
    this.#version++;
    if (known.wanted.size > 0) this.#running ??= this.#run();
  }

  #take(known: KnownModule, { source, problem }: FoundDebugFile): void {
    if (problem !== null) this.#problems.set(known.path, problem);
    if (source !== null) known.source = source;
  }

  #keep({ chains }: KnownModule, addresses: readonly number[], found: readonly Chain[]): void {
    if (this.#count + addresses.length > MOST_CHAINS) {
      for (const known of this.#modules.values()) known.chains.clear();
      this.#count = 0;
    }
    for (const [index, address] of addresses.entries()) chains.set(address, found[index] ?? NO_CHAIN);
    this.#count += addresses.length;
  }
}

/** Resolves with the work, or after a time in milliseconds. */
async function before(work: Promise<unknown>, limitMs: number): Promise<void> {
  if (limitMs === Number.POSITIVE_INFINITY) return void (await work);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, limitMs);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A module whose file is there and is the one that was mapped. */
function isTrusted(module: Module): module is Module & { elf: ElfFile } {
  return module.elf !== null && module.stale === null;
}

/** A stripped copy has its original's build-id, but not its size. */
function keyOf({ buildId, file }: ElfFile): string {
  return buildId === null ? file.identity : `${buildId}:${file.bytes}`;
}

function giveUp(known: KnownModule): void {
  known.hasGivenUp = true;
  known.wanted.clear();
}
