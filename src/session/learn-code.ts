import { readMaps } from '../account/maps.js';
import { OffheapError } from '../wire/error.js';
import type { ProcessRecording } from './recording.js';

const PROT_READ_EXEC = 5;
const MAP_PRIVATE = 2;

/**
 * Takes the code that a process has now for the code that it always had: where its history is unknown, stacks would
 * have no names at all.
 */
export function learnCode(recording: ProcessRecording, pid: number): void {
  let mappings: ReturnType<typeof readMaps>;
  try {
    mappings = readMaps(pid);
  } catch (error) {
    if (error instanceof OffheapError) return;
    throw error;
  }
  for (const { start, end, offset, inode, path, executable, kind } of mappings) {
    if (!executable || kind !== 'file') continue;
    recording.apply({
      position: 0,
      operation: 'seed',
      phase: 'complete',
      timeNs: 0,
      args: [start, end - start, PROT_READ_EXEC, MAP_PRIVATE, 0, offset],
      result: start,
      refersTo: 0,
      extra: inode,
      threadId: 0,
      stack: 0,
      path,
      generation: 0,
      stackTruncated: false,
      byProfiler: false,
      enclosing: null,
    });
  }
}
