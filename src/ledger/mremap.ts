import type { MappingEvent } from '../wire/event.js';
import type { PendingCall } from './in-flight.js';
import type { LiveMemory } from './live-memory.js';
import { MREMAP_DONTUNMAP, MREMAP_FIXED, PROT_READ, PROT_WRITE, roundUp } from './memory-abi.js';
import { packTraits } from './origin-table.js';
import { BASE, END, ORIGIN, PROTECTION, ROW, RowBuffer, START } from './row-buffer.js';

/** A mapping that mremap names and the ledger has never seen. */
const UNKNOWN_SOURCE = packTraits({
  operation: 'mremap',
  class: 'anonymous',
  byProfiler: false,
  stackArea: false,
  growsDown: false,
  attachment: false,
  hugePageShift: 0,
});

export interface MremapOutcome {
  /** How far the placed range reaches from its base, if it is an attachment. */
  attachmentBytes: number;
  /** The ledger knew of no source, or of something at a place that the kernel found free. */
  contradicts: boolean;
}

/**
 * An mremap is about to be made: stashes the old range, since another thread may get its addresses before the `end` is
 * recorded. With MREMAP_DONTUNMAP, and when it duplicates (old size 0), the old range never leaves.
 */
export function beginMremap(
  memory: LiveMemory,
  event: MappingEvent,
  call: PendingCall,
  pageBytes: number,
): void {
  const [start, oldSize, newSize, flags] = event.args;
  call.address = start;
  call.flags = flags;
  let unit = pageBytes;
  const [source] = rowsAt(memory, start, pageBytes);
  if (source !== undefined) unit = Math.max(pageBytes, 2 ** memory.origins.hugePageShift(source.origin));
  call.oldBytes = roundUp(oldSize, unit);
  call.newBytes = roundUp(newSize, unit);
  const refused = start % pageBytes !== 0 || !(call.newBytes > 0) || !(start >= 0);
  if (refused || call.oldBytes === 0 || (flags & MREMAP_DONTUNMAP) !== 0) return;
  memory.takeOut(start, start + call.oldBytes, call.pieces);
}

/**
 * The mremap was made: moved parts keep their origins, in-place or not; what the mapping grew by, a duplicate and the
 * new half of MREMAP_DONTUNMAP have this call as their origin. Growth from the site that grew the range's end before
 * extends that origin: a buffer that is reallocated in small steps would else fall into thousands of pieces, each moved
 * by every further step.
 */
export function endMremap(
  memory: LiveMemory,
  event: MappingEvent,
  call: PendingCall,
  site: number,
): MremapOutcome {
  const { pieces, newBytes } = call;
  const target = event.result;
  const end = target + newBytes;
  const keepsOld = call.oldBytes === 0 || (call.flags & MREMAP_DONTUNMAP) !== 0;
  const source = keepsOld ? rowsAt(memory, call.address, 1)[0] : lastRow(pieces);

  const replaced = new RowBuffer();
  memory.takeOut(target, end, replaced);
  const contradicts = source === undefined || (replaced.length > 0 && (call.flags & MREMAP_FIXED) === 0);

  const delta = target - call.address;
  let tailStart = target;
  if (!keepsOld && source !== undefined) {
    const keptEnd = call.address + Math.min(call.oldBytes, newBytes);
    for (let at = 0; at < pieces.length; at += ROW) {
      const from = pieces.values[at]!;
      const to = Math.min(pieces.values[at + END]!, keptEnd);
      if (to <= from) continue;
      memory.origins.hold(pieces.values[at + ORIGIN]!, to - from);
      memory.put(
        from + delta,
        to + delta,
        pieces.values[at + BASE]! + delta,
        pieces.values[at + ORIGIN]!,
        pieces.values[at + PROTECTION]!,
      );
    }
    tailStart = target + Math.min(call.oldBytes, newBytes);
  }

  let attachmentBytes = 0;
  const protection = source?.protection ?? PROT_READ | PROT_WRITE;
  if (tailStart < end) {
    const bytes = end - tailStart;
    const { origins } = memory;
    const continues =
      !keepsOld &&
      source !== undefined &&
      source.end + delta === tailStart &&
      // shmdt will find the grown end only as a part of the attachment.
      (origins.isAttachment(source.origin) ||
        (origins.operation(source.origin) === 'mremap' && origins.site(source.origin) === site));
    if (continues) {
      origins.extend(source.origin, bytes);
      origins.hold(source.origin, bytes);
      memory.put(tailStart, end, source.base + delta, source.origin, protection);
    } else {
      const traits = source === undefined ? UNKNOWN_SOURCE : origins.traitsAsRemapped(source.origin);
      const path = source === undefined ? null : origins.path(source.origin);
      const origin = origins.add(site, event.threadId, event.timeNs, bytes, traits, path);
      origins.hold(origin, bytes);
      const base = keepsOld && source !== undefined ? source.base + delta : tailStart;
      memory.put(tailStart, end, base, origin, protection);
    }
    if (source !== undefined && origins.isAttachment(source.origin)) {
      attachmentBytes = end - (source.base + delta);
    }
  }
  // Last, so that no origin falls to nothing while its bytes are on their way.
  memory.discard(pieces);
  memory.discard(replaced);
  return { attachmentBytes, contradicts };
}

interface Source {
  end: number;
  base: number;
  origin: number;
  protection: number;
}

function rowsAt(memory: LiveMemory, start: number, bytes: number): Source[] {
  const rows = new RowBuffer();
  memory.index.collect(start, start + bytes, rows);
  const sources: Source[] = [];
  for (let at = START; at < rows.length; at += ROW) sources.push(sourceOf(rows, at));
  return sources;
}

function lastRow(pieces: RowBuffer): Source | undefined {
  return pieces.length === 0 ? undefined : sourceOf(pieces, pieces.length - ROW);
}

function sourceOf(rows: RowBuffer, at: number): Source {
  return {
    end: rows.values[at + END]!,
    base: rows.values[at + BASE]!,
    origin: rows.values[at + ORIGIN]!,
    protection: rows.values[at + PROTECTION]!,
  };
}
