import type { Site } from '../wire/channel.js';
import { TargetMemory } from './target-memory.js';

/**
 * The rewritten instructions that hold other bytes by now: another hooker has written there. Its calls are seen all the
 * same where they reach the kernel by way of another site, and as unexplained ranges where they don't.
 */
export function overwrittenSites(pid: number, sites: readonly Site[]): Site[] {
  return TargetMemory.during(pid, (memory) =>
    sites.filter(({ address, state, patchedBytes }) => {
      if (state !== 'patched') return false;
      // Of a library that was unloaded with its sites nothing is left to be wrong.
      const bytes = memory.read(address, 2);
      return bytes?.length === 2 && bytes.readUInt16LE() !== patchedBytes;
    }),
  );
}
