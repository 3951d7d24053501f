import { layout } from '../wire/addon.js';
import type { Channel } from '../wire/channel.js';
import { EVENT_BYTES } from '../wire/decode.js';
import { fieldOffset } from '../wire/layout.js';
import { unsigned64 } from '../wire/record-view.js';

const SEQUENCE = fieldOffset(layout.structures.Event, 'sequence');
const OPERATION = fieldOffset(layout.structures.Event, 'operation');

/**
 * Copies the records of the backlog that count: not those that cancelled each other (operation 0), and not those whose
 * sequence doesn't rise, which a target killed while it tidied up has left twice. `lastSequence` is that of the record
 * before these; the new one is returned.
 */
export function keepRecords(
  records: Uint8Array,
  target: Uint8Array,
  lastSequence: number,
): { count: number; lastSequence: number } {
  const view = new DataView(records.buffer, records.byteOffset, records.byteLength);
  let count = 0;
  let last = lastSequence;
  for (let at = 0; at + EVENT_BYTES <= records.byteLength; at += EVENT_BYTES) {
    const sequence = unsigned64(view.getUint32(at + SEQUENCE, true), view.getUint32(at + SEQUENCE + 4, true));
    if (records[at + OPERATION] === 0 || sequence <= last) continue;
    last = sequence;
    target.set(records.subarray(at, at + EVENT_BYTES), count * EVENT_BYTES);
    count++;
  }
  return { count, lastSequence: last };
}

const CHUNK_RECORDS = 4096;

/** The records [0, used) of the backlog that count and whose position is at least `from`. Under the lock. */
export function copyBacklog(channel: Channel, used: number, from: number): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  let lastSequence = from;
  for (let at = 0; at < used; at += CHUNK_RECORDS) {
    const records = channel.backlog(at, Math.min(at + CHUNK_RECORDS, used));
    // `used` is the channel's word; the section ends where it ends.
    if (records.byteLength === 0) break;
    const target = new Uint8Array(records.byteLength);
    const kept = keepRecords(records, target, lastSequence);
    lastSequence = kept.lastSequence;
    chunks.push(target.subarray(0, kept.count * EVENT_BYTES));
  }
  return chunks;
}
