import type { Completeness, Snapshot, SnapshotHooker, UnnamedReason } from '../report/schema.js';
import type { HeapTotals } from '../wire/heap.js';
import type { ProcessRecording } from './recording.js';
import { overwrittenSites } from './site-check.js';

export interface CompletenessSources {
  /** Why nothing is recorded, or resident bytes are unknown. */
  problems: readonly string[];
  recording: ProcessRecording | undefined;
  heap: HeapTotals | undefined;
  unexplainedBytes: number;
  /** As the self-audit told them. */
  gaps: readonly string[];
  observerEffects: readonly string[];
  hookers: readonly SnapshotHooker[];
  stacks: Snapshot['stacks'];
}

const NOTHING_RECORDED = {
  mappingEvents: 0,
  mappingEventsLost: 0,
  truncatedStacks: 0,
  sitesPatched: 0,
  sitesOverwritten: 0,
};

/** What a snapshot lacks. */
export function completenessOf({
  problems,
  recording,
  heap,
  unexplainedBytes,
  gaps,
  observerEffects,
  hookers,
  stacks,
}: CompletenessSources): Completeness {
  const unnamed = unnamedFrames(stacks);
  const events = {
    heapEvents: heap?.events ?? 0,
    heapEventsLost: heap?.lost ?? 0,
    unexplainedBytes,
    gaps: [...gaps],
    observerEffects: [...observerEffects],
    hookers: [...hookers],
    ...unnamed,
  };
  if (recording === undefined)
    return { ...events, ...NOTHING_RECORDED, kernelMappings: null, degraded: [...problems] };
  const { header, drain } = recording;
  const sites = drain.channel.sites();
  return {
    ...events,
    // Positions count what was recorded, whoever took it in and whatever the target has cancelled since.
    mappingEvents: drain.position - drain.lost.uncommitted - drain.lost.overwritten,
    mappingEventsLost: Object.values(drain.lost).reduce((total, count) => total + count, 0),
    kernelMappings: recording.witness?.figures ?? null,
    truncatedStacks: header.stacksTruncated,
    sitesPatched: sites.filter(({ state }) => state === 'patched').length,
    sitesOverwritten: overwrittenSites(drain.processId, sites).length,
    degraded: [
      ...problems,
      ...ledgerReasons(recording),
      ...(recording.witness?.refusal === undefined ? [] : [recording.witness.refusal]),
      // Where all code has its name, it does not matter that a perf map makes no sense in places.
      ...(unnamed.unnamedFramesBy.generatedCode === undefined ? [] : recording.jit.problems),
      ...(heap === undefined ? [] : heapReasons(heap)),
      ...header.degraded,
    ],
  };
}

/** Each place in code counts once, however many stacks run through it. */
function unnamedFrames(stacks: Snapshot['stacks']): Pick<Completeness, 'unnamedFrames' | 'unnamedFramesBy'> {
  const places = new Map<string, UnnamedReason>();
  for (const frames of Object.values(stacks)) {
    for (const { unnamed, module, address } of frames) {
      if (unnamed !== undefined) places.set(`${module}\0${address}`, unnamed);
    }
  }
  const unnamedFramesBy: Completeness['unnamedFramesBy'] = {};
  for (const reason of places.values()) unnamedFramesBy[reason] = (unnamedFramesBy[reason] ?? 0) + 1;
  return { unnamedFrames: places.size, unnamedFramesBy };
}

function ledgerReasons({ unsaved, lacksHistory, outOfStep, header, ledger }: ProcessRecording): string[] {
  const reasons: string[] = [];
  if (unsaved) {
    reasons.push('checkpoints lack time or space; a collector started anew would not know the past');
  }
  if (lacksHistory) {
    reasons.push(
      'an earlier collector was killed before it saved what it knew; older mappings have no stack',
    );
  }
  if (outOfStep) reasons.push('events were lost, and the ledger may differ from the kernel');
  if (header.captureMismatches > 0) {
    const { captureMismatches, capturesVerified } = header;
    reasons.push(
      `${captureMismatches} of ${capturesVerified} stacks that were checked differ from a full walk`,
    );
  }
  if (header.pythonStacksCut > 0) {
    const count = header.pythonStacksCut.toLocaleString('en-US');
    reasons.push(`of ${count} stacks the Python frames could not all be read or placed`);
  }
  const { contradictions, unmatched, unplaced } = ledger.counters;
  const unclear = contradictions + unmatched + unplaced;
  if (unclear > 0) reasons.push(`${unclear} events contradict those before them`);
  return reasons;
}

/** Why the heap's figures may be wrong; what was lost on the way has a number of its own. */
export function heapReasons({ waits, withoutLane, damaged, resumed }: HeapTotals): string[] {
  const count = (number: number) => number.toLocaleString('en-US');
  const reasons: string[] = [];
  if (resumed) {
    reasons.push('an earlier collector has read heap events; blocks that it knew of are missing here');
  }
  if (damaged > 0) reasons.push(`${count(damaged)} heap records made no sense`);
  if (withoutLane > 0) {
    reasons.push(`${count(withoutLane)} allocations came from threads without a way to tell them`);
  }
  if (waits > 0) {
    reasons.push(`threads waited ${count(waits)} times for the collector to take heap events`);
  }
  return reasons;
}
