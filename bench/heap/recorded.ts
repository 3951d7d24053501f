import { closeSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { layout } from '../../src/wire/addon.js';
import { HEAP_MODES, type HeapMode } from '../../src/wire/heap-mode.js';
import type { Structure } from '../../src/wire/layout.js';
import { RecordView } from '../../src/wire/record-view.js';

/** What a target's channel says of its heap events after its end. */
export interface Recorded {
  mode: HeapMode;
  /** Those that crossed to the collector: no block that was freed at once. */
  events: number;
  eventsLost: number;
  /** How often a thread waited for the collector, 100 µs at a time. */
  waits: number;
  withoutLane: number;
  stackNodes: number;
  stacksCutBySpace: number;
}

/** Of the process in this folder that told the most, whichever others have a channel beside it. */
export function recordedBy(folder: string): Recorded | null {
  const channels = readdirSync(folder).filter((name) => name.endsWith('.channel'));
  const all = channels.map((name) => readChannel(join(folder, name)));
  return all.sort((a, b) => b.events - a.events || b.stackNodes - a.stackNodes)[0] ?? null;
}

function readChannel(path: string): Recorded {
  const { Header, Lane } = layout.structures;
  const file = openSync(path, 'r');
  try {
    const header = read(file, Header, 0);
    const lanes = Array.from({ length: header.u64('lanes_used') }, (_, lane) =>
      read(file, Lane, header.u64('lanes_offset') + lane * Lane.bytes),
    );
    return {
      mode: HEAP_MODES[Number(header.bits('heap_control') & 0xffn)] ?? 'off',
      events: lanes.reduce((sum, lane) => sum + lane.u64('head'), 0),
      eventsLost: header.u64('heap_events_lost'),
      waits: header.u64('heap_waits'),
      withoutLane: header.u64('heap_without_lane'),
      stackNodes: header.u64('nodes_used'),
      stacksCutBySpace: header.u64('stacks_cut_by_space'),
    };
  } finally {
    closeSync(file);
  }
}

function read(file: number, structure: Structure, at: number): RecordView {
  const bytes = new Uint8Array(structure.bytes);
  readSync(file, bytes, 0, structure.bytes, at);
  return new RecordView(structure, bytes);
}
