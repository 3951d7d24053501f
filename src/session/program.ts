import type { AllocatorReader } from '../account/allocators/inside.js';
import { allocatorReaders } from '../account/allocators/readers.js';
import { insideAsTold } from '../account/allocators/told.js';
import type { AccountNode } from '../account/tree.js';
import { GrowthTracker } from '../diagnose/growth.js';
import { MemoryLog } from '../diagnose/memory-log.js';
import { judge, judgeOwners, type Verdict } from '../diagnose/verdict.js';
import type { SourceLines } from '../symbolize/lines/source-lines.js';
import type { Symbolizer } from '../symbolize/symbols.js';
import { AllocatorSizeClasses } from './allocator-size-classes.js';
import { AllocatorStatistics } from './allocator-statistics.js';
import { Attributions } from './attributions.js';
import { CodeMap } from './code-map.js';
import { HeapOfProgram } from './heap-of-program.js';
import { isTorn, memoryMoment } from './memory-moment.js';
import type { ProcessRecording } from './recording.js';
import { ownerKey } from './snapshot-mappings.js';

/** So many accounts are passed over of an allocator that changes while it is read. */
const MOST_TORN = 5;

export interface Verdicts {
  process: Verdict;
  owners: (Verdict & { owner: string })[];
}

export interface ProgramOptions {
  symbolizer: Symbolizer;
  lines: SourceLines;
  /** Of its process. */
  pid: number;
  /** The program's file, null while it is unknown. */
  path: string | null;
  isRunning: boolean;
  /** Reads the mapping events up to now. */
  readMappings: () => void;
}

/** What a process runs: another one begins with each exec. Its recordings, and what follows from them. */
export class Program {
  readonly code: CodeMap;
  readonly attributions: Attributions;
  readonly heap: HeapOfProgram;
  readonly growth = new GrowthTracker();
  readonly #statistics: AllocatorStatistics;
  readonly #sizeClasses: AllocatorSizeClasses;
  readonly #memory = new MemoryLog();
  #heapEpoch = 0;
  #tornInARow = 0;
  #verdicts: Verdicts | undefined;
  #judgedChanges = -1;

  constructor(
    readonly recording: ProcessRecording,
    { symbolizer, lines, pid, path, isRunning, readMappings }: ProgramOptions,
  ) {
    this.code = new CodeMap(recording, symbolizer, lines);
    this.attributions = new Attributions(recording, this.code, path);
    this.#statistics = new AllocatorStatistics(recording.drain.channel, pid);
    this.#sizeClasses = new AllocatorSizeClasses(recording.drain.channel);
    this.heap = new HeapOfProgram(recording.path, { code: this.code, isRunning, readMappings });
  }

  /** Notes what memory is used for at this moment. */
  sampleMemory(tree: AccountNode): void {
    const held = this.heap.heldByStack();
    // What is recorded does without.
    const isDoubtful = isTorn(tree) && !held?.stacks;
    this.#tornInARow = isDoubtful ? this.#tornInARow + 1 : 0;
    if (isDoubtful && this.#tornInARow <= MOST_TORN) return;
    // Since a switch other blocks are followed than before.
    if (held !== undefined && held.epoch !== this.#heapEpoch) this.#memory.clear();
    this.#heapEpoch = held?.epoch ?? this.#heapEpoch;
    this.#memory.add(performance.now(), memoryMoment(tree, held?.stacks ?? null));
  }

  /** Leak or retention, of the process and of each owner. */
  verdicts(): Verdicts {
    const { changes } = this.#memory;
    if (this.#verdicts === undefined || this.#judgedChanges !== changes) {
      const history = this.#memory.history();
      this.#verdicts = { process: judge(history), owners: judgeOwners(history) };
      this.#judgedChanges = changes;
    }
    return this.#verdicts;
  }

  /** Who can look into its allocators' memory, or asks them: that is waited for `limitMs` at most. */
  allocators(limitMs: number): readonly AllocatorReader[] {
    const recorded = this.heap.recordedBlocks();
    const questions = {
      statistics: () => this.#statistics.ask(limitMs),
      sizeClasses: () => this.#sizeClasses.ask(limitMs),
    };
    return [...allocatorReaders(recorded), insideAsTold(questions, recorded)];
  }

  /** Notes what each owner holds at this moment. */
  sampleGrowth(): void {
    const bytes = new Map<string, number>();
    for (const { site, bytes: held, reservedBytes } of this.recording.ledger.sites()) {
      const key = ownerKey(this.attributions.of(site));
      bytes.set(key, (bytes.get(key) ?? 0) + held - reservedBytes);
    }
    this.growth.add(performance.now(), bytes);
  }
}
