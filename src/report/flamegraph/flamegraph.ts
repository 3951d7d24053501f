import type { Snapshot } from '../schema.js';
import { caption } from './caption.js';
import { type Folded, type FoldOptions, fold } from './fold.js';
import { foldedText } from './folded.js';
import { flameHtml } from './html.js';
import { layout } from './layout.js';
import { flameSvg } from './svg.js';

export const FLAMEGRAPH_FORMATS = ['html', 'svg', 'folded'] as const;
export type FlamegraphFormat = (typeof FLAMEGRAPH_FORMATS)[number];

export interface RenderOptions extends FoldOptions {
  format: FlamegraphFormat;
}

/** The flame graph of what lives, or of what grew `since` an earlier snapshot. Each format is one whole file. */
export function renderFlamegraph(snapshot: Snapshot, { format, ...options }: RenderOptions): string {
  const folded = fold(snapshot, options);
  if (format === 'folded') return foldedText(folded.root);
  const draw = ({ root, what }: Folded) => layout(root, what === 'heap' ? 'allocation' : 'mapping');
  const drawn = draw(folded);
  const around = caption(snapshot, folded, drawn, options.since);
  if (format === 'svg') return flameSvg(drawn, around);
  // The page can show both; it begins with the one that says more at a glance.
  const short =
    options.foldPlumbing === false ? drawn : draw(fold(snapshot, { ...options, foldPlumbing: true }));
  const isShorter = short.boxes.some(({ node }) => node.inside !== undefined);
  return flameHtml(isShorter ? [short, drawn] : [drawn], around);
}
