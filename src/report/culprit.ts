import { formatPercent, formatRate, percentOf } from './bytes.js';
import type { HeapSite } from './heap/sites.js';
import { type Overview, ownerKey } from './overview.js';
import type { OwnerKind, SnapshotOwner } from './schema.js';
import { accessibleBytes, type StackSite } from './stacks.js';
import { printable } from './text.js';

/** What of a snapshot answers the question "who grows, by which stack, inside which operation?". */

/** An owner counts as growing from this share of all growth on; the rest is noise beside it. */
const GROWING_PERCENT = 2;
/** An owner that holds less than this share of the resident bytes and does not grow has no line of its own. */
const NOTABLE_PERCENT = 0.1;
/** A stack that holds less than this share of its owner isn't why the owner is large. */
const TELLING_PERCENT = 10;
/** Everything grows while it starts. */
const SHORTEST_SECONDS = 5;

const KIND_NOTES: Partial<Record<OwnerKind, string>> = { allocator: ' (allocator)', stack: ' (stacks)' };

/** "libc.so.6 (allocator)": outside of a table, the kind stands with the name where the name alone would mislead. */
export function ownerName({ owner, kind }: Pick<SnapshotOwner, 'owner' | 'kind'>): string {
  return `${printable(owner)}${KIND_NOTES[kind] ?? ''}`;
}

/** Most growth first, then most resident, then most mapped. */
export function byGrowth(a: SnapshotOwner, b: SnapshotOwner): number {
  return (
    b.growthBytesPerMinute - a.growthBytesPerMinute || b.residentBytes - a.residentBytes || b.bytes - a.bytes
  );
}

/** The sum of what grows; owners that shrink don't hide it. */
export function totalGrowth({ owners }: Pick<Overview, 'owners'>): number {
  return owners.reduce((sum, owner) => sum + Math.max(0, owner.growthBytesPerMinute), 0);
}

export function growingOwners(overview: Pick<Overview, 'owners'>): SnapshotOwner[] {
  const total = totalGrowth(overview);
  return overview.owners
    .filter(({ growthBytesPerMinute: growth }) => growth >= 1 && percentOf(growth, total) >= GROWING_PERCENT)
    .sort(byGrowth);
}

/** Whether what was seen so far is the start-up. */
export function isTooShort({ observedSeconds }: Pick<Overview, 'observedSeconds'>): boolean {
  return observedSeconds < SHORTEST_SECONDS;
}

/** "libucs.so.0 grows by 433.3 MB/min (100.0 % of all growth), mapped inside munmap", or that none does. */
export function growthLine(overview: Overview): string {
  const [first] = growingOwners(overview);
  const tooShort = isTooShort(overview);
  if (first === undefined) return tooShort ? 'observed too briefly to tell who grows' : 'no owner grows';
  const rate = formatRate(first.growthBytesPerMinute).replace(/^\+/, '');
  const share = formatPercent(percentOf(first.growthBytesPerMinute, totalGrowth(overview)));
  const trigger = mainTrigger(first);
  return [
    `${ownerName(first)} grows by ${rate} (${share} of all growth)`,
    trigger === undefined ? '' : `, mapped inside ${trigger}`,
    tooShort ? '; observed too briefly to be sure' : '',
  ].join('');
}

/** The operation inside which most of an owner's bytes were mapped; undefined where most were mapped outside of any. */
function mainTrigger({ triggers }: SnapshotOwner): string | undefined {
  const [first] = Object.entries(triggers).sort(([, a], [, b]) => b - a);
  return first === undefined || first[0] === 'none' ? undefined : first[0];
}

/** The owners worth a line, in the order of `byGrowth`. */
export function notableOwners({ owners }: Pick<Overview, 'owners'>): SnapshotOwner[] {
  const resident = owners.reduce((sum, owner) => sum + owner.residentBytes, 0);
  const share = (owner: SnapshotOwner) =>
    resident > 0 ? percentOf(owner.residentBytes, resident) : accessibleBytes(owner) > 0 ? 100 : 0;
  return owners
    .filter(
      (owner) =>
        share(owner) >= NOTABLE_PERCENT ||
        Math.round(owner.growthBytesPerMinute) !== 0 ||
        owner.kind === 'unexplained',
    )
    .sort(byGrowth);
}

/** The stacks by which the growing owners grew; where nobody grows, those that hold most. */
export function topSites(overview: Overview, limit: number): StackSite[] {
  const growing = growingOwners(overview);
  if (growing.length > 0) {
    return growing.flatMap((owner) => tellingSites(overview, owner)).slice(0, limit);
  }
  return overview.sites
    .filter(({ kind, frames }) => kind !== 'profiler' && frames.length > 0)
    .sort((a, b) => b.residentBytes - a.residentBytes || accessibleBytes(b) - accessibleBytes(a))
    .slice(0, limit);
}

function tellingSites({ sites }: Overview, owner: SnapshotOwner): StackSite[] {
  const own = sites.filter((site) => ownerKey(site) === ownerKey(owner));
  const total = accessibleBytes(owner);
  return own.filter(
    (site, index) => index === 0 || percentOf(accessibleBytes(site), total) >= TELLING_PERCENT,
  );
}

/**
 * Who holds what allocators have mapped, where that is the question: an allocator grows or, where nobody does, holds
 * most.
 */
export function topHeapSites(overview: Overview, limit: number): HeapSite[] {
  const growing = growingOwners(overview);
  const suspects = growing.length > 0 ? growing : notableOwners(overview).slice(0, 1);
  return heapSitesWithin(overview, suspects).slice(0, limit);
}

/**
 * The sites that hold a telling share of the live heap; none where no allocator is among `owners`, or where what lives
 * is a small part of what these have mapped: then nobody holds it.
 */
export function heapSitesWithin({ heap }: Overview, owners: readonly SnapshotOwner[]): HeapSite[] {
  const allocators = owners.filter(({ kind }) => kind === 'allocator');
  const mappedBytes = allocators.reduce((sum, owner) => sum + accessibleBytes(owner), 0);
  if (allocators.length === 0 || percentOf(heap.liveBytes, mappedBytes) < TELLING_PERCENT) return [];
  return heap.sites.filter(
    ({ liveBytes, frames }) => frames.length > 0 && percentOf(liveBytes, heap.liveBytes) >= TELLING_PERCENT,
  );
}

/** What all owners have mapped; addresses set aside hold nothing. */
export function heldBytes({ owners }: Pick<Overview, 'owners'>): number {
  return owners.reduce((sum, owner) => sum + accessibleBytes(owner), 0);
}

/** The owner that holds most, the profiler aside. */
export function largestHolder({ owners }: Pick<Overview, 'owners'>): string | undefined {
  const [first] = owners
    .filter(({ kind }) => kind !== 'profiler')
    .sort((a, b) => accessibleBytes(b) - accessibleBytes(a));
  return first && printable(first.owner);
}
