import { intersectRanges } from '../account/compare.js';
import { measureResidency } from '../account/residency.js';
import { type Attribution, OWNER_NO_STACK } from '../ledger/attribution.js';
import type { LiveRange } from '../ledger/live-range.js';
import type { Completeness, Snapshot, SnapshotMapping, SnapshotOwner } from '../report/schema.js';
import { OffheapError } from '../wire/error.js';
import type { Attributions } from './attributions.js';
import { type CodeMap, stackNumber } from './code-map.js';
import { differencesFromKernel, followStacks } from './in-step.js';
import type { Ended, ProcessFacts } from './process-facts.js';
import type { ProcessRecording } from './recording.js';
import type { ResidencySampler } from './residency-sampler.js';
import { overwrittenSites } from './site-check.js';

/** All that a snapshot is made of. */
export interface SnapshotSources {
  facts: ProcessFacts;
  ended: Ended | undefined;
  recording: ProcessRecording | undefined;
  attributions: Attributions | undefined;
  code: CodeMap | undefined;
  residency: ResidencySampler;
  bytesPerMinute: (ownerKey: string) => number;
  observedSeconds: number;
  problem: string | undefined;
}

/** Owners are told apart by kind as well: a library and the thread stacks that it made are two rows. */
export function ownerKey({ owner, kind }: Pick<Attribution, 'owner' | 'kind'>): string {
  return `${kind}\0${owner}`;
}

export function buildSnapshot(sources: SnapshotSources): Snapshot {
  const { facts, ended, recording, residency } = sources;
  const missing = recording === undefined || ended !== undefined ? [] : unexplainedRanges(recording, facts);
  if (recording !== undefined && ended === undefined) residency.sample(recording.ledger, true);
  const mappings = recording === undefined ? [] : listMappings(sources, recording);
  mappings.push(...missing.map((range) => unexplainedMapping(facts, range)));
  const owners = sumByOwner(sources, mappings);
  const unexplained = mappings.filter(({ kind }) => kind === 'unexplained');
  const unexplainedResident = sum(unexplained.map(({ residentBytes }) => residentBytes));
  const { totals } = residency;
  const explainable = totals.anonymousBytes + totals.swapBytes;
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
    completeness: completenessOf(sources, sum(unexplained.map(({ bytes }) => bytes))),
    rss: {
      ...totals,
      explainedPercent:
        explainable === 0 ? 100 : Math.max(0, 100 * (1 - Math.min(1, unexplainedResident / explainable))),
    },
    owners,
    mappings: mappings.map(({ attribution: _, ...mapping }) => mapping),
    heap: { mode: 'off', liveBytes: 0, liveAllocations: 0, allocations: 0, frees: 0, sites: [] },
    stacks: stacksOf(sources, mappings),
    hints: [],
  };
}

interface AttributedMapping extends SnapshotMapping {
  attribution: Attribution;
}

function listMappings(
  { facts, attributions, residency }: SnapshotSources,
  recording: ProcessRecording,
): AttributedMapping[] {
  const mappings: AttributedMapping[] = [];
  const startMs = facts.startedAt.getTime();
  for (const range of recording.ledger.ranges()) {
    const { origin } = range;
    if (origin.class === 'file') continue;
    const attribution = attributions!.of(origin.site);
    const { stack, ancestor } = recording.sites.facts(origin.site);
    mappings.push({
      start: hexadecimal(range.start),
      bytes: range.end - range.start,
      residentBytes: residency.residentBytes(range.start),
      owner: attribution.owner,
      kind: attribution.kind,
      operation: origin.operation,
      enclosing: attribution.enclosing,
      threadId: origin.threadId,
      mappedAt: new Date(startMs + origin.timeNs / 1e6).toISOString(),
      stack: stackNumber(stack, ancestor),
      reserved: isReservation(range),
      attribution,
    });
  }
  return mappings;
}

/** PROT_NONE: addresses set aside, which can hold no byte yet. */
function isReservation(range: LiveRange): boolean {
  return range.protection === 0;
}

/** What the kernel has and the ledger doesn't, but for stacks, which the kernel extends by itself. */
function unexplainedRanges(
  recording: ProcessRecording,
  facts: ProcessFacts,
): { start: number; end: number }[] {
  if (!facts.isRunning()) return [];
  const first = differencesFromKernel(recording, facts.pid)?.missingInLedger ?? [];
  const missing = followStacks(recording, first);
  if (missing.length === 0) return missing;
  // The target runs on: what a thread has just mapped it may not have recorded yet. What is missing twice is missing.
  const second = differencesFromKernel(recording, facts.pid)?.missingInLedger ?? missing;
  return intersectRanges(missing, second);
}

