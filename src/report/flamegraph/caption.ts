import { formatBytes, formatCount, formatSeconds } from '../bytes.js';
import { completenessLines, heapRecordedLine, recordedLine } from '../completeness.js';
import { formatLive } from '../heap/line.js';
import type { Snapshot } from '../schema.js';
import { printable } from '../text.js';
import type { Folded } from './fold.js';
import type { Layout } from './layout.js';

export interface Caption {
  title: string;
  subtitle: string;
  /** How to read the picture. */
  hint: string;
  /** What was recorded, then what the picture lacks. */
  gaps: string[];
}

/** What stands around the picture. `folded` has grown `since` that snapshot, or is what lives now. */
export function caption(snapshot: Snapshot, folded: Folded, drawn: Layout, since?: Snapshot): Caption {
  const { process, takenAt } = snapshot;
  const isHeap = folded.what === 'heap';
  const what = `${isHeap ? 'heap, ' : ''}${since === undefined ? 'live bytes' : `growth since ${since.takenAt}`}`;
  const recorded = isHeap ? heapRecordedLine : recordedLine;
  const gaps = [recorded(snapshot.completeness), ...completenessLines(snapshot).map(printable)];
  if (isHeap) gaps.push(...heapGaps(snapshot));
  if (folded.reservedBytes > 0) {
    gaps.push(
      `${formatBytes(folded.reservedBytes)} more are reserved without access and hold nothing: not drawn`,
    );
  }
  if (folded.shrunkBytes > 0) {
    gaps.push(`${formatBytes(folded.shrunkBytes)} were given back by stacks that shrank: not drawn`);
  }
  const { narrow, deep } = drawn.hidden;
  if (narrow > 0) gaps.push(`${formatCount(narrow, 'tower')} too narrow to draw`);
  if (deep > 0) gaps.push(`${formatCount(deep, 'tower')} too deep to draw whole`);
  return {
    title: `${printable(process.command.join(' ')) || '?'} (pid ${process.pid})`,
    subtitle: [
      `${what}: ${formatBytes(folded.root.bytes)} in ${formatCount(folded.root.count, drawn.noun)}`,
      `${takenAt.slice(0, 19).replace('T', ' ')} UTC`,
      `observed ${formatSeconds(snapshot.observedSeconds)}`,
    ].join(' · '),
    hint: `A box is a function, as wide as ${widthText(isHeap, since)}. Callers stand above.`,
    gaps,
  };
}

function widthText(isHeap: boolean, since: Snapshot | undefined): string {
  if (since !== undefined) return 'what grew through it';
  return isHeap
    ? 'what was allocated through it and lives'
    : 'the memory that was mapped through it and lives';
}

function heapGaps({ heap }: Snapshot): string[] {
  const gaps: string[] = [];
  if (heap.estimated) {
    gaps.push(
      `estimated from samples, one each ${formatBytes(heap.sampleBytes)} on average: all that lives is ${formatLive(heap)}`,
    );
  }
  if (heap.mode === 'off') gaps.push('allocations are not recorded at present');
  const { bytes, allocations } = heap.before;
  if (bytes > 0) {
    gaps.push(
      `${formatBytes(bytes)} in ${formatCount(allocations, 'allocation')} are from before a switch of the mode and not followed: not drawn`,
    );
  }
  return gaps;
}
