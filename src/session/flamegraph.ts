import {
  FLAMEGRAPH_FORMATS,
  type FlamegraphFile,
  type FlamegraphFormat,
} from '../report/flamegraph/formats.js';
import { FRAME_FILTERS } from '../report/frame-filter.js';
import type { Snapshot } from '../report/schema.js';
import { checkChoice } from './choice.js';
import { FLAMEGRAPH_SUBJECTS, type FlamegraphOptions } from './session.js';

/** Where a flame graph's figures come from. */
export interface FlamegraphSources {
  snapshot(): Snapshot;
  /** Throws where there is none. */
  mark(): Snapshot;
  withLines(snapshot: Snapshot): Promise<Snapshot>;
}

export async function drawFlamegraph<F extends FlamegraphFormat = 'svg'>(
  sources: FlamegraphSources,
  options: FlamegraphOptions<F>,
): Promise<FlamegraphFile<F>> {
  const { format = 'svg' as F, of = 'live', only, foldPlumbing } = options;
  checkChoice('format', format, FLAMEGRAPH_FORMATS);
  checkChoice('of', of, FLAMEGRAPH_SUBJECTS);
  if (only !== undefined) checkChoice('only', only, FRAME_FILTERS);
  const since = of === 'growth' || of === 'heap-growth' ? sources.mark() : undefined;
  const what = of === 'heap' || of === 'heap-growth' ? 'heap' : 'mappings';
  const snapshot = await sources.withLines(sources.snapshot());
  // Towers are compared by what their frames say: both must know the same lines.
  const before = since && (await sources.withLines(since));
  const { renderFlamegraph } = await import('../report/flamegraph/flamegraph.js');
  return renderFlamegraph(snapshot, { format, what, since: before, only, foldPlumbing });
}
