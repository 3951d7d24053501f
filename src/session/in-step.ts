import { compareRanges, kernelRanges } from '../account/compare.js';
import { type MappingKind, type Range, readMaps } from '../account/maps.js';
import type { MappingLedger } from '../ledger/mapping-ledger.js';
import { ADDRESS_LIMIT } from '../ledger/memory-abi.js';
import { OffheapError } from '../wire/error.js';
import type { MappingEvent } from '../wire/event.js';
import type { ProcessRecording } from './recording.js';
import { syntheticEvent } from './synthetic-event.js';

const MOST_TRIES = 5;
/** A target that maps as fast as we read would otherwise keep us here for ever. */
const MOST_POLLS = 64;
const PROT_READ_WRITE = 3;
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
  for (const { start, end } of differences.missingInKernel) {
    recording.apply(syntheticEvent('munmap', [start, end - start, 0, 0, 0, 0]));
  }
  for (const { start, end } of differences.missingInLedger) {
    recording.apply(
      syntheticEvent('mmap', [start, end - start, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0]),
    );
  }
  recording.outOfStep = false;
}

/** The kernel extends stacks by itself: what it added below one belongs to that stack. */
export function followStacks(recording: ProcessRecording, missing: readonly Range[]): Range[] {
  return missing.filter((range) => {
    const above = recording.ledger.at(range.end);
    if (above?.origin.growsDown !== true || above.start !== range.end) return true;
    const args: MappingEvent['args'] = [
      range.start,
      range.end - range.start,
      PROT_READ_WRITE,
      MAP_PRIVATE_ANONYMOUS,
      0,
      0,
    ];
    recording.apply(syntheticEvent('seed', args, { path: '[stack]' }));
    return false;
  });
}
