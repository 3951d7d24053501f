import type { Recorded } from './asked.js';
import { insideGlibc } from './glibc-inside.js';
import type { AllocatorReader } from './inside.js';
import { insidePython } from './python.js';

/** Who can look into allocators' memory from outside, in the order in which they are asked. */
export function allocatorReaders(recorded: Recorded): readonly AllocatorReader[] {
  return [insideGlibc(recorded), insidePython];
}
