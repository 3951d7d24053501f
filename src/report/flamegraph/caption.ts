import { formatBytes, formatCount, formatSeconds } from '../bytes.js';
import { completenessLines, recordedLine } from '../completeness.js';
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
  const what = since === undefined ? 'live bytes' : `growth since ${since.takenAt}`;
  const gaps = [recordedLine(snapshot.completeness), ...completenessLines(snapshot).map(printable)];
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
      `${what}: ${formatBytes(folded.root.bytes)} in ${formatCount(folded.root.mappings, 'mapping')}`,
      `${takenAt.slice(0, 19).replace('T', ' ')} UTC`,
      `observed ${formatSeconds(snapshot.observedSeconds)}`,
    ].join(' · '),
    hint:
      since === undefined
        ? 'A box is a function, as wide as the memory that was mapped through it and lives. Callers stand above.'
        : 'A box is a function, as wide as what grew through it. Callers stand above.',
    gaps,
  };
}
