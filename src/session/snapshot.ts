import type { AccountHistory } from '../account/history.js';
import { memoryRefusal } from '../account/process-file.js';
import { NO_HEAP } from '../report/heap/sites.js';
import type { Snapshot, SnapshotHeapSite, SnapshotHooker, SnapshotMapping } from '../report/schema.js';
import type { Attributions } from './attributions.js';
import type { CodeMap } from './code-map.js';
import type { HeapOfProgram } from './heap-of-program.js';
import type { Ended, ProcessFacts } from './process-facts.js';
import type { ProcessRecording } from './recording.js';
import type { ResidencySampler } from './residency-sampler.js';
import { completenessOf } from './snapshot-completeness.js';
import { listMappings, sumByOwner, unexplainedMapping, unexplainedRanges } from './snapshot-mappings.js';
import type { DescribedVerdicts } from './verdicts.js';

/** All that a snapshot is made of. */
export interface SnapshotSources {
  facts: ProcessFacts;
  ended: Ended | undefined;
  recording: ProcessRecording | undefined;
  attributions: Attributions | undefined;
  code: CodeMap | undefined;
  heap?: HeapOfProgram | undefined;
  residency: ResidencySampler;
  accountHistory: AccountHistory;
  verdicts: DescribedVerdicts;
  bytesPerMinute: (ownerKey: string) => number;
  observedSeconds: number;
  problem: string | undefined;
  gaps: readonly string[];
  /** What is unexplained and of which not even the place is known. */
  unlocatedBytes: number;
  observerEffects: readonly string[];
  hookers: readonly SnapshotHooker[];
}

export function buildSnapshot(sources: SnapshotSources): Snapshot {
  const { facts, ended, recording, attributions, residency } = sources;
  // First of all: what the heap's stacks run through is read with the mappings below.
  const heap = sources.heap?.snapshot();
  const missing = recording === undefined || ended !== undefined ? [] : unexplainedRanges(recording, facts);
  if (recording !== undefined && ended === undefined) residency.sample(recording.ledger, true);
  const mappings =
    recording === undefined || attributions === undefined
      ? []
      : listMappings(recording, { facts, attributions, residency, code: sources.code });
  mappings.push(...missing.map((range) => unexplainedMapping(facts, range)));
  const owners = sumByOwner(mappings, sources.bytesPerMinute);
  const unexplained = mappings.filter(({ kind }) => kind === 'unexplained');
  const { unlocatedBytes } = sources;
  // All of what is nowhere may be resident.
  const unexplainedResident = sum(unexplained.map(({ residentBytes }) => residentBytes)) + unlocatedBytes;
  const { totals } = residency;
  const explainable = totals.anonymousBytes + totals.swapBytes;
  const stacks = stacksOf(sources.code, mappings, heap?.part.sites ?? []);
  const problems = [
    sources.problem,
    residency.problem ?? memoryProblem(facts, ended),
    sources.heap?.problem,
    // Known by now: the stacks have been described.
    sources.code?.symbolsProblem,
  ];
  return {
    schema: 'offheap.snapshot/1',
    process: {
      pid: facts.pid,
      parentPid: facts.parentPid,
      command: facts.command,
      startedAt: facts.startedAt.toISOString(),
      state: ended?.state ?? 'running',
      exit: ended?.exit ?? null,
    },
    takenAt: new Date().toISOString(),
    observedSeconds: Math.round(sources.observedSeconds * 10) / 10,
    completeness: completenessOf({
      problems: problems.filter((reason) => reason !== undefined),
      recording,
      heap: heap?.totals,
      unexplainedBytes: sum(unexplained.map(({ bytes }) => bytes)) + unlocatedBytes,
      gaps: sources.gaps,
      observerEffects: sources.observerEffects,
      hookers: sources.hookers,
      stacks,
    }),
    rss: {
      ...totals,
      explainedPercent:
        explainable === 0 ? 100 : Math.max(0, 100 * (1 - Math.min(1, unexplainedResident / explainable))),
    },
    owners,
    mappings: mappings.map(({ attribution: _, ...mapping }) => mapping),
    heap: heap?.part ?? NO_HEAP,
    stacks,
    hints: [],
    ...sources.verdicts,
    accountHistory: sources.accountHistory,
  };
}

/** Without its memory, whether its code was overwritten is unknown. */
function memoryProblem(facts: ProcessFacts, ended: Ended | undefined): string | undefined {
  if (ended !== undefined || !facts.isRunning()) return undefined;
  const refusal = memoryRefusal(facts.pid);
  return refusal === null ? undefined : `${refusal}; whether others overwrote what the shim wrote is unknown`;
}

function stacksOf(
  code: CodeMap | undefined,
  mappings: readonly SnapshotMapping[],
  sites: readonly SnapshotHeapSite[],
): Snapshot['stacks'] {
  const stacks: Snapshot['stacks'] = {};
  if (code === undefined) return stacks;
  for (const rows of [mappings, sites]) {
    for (const { stack } of rows) if (stack !== 0) stacks[stack] ??= code.frames(stack);
  }
  return stacks;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
