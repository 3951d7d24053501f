import { type HeapLeak, type HeapSite, NO_HEAP } from '../report/heap/sites.js';
import type { Snapshot, SnapshotHeap } from '../report/schema.js';
import { frameText } from '../report/stacks.js';
import { OffheapError } from '../wire/error.js';
import { DEFAULT_SAMPLE_BYTES } from '../wire/heap.js';
import { HEAP_MODES, type HeapMode } from '../wire/heap-mode.js';
import type { HeapRecording } from './heap-recording.js';
import { ageBins, sizeBins, threadRows } from './heap-rows.js';
import type { HeapView } from './session.js';

const MOST_SAMPLE_BYTES = 2 ** 32 - 1;

/** Of whom a view tells. */
export interface HeapOfProcess {
  readonly pid: number;
  readonly ended: boolean;
  /** Undefined where there is none, or no longer. */
  readonly heapRecording: HeapRecording | undefined;
  /** What was known last, once the recording is closed. */
  readonly lastSnapshot: Snapshot | undefined;
}

export function heapView(process: HeapOfProcess): HeapView {
  const snapshot = () => process.heapRecording?.snapshot().part ?? process.lastSnapshot?.heap ?? NO_HEAP;
  const framesOf = (stack: number): string[] => {
    const frames = process.heapRecording?.frames(stack) ?? process.lastSnapshot?.stacks[stack] ?? [];
    return frames.map(frameText);
  };
  return {
    get mode() {
      return process.heapRecording?.mode ?? snapshot().mode;
    },
    set mode(mode: HeapMode) {
      if (!HEAP_MODES.includes(mode)) {
        throw new OffheapError(
          'HEAP_MODE_UNKNOWN',
          `there is no heap mode ${JSON.stringify(mode)}; choose ${HEAP_MODES.join(', ')}`,
        );
      }
      const recording = switchable(process);
      recording.setMode(mode, recording.sampleBytes || DEFAULT_SAMPLE_BYTES);
    },
    get sampleBytes() {
      return process.heapRecording?.sampleBytes ?? snapshot().sampleBytes;
    },
    set sampleBytes(bytes: number) {
      if (!Number.isInteger(bytes) || bytes < 1 || bytes > MOST_SAMPLE_BYTES) {
        throw new OffheapError(
          'SAMPLE_BYTES_REFUSED',
          `can't sample every ${JSON.stringify(bytes)} bytes; choose a whole number from 1 to ${MOST_SAMPLE_BYTES}`,
        );
      }
      const recording = switchable(process);
      recording.setMode(recording.mode, bytes);
    },
    totals() {
      const { owners: _, sites: __, ...totals }: SnapshotHeap = snapshot();
      return totals;
    },
    bySite(limit = Number.POSITIVE_INFINITY): HeapSite[] {
      return snapshot()
        .sites.slice(0, limit)
        .map((site) => ({ ...site, frames: framesOf(site.stack) }));
    },
    byOwner: () => snapshot().owners,
    byThread: () => process.heapRecording?.read((channel) => threadRows(channel.threads())) ?? [],
    bySize: () => process.heapRecording?.read((channel) => sizeBins(channel.sizes())) ?? [],
    byAge: () => process.heapRecording?.read((channel) => ageBins(channel.ages())) ?? [],
    pins: (limit = Number.POSITIVE_INFINITY) =>
      (process.heapRecording ?? refuse(process)).pins(process.pid, limit),
    mark: () => (process.heapRecording ?? refuse(process)).mark(),
    leaks(since?: number): HeapLeak[] {
      const rows = (process.heapRecording ?? refuse(process)).leaks(since);
      return rows.map((row) => ({ ...row, frames: framesOf(row.stack) }));
    },
  };
}

function switchable(process: HeapOfProcess): HeapRecording {
  if (process.ended) {
    throw new OffheapError('PROCESS_ENDED', `process ${process.pid} has ended; switch one that runs`);
  }
  return process.heapRecording ?? refuse(process);
}

function refuse({ pid }: HeapOfProcess): never {
  throw new OffheapError(
    'HEAP_UNAVAILABLE',
    `the heap of process ${pid} is not recorded; its report's completeness says why`,
  );
}
