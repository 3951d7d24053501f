export const HEAP_MODES = ['off', 'sampled', 'exact'] as const;

/** Which allocations are recorded. */
export type HeapMode = (typeof HEAP_MODES)[number];
