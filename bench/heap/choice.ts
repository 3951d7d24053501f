import type { Side } from './side.js';

/** What of the benchmark is wanted. */
export interface Choice {
  sides: readonly Side[];
  /** In place of each section's own; for a quick look. */
  rounds?: number;
  /** Only the programs whose name begins like this. */
  program?: string;
}
