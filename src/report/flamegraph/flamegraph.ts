import type { Snapshot } from '../schema.js';
import { caption } from './caption.js';
import { type Folded, type FoldOptions, fold } from './fold.js';
import { foldedText } from './folded.js';
import type { FlamegraphFile, FlamegraphFormat } from './formats.js';
import { flameHtml } from './html.js';
import { layout } from './layout.js';
import { pprofFile } from './pprof.js';
import { speedscopeFile } from './speedscope.js';
import { flameSvg } from './svg.js';

export interface RenderOptions<F extends FlamegraphFormat> extends FoldOptions {
  format: F;
}

/**
 * The flame graph of what lives, or of what grew `since` an earlier snapshot. Each format is one whole file; those of
 * speedscope and pprof have frames of their own, which they can fold themselves.
 */
export function renderFlamegraph<F extends FlamegraphFormat>(
  snapshot: Snapshot,
  { format, ...options }: RenderOptions<F>,
): FlamegraphFile<F> {
  return render(snapshot, format, options) as FlamegraphFile<F>;
}

function render(snapshot: Snapshot, format: FlamegraphFormat, options: FoldOptions): string | Uint8Array {
  if (format === 'pb.gz') return pprofFile(snapshot, options);
  if (format === 'speedscope.json') return speedscopeFile(snapshot, options);
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
