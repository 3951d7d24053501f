import type { ElfFile } from '../../modules/elf.js';
import { fileAddress, type Module } from '../../modules/table.js';
import { OffheapError } from '../../wire/error.js';
import { type Chain, NO_CHAIN } from './chain.js';
import { debugSource } from './debug-source.js';
import { LineWorker } from './line-worker.js';
import { workerPath } from './worker-path.js';

const LIMIT_MS = 20_000;
/** One question: large enough that most modules need one, small enough for its time limit. */
const MOST_ADDRESSES_ASKED = 16_384;
/** An engine that makes code may go through any number of addresses. */
const MOST_CHAINS = 400_000;

interface KnownModule {
  elf: ElfFile;
  path: string;
  chains: Map<number, Chain>;
  wanted: Set<number>;
  /** Nothing more is asked of its debug information: it has none, or reading it failed. */
  hasGivenUp: boolean;
}

/**
 * The lines of source and the inlined calls at the addresses that somebody wants to see. They are looked up one module
 * after the other in another process; what is known is told at once.
 */
export class SourceLines {
  readonly #modules = new Map<string, KnownModule>();
  readonly #problems = new Map<string, string>();
  readonly #worker: LineWorker | null;
  #running: Promise<void> | undefined;
  #version = 0;
  #count = 0;

  constructor(executable: string | null = workerPath()) {
    this.#worker = executable === null ? null : new LineWorker(executable);
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
      const path = module.path ?? module.name;
      known = { elf: module.elf, path, chains: new Map(), wanted: new Set(), hasGivenUp: false };
      this.#modules.set(key, known);
    }
    const inFile = fileAddress(module, address);
    if (known.hasGivenUp || known.chains.has(inFile)) return;
    known.elf = module.elf;
    known.wanted.add(inFile);
    this.#running ??= this.#run();
  }

  /** Resolves when nothing is wanted any more. */
  async settled(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async #run(): Promise<void> {
    // Whoever wants one address wants more in the same breath.
    await Promise.resolve();
    for (;;) {
      const next = [...this.#modules.values()].find(({ wanted }) => wanted.size > 0);
      if (next === undefined) break;
      await this.#lookUp(next);
      this.#version++;
    }
    this.#running = undefined;
  }

  async #lookUp(known: KnownModule): Promise<void> {
    const addresses = [...known.wanted].sort((a, b) => a - b).slice(0, MOST_ADDRESSES_ASKED);
    for (const address of addresses) known.wanted.delete(address);
    try {
      const source = debugSource(known.elf);
      if (source === null || this.#worker === null) return giveUp(known);
      const answer = await this.#worker.ask({ ...source, addresses }, LIMIT_MS);
      if (answer.problem !== '') this.#problems.set(known.path, answer.problem);
      this.#keep(known, addresses, answer.chains);
    } catch (error) {
      if (!(error instanceof OffheapError)) throw error;
      this.#problems.set(known.path, error.message);
      giveUp(known);
    }
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
