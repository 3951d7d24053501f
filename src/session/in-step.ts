import { compareRanges, kernelRanges } from '../account/compare.js';
import { type MappingKind, type Range, readMaps } from '../account/maps.js';
import type { MappingLedger } from '../ledger/mapping-ledger.js';
import { ADDRESS_LIMIT } from '../ledger/memory-abi.js';
import { OffheapError } from '../wire/error.js';
import type { MappingEvent, Operation } from '../wire/event.js';
import type { ProcessRecording } from './recording.js';

const MOST_TRIES = 5;
/** A target that maps as fast as we read would otherwise keep us here for ever. */
const MOST_POLLS = 64;
const MAP_PRIVATE_ANONYMOUS = 0x22;
/** What the ledger holds as well: the kernel's own mappings (vdso) are among the seeds, and no file's. */
const COMPARED: readonly MappingKind[] = ['anonymous', 'sharedAnonymous', 'kernel'];

/** The ledger's ranges of memory that is no file's, in address order. */
export function ledgerRanges(ledger: MappingLedger): Range[] {
  const ranges: Range[] = [];
  for (const { start, end, origin } of ledger.ranges()) {
    if (origin.class !== 'file') ranges.push({ start, end });
  }
  return ranges;
}

/** Bytes that the kernel has and the ledger doesn't, and the other way round. */
export interface Differences {
  missingInLedger: Range[];
  missingInKernel: Range[];
}

/**
 * Compares with /proc/PID/maps at a moment when no event is on its way, as far as a running target allows: undefined
 * when it kept mapping memory throughout, or is gone.
 */
export function differencesFromKernel(recording: ProcessRecording, pid: number): Differences | undefined {
  for (let attempt = 0; attempt < MOST_TRIES; attempt++) {
    for (let polls = 0; polls < MOST_POLLS && recording.drain.poll(recording).events > 0; polls++);
    const before = recording.drain.position;
    let kernel: Range[];
    try {
      // Behind the limit lies [vsyscall], which every process shows.
      kernel = kernelRanges(readMaps(pid), COMPARED).filter(({ end }) => end <= ADDRESS_LIMIT);
    } catch (error) {
      if (error instanceof OffheapError) return undefined;
      throw error;
    }
    // A process on its way out has given up its memory before it is gone: that says nothing about what it held.
    if (kernel.length === 0) return undefined;
    recording.drain.poll(recording);
    // A thread that has taken a place in the ring and not filled it hides all behind it, however long it is stopped.
    const taken = recording.drain.channel.header().ringHead;
    if (recording.drain.position !== before || taken !== before) continue;
    const { missingInLedger, missingInKernel } = compareRanges(ledgerRanges(recording.ledger), kernel);
    return { missingInLedger, missingInKernel };
  }
  return undefined;
}

/**
 * After a loss of events: drops what the kernel no longer has and takes in what it has as memory without a stack, which
 * reports show as unexplained.
 */
export function bringInStep(recording: ProcessRecording, pid: number): void {
  const differences = differencesFromKernel(recording, pid);
  if (differences === undefined) return;
  for (const range of differences.missingInKernel) recording.apply(synthetic('munmap', range));
  for (const range of differences.missingInLedger) recording.apply(synthetic('mmap', range));
  recording.outOfStep = false;
}

/** The kernel extends stacks by itself: what it added below one belongs to that stack. */
export function followStacks(recording: ProcessRecording, missing: readonly Range[]): Range[] {
  return missing.filter((range) => {
    const above = recording.ledger.at(range.end);
    if (above?.origin.growsDown !== true || above.start !== range.end) return true;
    recording.apply({ ...synthetic('seed', range), path: '[stack]' });
    return false;
  });
}

function synthetic(operation: Operation, { start, end }: Range): MappingEvent {
  const bytes = end - start;
  const args: MappingEvent['args'] =
    operation === 'munmap'
      ? [start, bytes, 0, 0, 0, 0]
      : operation === 'seed'
        ? [start, bytes, 3, MAP_PRIVATE_ANONYMOUS, 0, 0]
        : [start, bytes, 3, MAP_PRIVATE_ANONYMOUS, -1, 0];
  return {
    position: 0,
    operation,
    phase: 'complete',
    timeNs: 0,
    args,
    result: operation === 'munmap' ? 0 : start,
    refersTo: 0,
    extra: 0,
    threadId: 0,
    stack: 0,
    path: null,
    generation: 0,
    stackTruncated: false,
    byProfiler: false,
    enclosing: null,
  };
}
