import type { Snapshot, SnapshotFrame } from './schema.js';

/** Which frames of stacks are shown: native code's alone, or Python's alone. */
export const FRAME_FILTERS = ['native', 'python'] as const;
export type FrameFilter = (typeof FRAME_FILTERS)[number];

/** A snapshot whose stacks have only the frames of one language; what it says of memory stays. */
export function onlyFrames<S extends Pick<Snapshot, 'stacks'>>(
  snapshot: S,
  only: FrameFilter | undefined,
): S {
  if (only === undefined) return snapshot;
  const stacks: Record<string, SnapshotFrame[]> = {};
  for (const [number, frames] of Object.entries(snapshot.stacks)) {
    stacks[number] = frames.filter(({ language }) => language === only);
  }
  return { ...snapshot, stacks };
}
