import type { Recorded } from '../account/allocators/asked.js';
import type { HeapPin } from '../report/schema.js';
import { glibcHeaps } from '../wire/addon.js';
import { OffheapError } from '../wire/error.js';
import type { HeapAsked } from '../wire/heap.js';
import {
  HeapRecording,
  type HeapRecordingOptions,
  type HeapSnapshot,
  type HeldByStack,
} from './heap-recording.js';
import type { RecordedSites } from './savings.js';

/** What is the matter with the process, and not with the record of its heap. */
const OF_THE_PROCESS = ['PROCESS_MISSING', 'PROCESS_REFUSED'];

const NOTHING_ASKED: HeapAsked = {
  ...{ blocks: 0, bytes: 0, slackBytes: 0, slackResidentBytes: 0, slackBytesVariance: 0, unclassedBytes: 0 },
  residentBytes: -1,
};

/** A program's heap as long as it can be read: a channel whose heap is damaged still has its mappings. */
export class HeapOfProgram {
  #recording: HeapRecording | undefined;
  #problem: string | undefined;

  constructor(path: string, options: HeapRecordingOptions) {
    this.#guard(() => {
      this.#recording = new HeapRecording(path, options);
    });
  }

  get recording(): HeapRecording | undefined {
    return this.#recording;
  }

  /** Why there is no recording. */
  get problem(): string | undefined {
    return this.#problem;
  }

  snapshot(): HeapSnapshot | undefined {
    return this.#guard(() => this.#recording?.snapshot());
  }

  /** Undefined where it can't be read. */
  heldByStack(): HeldByStack | undefined {
    return this.#guard(() => this.#recording?.heldByStack());
  }

  recordedSites(): RecordedSites | undefined {
    return this.#guard(() => this.#recording?.recordedSites());
  }

  /** Null where not every allocation is recorded. */
  pins(pid: number, limit: number): HeapPin[] | null {
    return this.#guard(() => (this.#recording?.isExact() ? this.#recording.pins(pid, limit) : null)) ?? null;
  }

  /** What is known of live blocks by their addresses, as of each time that it is asked for. */
  recordedBlocks(): Recorded {
    const nothing = (reason: string): Recorded => ({ coverage: 'none', reason });
    const coverage = this.#guard(() => this.#recording?.coverage() ?? 'none');
    if (coverage === undefined || this.#recording === undefined)
      return nothing("the heap's events can't be read");
    if (coverage === 'none') return nothing('allocations are not recorded');
    return {
      coverage,
      // A heap whose events turn out to be damaged still has its blocks.
      glibcHeaps: (...where) =>
        this.#guard(() => this.#recording?.glibcHeaps(...where)) ?? glibcHeaps(...where),
      asked: (pid, ranges, classes) =>
        this.#guard(() => this.#recording?.asked(pid, ranges, classes)) ?? NOTHING_ASKED,
    };
  }

  mark(): void {
    this.#guard(() => this.#recording?.mark());
  }

  /** The target writes no more: takes in all that it left. */
  finish(): void {
    this.#guard(() => this.#recording?.finish());
  }

  close(): void {
    this.#recording?.close();
    this.#recording = undefined;
  }

  #guard<T>(work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof OffheapError) || OF_THE_PROCESS.includes(error.code)) throw error;
      this.#problem = `the heap's events can't be read: ${error.message}`;
      this.close();
      return undefined;
    }
  }
}
