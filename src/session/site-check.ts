import { closeSync, openSync, readSync } from 'node:fs';
import type { Site } from '../wire/channel.js';

/**
 * How many rewritten instructions hold other bytes by now: another hooker has written there. Its calls are seen all the
 * same where they reach the kernel by way of another site, and as unexplained ranges where they don't.
 */
export function overwrittenSites(pid: number, sites: readonly Site[]): number {
  let memory: number;
  try {
    memory = openSync(`/proc/${pid}/mem`, 'r');
  } catch {
    return 0;
  }
  const bytes = Buffer.alloc(2);
  let overwritten = 0;
  try {
    for (const { address, state, patchedBytes } of sites) {
      if (state !== 'patched') continue;
      const read = readSync(memory, bytes, 0, 2, address);
      if (read === 2 && bytes.readUInt16LE() !== patchedBytes) overwritten++;
    }
  } catch {
    // Gone meanwhile, or a library was unloaded with its sites: nothing there can be wrong any more.
  } finally {
    closeSync(memory);
  }
  return overwritten;
}
