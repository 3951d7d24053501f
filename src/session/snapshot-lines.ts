import type { Snapshot, SnapshotFrame } from '../report/schema.js';
import type { CodeMap } from './code-map.js';

/** A snapshot whose stacks, or those of these numbers, have the lines of source that are looked up now. */
export async function withLines(
  snapshot: Snapshot,
  code: CodeMap,
  stacks?: readonly number[],
): Promise<Snapshot> {
  const { completeness, stacks: before } = snapshot;
  const wanted = (stacks ?? Object.keys(before).map(Number)).filter((number) => number in before);
  const found = await code.withLines(wanted);
  const described = { ...before };
  for (const [number, frames] of Object.entries(found.stacks)) {
    // A snapshot from before an exec numbers other stacks.
    if (isSameStack(frames, before[number] ?? [])) described[number] = frames;
  }
  const degraded = [...completeness.degraded, ...found.problems];
  return { ...snapshot, stacks: described, completeness: { ...completeness, degraded } };
}

/** Whether the frames are at the same addresses; inlined ones share their caller's. */
function isSameStack(a: readonly SnapshotFrame[], b: readonly SnapshotFrame[]): boolean {
  const [first, second] = [a, b].map((frames) => frames.filter(({ inlined }) => !inlined));
  return (
    first!.length === second!.length &&
    first!.every(({ address }, index) => address === second![index]!.address)
  );
}
