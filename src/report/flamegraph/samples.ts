import { onlyFrames } from '../frame-filter.js';
import type { Snapshot, SnapshotFrame } from '../schema.js';
import type { FoldOptions } from './fold.js';
import { enclosedName, type Held, heldOf, noStackName } from './held.js';

/** What one stack holds, or by how much that has grown. */
export interface StackSample extends Pick<Held, 'owner' | 'kind' | 'bytes' | 'count'> {
  /** Leaf first. */
  frames: readonly SnapshotFrame[];
  /** What stands at the tip: the enclosing operation, or why there are no frames. */
  tip: string | null;
}

/**
 * Stacks with what they hold, most bytes first, for formats that have frames of their own. With `since`, the bytes by which
 * each grew after that snapshot; what shrank is left out, as in flame graphs.
 */
export function stackSamples(
  snapshot: Snapshot,
  { what = 'mappings', since, only }: FoldOptions,
): StackSample[] {
  const samples = samplesByKey(snapshot, { what, only });
  for (const [key, before] of since === undefined ? [] : samplesByKey(since, { what, only })) {
    const now = samples.get(key);
    if (now === undefined) continue;
    now.bytes -= before.bytes;
    now.count = Math.max(0, now.count - before.count);
    if (now.bytes <= 0) samples.delete(key);
  }
  return [...samples.values()].sort((a, b) => b.bytes - a.bytes);
}

/** Keyed by what the frames say, not by stack ids: those of two recordings differ. */
function samplesByKey(
  whole: Snapshot,
  { what, only }: Required<Pick<FoldOptions, 'what' | 'only'>>,
): Map<string, StackSample> {
  const { stacks } = onlyFrames(whole, only);
  const keys = new Map<number, string>();
  const samples = new Map<string, StackSample>();
  for (const held of heldOf(whole, what ?? 'mappings')) {
    const frames = stacks[held.stack] ?? [];
    const tip =
      held.enclosed !== undefined
        ? enclosedName(held.enclosed)
        : frames.length === 0
          ? noStackName(what ?? 'mappings', only, whole.stacks[held.stack] !== undefined)
          : null;
    let stackKey = keys.get(held.stack);
    if (stackKey === undefined) {
      stackKey = frames.map(frameKey).join('\n');
      keys.set(held.stack, stackKey);
    }
    const key = `${held.kind}\0${held.owner}\0${tip}\0${stackKey}`;
    const sample = samples.get(key);
    if (sample === undefined) {
      const { owner, kind, bytes, count } = held;
      samples.set(key, { owner, kind, bytes, count, frames, tip });
    } else {
      sample.bytes += held.bytes;
      sample.count += held.count;
    }
  }
  return samples;
}

/** What tells a frame from others: not its address, which is another one in each run. */
export function frameKey(frame: SnapshotFrame): string {
  const { module, file, line, inlined, language } = frame;
  return [module, functionName(frame), file, line, inlined, language].join('\0');
}

/** Whole; for a function without a name, its module and where it begins. */
export function functionName({
  module,
  function: name,
  functionAddress,
  fileAddress,
}: SnapshotFrame): string {
  return name ?? `${module}+${functionAddress ?? fileAddress}`;
}
