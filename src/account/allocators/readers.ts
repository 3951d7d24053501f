import { insideGlibc } from './glibc-inside.js';
import type { AllocatorReader } from './inside.js';
import { insidePython } from './python.js';

/** Who can look into allocators' memory, in the order in which they are asked. */
export const ALLOCATOR_READERS: readonly AllocatorReader[] = [insideGlibc, insidePython];
