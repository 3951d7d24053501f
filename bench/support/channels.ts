import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { SHIM } from './builds.js';

/** A folder for channels in shared memory, as a real one lies there. Removed by `remove`. */
export class ChannelFolder {
  readonly path = mkdtempSync('/dev/shm/offheap-bench-');

  /** What a command needs in its environment to be recorded here with no collector. */
  preload(): Record<string, string> {
    return { LD_PRELOAD: SHIM, OFFHEAP_DIR: this.path };
  }

  /** Deletes what ended processes have left: a few megabytes each. */
  clear(): void {
    for (const name of this.files()) rmSync(join(this.path, name), { force: true });
  }

  files(): string[] {
    return readdirSync(this.path);
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
