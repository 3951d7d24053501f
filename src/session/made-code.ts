import type { CodeName } from '../symbolize/jit/code-name.js';
import type { ProcessRecording } from './recording.js';

/**
 * The code that an engine has made at a runtime address, as it was at a time: of the process itself or, in a forked child,
 * what its parent had made before. Null where nothing is known.
 */
export function madeCode(recording: ProcessRecording, address: number, timeNs: number): CodeName | null {
  const own = recording.jit.describe(address, timeNs);
  if (own !== null) return own;
  for (let child = recording; child.parent !== undefined; child = child.parent) {
    const { parent } = child;
    const forkNs = child.header.startMonotonicNs - parent.header.startMonotonicNs;
    const inherited = parent.jit.describeBefore(address, forkNs);
    if (inherited !== null) return inherited;
  }
  return null;
}

/** Whether different code has stood there, so that the time matters. */
export function madeCodeHasChanged(recording: ProcessRecording, address: number): boolean {
  return recording.jit.hasChanged(address);
}
