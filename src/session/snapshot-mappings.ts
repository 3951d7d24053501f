import { intersectRanges } from '../account/compare.js';
import { measureResidency } from '../account/residency.js';
import { type Attribution, OWNER_NO_STACK } from '../ledger/attribution.js';
import type { LiveRange } from '../ledger/live-range.js';
import type { SnapshotMapping, SnapshotOwner } from '../report/schema.js';
import { OffheapError } from '../wire/error.js';
import type { Attributions } from './attributions.js';
import { type CodeMap, stackNumber } from './code-map.js';
import { differencesFromKernel, followStacks } from './in-step.js';
import type { ProcessFacts } from './process-facts.js';
import type { ProcessRecording } from './recording.js';
import type { ResidencySampler } from './residency-sampler.js';

/** Owners are told apart by kind as well: a library and the thread stacks that it made are two rows. */
export function ownerKey({ owner, kind }: Pick<Attribution, 'owner' | 'kind'>): string {
  return `${kind}\0${owner}`;
}

export interface AttributedMapping extends SnapshotMapping {
  attribution: Attribution;
}

/** What the ledger holds of memory that is no file's. */
export function listMappings(
  recording: ProcessRecording,
  {
    facts,
    attributions,
    residency,
    code,
  }: {
    facts: ProcessFacts;
    attributions: Attributions;
    residency: ResidencySampler;
    code: CodeMap | undefined;
  },
): AttributedMapping[] {
  const mappings: AttributedMapping[] = [];
  const startMs = facts.startedAt.getTime();
  for (const range of recording.ledger.ranges()) {
    const { origin } = range;
    if (origin.class === 'file') continue;
    const attribution = attributions.of(origin.site);
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
      stack: code?.numberAt(stack, ancestor, origin.timeNs) ?? stackNumber(stack, ancestor),
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
export function unexplainedRanges(
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

export function unexplainedMapping(
  facts: ProcessFacts,
  range: { start: number; end: number },
): AttributedMapping {
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

/** What a mapping, or several of one attribution, hold. */
export interface OwnedBytes
  extends Pick<AttributedMapping, 'attribution' | 'bytes' | 'residentBytes' | 'reserved'> {
  /** By default one. */
  mappings?: number;
}

/** Most growth first. */
export function sumByOwner(
  owned: readonly OwnedBytes[],
  bytesPerMinute: (ownerKey: string) => number,
): SnapshotOwner[] {
  const owners = new Map<string, SnapshotOwner>();
  for (const { attribution, bytes, residentBytes, reserved, mappings = 1 } of owned) {
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
    owner.mappings += mappings;
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

function hexadecimal(address: number): string {
  return `0x${address.toString(16)}`;
}
