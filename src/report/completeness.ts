import { formatBytes, formatCount, formatPercent } from './bytes.js';
import type { Completeness, Snapshot, UnnamedReason } from './schema.js';

/**
 * One line for each way in which the picture has gaps; none where it has no gap. Every report prints them:
 * what is lost or unknown is a number, never a silence.
 */
export function completenessLines(snapshot: Pick<Snapshot, 'completeness' | 'rss'>): string[] {
  const { completeness, rss } = snapshot;
  return [
    ...losses(completeness),
    ...unexplained(completeness, rss),
    ...completeness.gaps,
    ...completeness.observerEffects,
    ...unnamed(completeness),
    ...completeness.degraded,
  ];
}

/** "312,004 mapping events, none lost": the one line where nothing is missing either. */
export function recordedLine(completeness: Completeness): string {
  const events = formatCount(completeness.mappingEvents, 'mapping event');
  const lost = completeness.mappingEventsLost;
  return `${events}, ${lost === 0 ? 'none' : lost.toLocaleString('en-US')} lost`;
}

/** The same of the heap. */
export function heapRecordedLine({ heapEvents, heapEventsLost }: Completeness): string {
  const lost = heapEventsLost === 0 ? 'none' : heapEventsLost.toLocaleString('en-US');
  return `${formatCount(heapEvents, 'heap event')}, ${lost} lost`;
}

function losses(completeness: Completeness): string[] {
  const lines: string[] = [];
  const { mappingEventsLost, heapEventsLost, truncatedStacks, sitesOverwritten } = completeness;
  if (mappingEventsLost > 0) {
    lines.push(`${formatCount(mappingEventsLost, 'mapping event')} lost: live bytes and owners may be wrong`);
  }
  if (heapEventsLost > 0) {
    lines.push(`${formatCount(heapEventsLost, 'heap event')} lost: what lives on the heap may be wrong`);
  }
  if (truncatedStacks > 0) lines.push(`${formatCount(truncatedStacks, 'stack')} truncated`);
  if (sitesOverwritten > 0) {
    lines.push(
      `${formatCount(sitesOverwritten, 'system-call site')} overwritten by other code: calls there are unseen`,
    );
  }
  return lines;
}

function unexplained(completeness: Completeness, rss: Snapshot['rss']): string[] {
  const lines: string[] = [];
  if (completeness.unexplainedBytes > 0) {
    lines.push(
      `${formatBytes(completeness.unexplainedBytes)} unexplained: the ledger knows no event for them`,
    );
  }
  if (rss.totalBytes > 0 && rss.explainedPercent < 100) {
    lines.push(`${formatPercent(rss.explainedPercent)} of resident anonymous memory is explained`);
  }
  return lines;
}

const UNNAMED: Record<UnnamedReason, string> = {
  noSymbols: 'without symbols (stripped)',
  fileGone: 'in files that are gone',
  fileReplaced: 'in files that were replaced or overwritten',
  fileUnreadable: 'in files that could not be read',
  fileDamaged: 'in files with damaged tables',
  generatedCode: 'in code made at run time',
  unknownModule: 'where nothing is known to be mapped',
};

function unnamed({ unnamedFrames, unnamedFramesBy }: Completeness): string[] {
  if (unnamedFrames === 0) return [];
  const reasons = Object.entries(unnamedFramesBy) as [UnnamedReason, number][];
  reasons.sort(([, one], [, other]) => other - one);
  const parts = reasons.map(([reason, count]) => `${count.toLocaleString('en-US')} ${UNNAMED[reason]}`);
  return [`${formatCount(unnamedFrames, 'place')} in code without a function's name: ${parts.join(', ')}`];
}
