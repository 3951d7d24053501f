import { lineName } from '../symbolize/short-name.js';
import type { OwnerKind, Snapshot, SnapshotFrame } from './schema.js';

/** What is live from one stack, inside one enclosing operation. */
export interface StackSite {
  stack: number;
  owner: string;
  kind: OwnerKind;
  enclosing: string | null;
  bytes: number;
  /** The part of `bytes` that is mapped without any access (PROT_NONE). */
  reservedBytes: number;
  residentBytes: number;
  mappings: number;
  /** Leaf first, `function (module, file:line)`. */
  frames: string[];
}

/** What can hold data: mapped, and not merely set aside. */
export function accessibleBytes({ bytes, reservedBytes }: { bytes: number; reservedBytes: number }): number {
  return bytes - reservedBytes;
}

/** "ucs_mpool_grow (libucs.so.0)", "handle (app.mjs:12)"; where a function without a name begins stands in for it. */
export function frameName(frame: SnapshotFrame): string {
  const name = lineName(frame.function ?? frame.functionAddress ?? frame.fileAddress);
  return `${name} (${sourcePlace(frame) ?? frame.module})`;
}

/** As `frameName`, with the line of source: "ucs_mpool_grow (libucs.so.0, mpool.c:133)". */
export function frameText(frame: SnapshotFrame): string {
  const { language, file, line } = frame;
  const name = frameName(frame);
  if (language !== 'native' || file === null || line === null) return name;
  return `${name.slice(0, -1)}, ${file.slice(file.lastIndexOf('/') + 1)}:${line})`;
}

/** "app.mjs:12": where code that is no module's stands; null where it is a module's, or that is unknown. */
function sourcePlace({ language, file, line }: SnapshotFrame): string | null {
  if (language === 'native' || file === null) return null;
  return `${file.slice(file.lastIndexOf('/') + 1)}${line === null ? '' : `:${line}`}`;
}

/** The snapshot's mappings summed by stack, owner and enclosing operation; most bytes first, reservations not counted. */
export function stackSites(snapshot: Pick<Snapshot, 'mappings' | 'stacks'>): StackSite[] {
  const sites = new Map<string, StackSite>();
  for (const mapping of snapshot.mappings) {
    const key = `${mapping.stack}\0${mapping.owner}\0${mapping.kind}\0${mapping.enclosing ?? ''}`;
    let site = sites.get(key);
    if (site === undefined) {
      site = {
        stack: mapping.stack,
        owner: mapping.owner,
        kind: mapping.kind,
        enclosing: mapping.enclosing,
        bytes: 0,
        reservedBytes: 0,
        residentBytes: 0,
        mappings: 0,
        frames: (snapshot.stacks[mapping.stack] ?? []).map(frameText),
      };
      sites.set(key, site);
    }
    site.bytes += mapping.bytes;
    if (mapping.reserved) site.reservedBytes += mapping.bytes;
    site.residentBytes += mapping.residentBytes;
    site.mappings += 1;
  }
  return [...sites.values()].sort(
    (a, b) => accessibleBytes(b) - accessibleBytes(a) || b.bytes - a.bytes || a.stack - b.stack,
  );
}
