import { existsSync } from 'node:fs';
import { CodeMap, stackNumber } from '../../src/session/code-map.js';
import { Symbolizer } from '../../src/symbolize/symbols.js';
import type { ChannelHeader } from '../../src/wire/header.js';
import { HeapChannel, type HeapSites, type HeapThreads, type HeapTotals } from '../../src/wire/heap.js';
import type { HeapMode } from '../../src/wire/heap-mode.js';
import { buildCountingShim, type Counts, readCounts } from './heap-counts.js';
import { scratchFolder } from './offheap.js';
import { Recorder, type Run, run } from './recorded.js';
import type { RecordedProcess } from './recorded-process.js';

const LOOKS_EVERY_MS = 2;

type SiteColumn = Exclude<keyof HeapSites, 'stack'>;

/** One stack that allocated, with all columns of `HeapSites`. */
export type HeapSite = Record<SiteColumn, number> & {
  /** Leaf first; unnamed ones by their module. */
  functions: string[];
  modules: string[];
};

/** One process's heap as it was at its end. */
export interface RecordedHeap {
  pid: number;
  header: ChannelHeader;
  totals: HeapTotals;
  sites: HeapSite[];
  threads: HeapThreads;
  /** What the counting shim saw; null where it was not asked for. */
  counts: Counts | null;
}

export interface HeapRun extends RecordedHeap {
  run: Run;
  /** All processes, the first among them. */
  processes: RecordedHeap[];
}

export interface HeapRunOptions {
  heap?: HeapMode;
  sampleBytes?: number;
  env?: Record<string, string>;
  input?: string;
  /** Libraries behind the shim and ahead of it. */
  preload?: string[];
  before?: string[];
  /** Puts the counting shim behind the shim. */
  counting?: boolean;
}

/** Adds up the sites that have a function of this name on their stack, a column at a time. */
export function sumOf(heap: RecordedHeap, column: SiteColumn, functionName: string): number {
  const pattern = new RegExp(`(^|[:\\s])${functionName}(\\(|$)`);
  return heap.sites
    .filter(({ functions }) => functions.some((name) => pattern.test(name)))
    .reduce((sum, site) => sum + site[column], 0);
}

/** The heaps of all channels of a folder, from the moment that they appear. */
class HeapReaders {
  readonly #recorder: Recorder;
  readonly #heaps = new Map<RecordedProcess, HeapChannel>();
  readonly #timer = setInterval(() => this.look(), LOOKS_EVERY_MS);

  constructor(recorder: Recorder) {
    this.#recorder = recorder;
  }

  look(): void {
    for (const process of this.#recorder.processes) {
      if (this.#heaps.has(process)) continue;
      const heap = new HeapChannel(process.recording.drain.channel.path);
      this.#heaps.set(process, heap);
      heap.start();
    }
  }

  /** To be called when all targets have ended. */
  finish(countsFolder: string): RecordedHeap[] {
    clearInterval(this.#timer);
    this.look();
    return [...this.#heaps].map(([process, heap]) => {
      heap.finish();
      return describe(process, heap, countsFolder);
    });
  }

  close(): void {
    clearInterval(this.#timer);
    for (const heap of this.#heaps.values()) heap.close();
  }
}

function describe(process: RecordedProcess, heap: HeapChannel, countsFolder: string): RecordedHeap {
  const code = new CodeMap(process.recording, new Symbolizer());
  const { stack, ...columns } = heap.sites();
  const sites = [...stack].map((node, row) => {
    const values = Object.entries(columns).map(([name, column]) => [name, column[row]!]);
    const frames = code.frames(stackNumber(node, 0));
    return {
      ...(Object.fromEntries(values) as Record<SiteColumn, number>),
      functions: frames.map((frame) => frame.function ?? `[${frame.module}]`),
      modules: frames.map((frame) => frame.module),
    };
  });
  return {
    pid: process.pid,
    header: process.recording.drain.channel.header(),
    totals: heap.totals(),
    sites,
    threads: heap.threads(),
    counts: readCounts(countsFolder, process.pid),
  };
}

/** Runs a command to its end with its heap recorded, and reads what became of it. */
export async function recordHeap(
  [command, ...args]: readonly string[],
  {
    heap = 'exact',
    sampleBytes,
    env = {},
    preload = [],
    before = [],
    counting = false,
    input,
  }: HeapRunOptions = {},
): Promise<HeapRun> {
  if (command === undefined || (command.includes('/') && !existsSync(command)))
    throw new Error(`no ${command}`);
  const countsFolder = scratchFolder();
  const recorder = new Recorder();
  const readers = new HeapReaders(recorder);
  try {
    const behind = [...preload, ...(counting ? [buildCountingShim()] : [])];
    const ended = await run(command, args, {
      ...(input === undefined ? {} : { input }),
      env: {
        ...recorder.environment({ preload: behind, before }),
        OFFHEAP_HEAP: heap,
        // What it records before we have found its channel is waited for.
        OFFHEAP_COLLECTOR: String(process.pid),
        ...(sampleBytes === undefined ? {} : { OFFHEAP_SAMPLE_BYTES: String(sampleBytes) }),
        ...(counting ? { OFFHEAP_COUNTS: countsFolder } : {}),
        ...env,
      },
    });
    recorder.finish();
    const processes = readers.finish(countsFolder);
    const main = processes.findLast(({ pid }) => pid === ended.pid);
    if (main === undefined) throw new Error(`${command} left no channel\n${ended.stderr}`);
    return { ...main, run: ended, processes };
  } finally {
    readers.close();
    recorder[Symbol.dispose]();
  }
}
