import { readMaps } from '../account/maps.js';
import { OffheapError } from '../wire/error.js';
import type { MappingEvent } from '../wire/event.js';
import type { ProcessRecording } from './recording.js';
import { syntheticEvent } from './synthetic-event.js';

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
    const args: MappingEvent['args'] = [start, end - start, PROT_READ_EXEC, MAP_PRIVATE, 0, offset];
    recording.apply(syntheticEvent('seed', args, { path, extra: inode }));
  }
}
