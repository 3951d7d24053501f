import type { HeapPin } from '../report/schema.js';
import { OffheapError } from '../wire/error.js';
import {
  HeapRecording,
  type HeapRecordingOptions,
  type HeapSnapshot,
  type HeldByStack,
} from './heap-recording.js';
import type { RecordedSites } from './savings.js';

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
      if (!(error instanceof OffheapError)) throw error;
      this.#problem = `the heap's events can't be read: ${error.message}`;
      this.close();
      return undefined;
    }
  }
}