function unexplainedMapping(facts: ProcessFacts, range: { start: number; end: number }): AttributedMapping {
  const attribution: Attribution = {
    owner: OWNER_NO_STACK,
    path: null,
    kind: 'unexplained',
    caller: null,
    enclosing: null,
  };
  return {
    start: hexadecimal(range.start),
    bytes: range.end - range.start,
    residentBytes: residentBytesOf(facts.pid, range),
    owner: attribution.owner,
    kind: attribution.kind,
    operation: 'none',
    enclosing: null,
    threadId: 0,
    mappedAt: facts.startedAt.toISOString(),
    stack: 0,
    reserved: false,
    attribution,
  };
}

function residentBytesOf(pid: number, range: { start: number; end: number }): number {
  try {
    return measureResidency(pid, [range])[0]?.residentBytes ?? 0;
  } catch (error) {
    if (error instanceof OffheapError) return 0;
    throw error;
  }
}

function sumByOwner(
  { bytesPerMinute }: SnapshotSources,
  mappings: readonly AttributedMapping[],
): SnapshotOwner[] {
  const owners = new Map<string, SnapshotOwner>();
  for (const { attribution, bytes, residentBytes, reserved } of mappings) {
    const key = ownerKey(attribution);
    let owner = owners.get(key);
    if (owner === undefined) {
      owner = {
        owner: attribution.owner,
        path: attribution.path,
        kind: attribution.kind,
        mappings: 0,
        bytes: 0,
        reservedBytes: 0,
        residentBytes: 0,
        growthBytesPerMinute: bytesPerMinute(key),
        callers: {},
        triggers: {},
      };
      owners.set(key, owner);
    }
    owner.mappings++;
    owner.bytes += bytes;
    if (reserved) owner.reservedBytes += bytes;
    owner.residentBytes += residentBytes;
    const { caller, enclosing } = attribution;
    if (caller !== null) owner.callers[caller] = (owner.callers[caller] ?? 0) + bytes;
    const trigger = enclosing ?? 'none';
    owner.triggers[trigger] = (owner.triggers[trigger] ?? 0) + bytes;
  }
  return [...owners.values()].sort(
    (a, b) => b.growthBytesPerMinute - a.growthBytesPerMinute || b.residentBytes - a.residentBytes,
  );
}

function completenessOf(sources: SnapshotSources, unexplainedBytes: number): Completeness {
  const { recording, residency, problem } = sources;
  const reasons = [problem, residency.problem].filter((reason) => reason !== undefined);
  const nothing = { heapEvents: 0, heapEventsLost: 0, unexplainedBytes };
  if (recording === undefined) {
    const none = {
      mappingEvents: 0,
      mappingEventsLost: 0,
      truncatedStacks: 0,
      sitesPatched: 0,
      sitesOverwritten: 0,
    };
    return { ...nothing, ...none, degraded: reasons };
  }
  const { header, drain } = recording;
  const sites = drain.channel.sites();
  if (recording.unsaved) {
    reasons.push('checkpoints lack time or space; a collector started anew would not know the past');
  }
  if (recording.lacksHistory) {
    reasons.push(
      'an earlier collector was killed before it saved what it knew; older mappings have no stack',
    );
  }
  if (recording.outOfStep) reasons.push('events were lost, and the ledger may differ from the kernel');
  if (header.captureMismatches > 0) {
    const { captureMismatches, capturesVerified } = header;
    reasons.push(
      `${captureMismatches} of ${capturesVerified} stacks that were checked differ from a full walk`,
    );
  }
  const { contradictions, unmatched, unplaced } = recording.ledger.counters;
  const unclear = contradictions + unmatched + unplaced;
  if (unclear > 0) reasons.push(`${unclear} events contradict those before them`);
  return {
    ...nothing,
    // Positions count what was recorded, whoever took it in and whatever the target has cancelled since.
    mappingEvents: drain.position - drain.lost.uncommitted - drain.lost.overwritten,
    mappingEventsLost: Object.values(drain.lost).reduce((total, count) => total + count, 0),
    truncatedStacks: header.stacksTruncated,
    sitesPatched: sites.filter(({ state }) => state === 'patched').length,
    sitesOverwritten: overwrittenSites(header.processId, sites),
    degraded: [...reasons, ...header.degraded],
  };
}

function stacksOf({ code }: SnapshotSources, mappings: readonly SnapshotMapping[]): Snapshot['stacks'] {
  const stacks: Snapshot['stacks'] = {};
  for (const { stack } of mappings) {
    if (stack !== 0 && code !== undefined) stacks[stack] ??= code.frames(stack);
  }
  return stacks;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function hexadecimal(address: number): string {
  return `0x${address.toString(16)}`;
}
