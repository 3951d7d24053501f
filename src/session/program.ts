import type { AllocatorReader } from '../account/allocators/inside.js';
import { ALLOCATOR_READERS } from '../account/allocators/readers.js';
import { insideAsTold } from '../account/allocators/told.js';
import { GrowthTracker } from '../diagnose/growth.js';
import type { SourceLines } from '../symbolize/lines/source-lines.js';
import type { Symbolizer } from '../symbolize/symbols.js';
import { AllocatorStatistics } from './allocator-statistics.js';
import { Attributions } from './attributions.js';
import { CodeMap } from './code-map.js';
import { HeapOfProgram } from './heap-of-program.js';
import type { ProcessRecording } from './recording.js';
import { ownerKey } from './snapshot-mappings.js';

export interface ProgramOptions {
  symbolizer: Symbolizer;
  lines: SourceLines;
  /** Of its process. */
  pid: number;
  /** The program's file, null while it is unknown. */
  path: string | null;
  /** Reads the mapping events up to now. */
  readMappings: () => void;
}

/** What a process runs: another one begins with each exec. Its recordings, and what follows from them. */
export class Program {
  readonly code: CodeMap;
  readonly attributions: Attributions;
  readonly heap: HeapOfProgram;
  readonly growth = new GrowthTracker();
  /** Who can look into its allocators' memory, or can ask them. */
  readonly allocators: readonly AllocatorReader[];

  constructor(
    readonly recording: ProcessRecording,
    { symbolizer, lines, pid, path, readMappings }: ProgramOptions,
  ) {
    this.code = new CodeMap(recording, symbolizer, lines);
    this.attributions = new Attributions(recording, this.code, path);
    const statistics = new AllocatorStatistics(recording.drain.channel, pid);
    this.allocators = [...ALLOCATOR_READERS, insideAsTold(() => statistics.ask())];
    this.heap = new HeapOfProgram(recording.path, { code: this.code, readMappings });
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
