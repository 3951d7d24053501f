import { formatBytes, formatCount, formatSeconds } from '../bytes.js';
import { completenessLines, recordedLine } from '../completeness.js';
import type { Snapshot } from '../schema.js';
import { printable } from '../text.js';
import type { Folded } from './fold.js';
import type { Layout } from './layout.js';

export interface Caption {
  title: string;
  subtitle: string;
  /** What the picture lacks; the first line says what was recorded. */
  footer: string[];
}

/** What stands around the picture. `folded` has grown `since` that snapshot, or is what lives now. */
export function caption(snapshot: Snapshot, folded: Folded, drawn: Layout, since?: Snapshot): Caption {
  const { process, takenAt } = snapshot;
  const what = since === undefined ? 'live bytes' : `growth since ${since.takenAt}`;
  const footer = [recordedLine(snapshot.completeness), ...completenessLines(snapshot).map(printable)];
  if (folded.shrunkBytes > 0) {
    footer.push(`${formatBytes(folded.shrunkBytes)} were given back by stacks that shrank: not drawn`);
  }
  const { narrow, deep } = drawn.hidden;
  if (narrow > 0) footer.push(`${formatCount(narrow, 'tower')} too narrow to draw`);
  if (deep > 0) footer.push(`${formatCount(deep, 'tower')} too deep to draw whole`);
  return {
    title: `${printable(process.command.join(' ')) || '?'} (pid ${process.pid})`,
    subtitle: [
      `${what}: ${formatBytes(folded.root.bytes)} in ${formatCount(folded.root.mappings, 'mapping')}`,
      takenAt,
      `observed ${formatSeconds(snapshot.observedSeconds)}`,
    ].join(' · '),
    footer,
  };
}
