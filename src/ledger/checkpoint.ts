import { OPERATIONS } from '../wire/event.js';
import { ByteReader, ByteWriter, CheckpointError } from './byte-codec.js';
import { emptyCall, type PendingCall } from './in-flight.js';
import type { LedgerCounters } from './ledger-counters.js';
import { LiveMemory } from './live-memory.js';
import { ADDRESS_LIMIT, PROTECTION_MASK } from './memory-abi.js';
import { areValidTraits } from './origin-table.js';
import { BASE, END, ORIGIN, PROTECTION, ROW, RowBuffer } from './row-buffer.js';
import { SITE_LIMIT } from './site-table.js';

/** All that a mapping ledger knows. */
export interface LedgerState {
  pageBytes: number;
  memory: LiveMemory;
  counters: LedgerCounters;
  /** -1 while unknown. */
  breakAddress: number;
  heapStart: number;
  largestAttachmentBytes: number;
  inFlight: { threadId: number; call: PendingCall }[];
}

const FORMAT = 'offheap.ledger';
const VERSION = 1;

const COUNTERS = [
  'events',
  'failedCalls',
  'discardCalls',
  'discardedBytes',
  'contradictions',
  'unmatched',
  'unplaced',
] as const satisfies readonly (keyof LedgerCounters)[];

export function writeCheckpoint(state: LedgerState): Uint8Array {
  const { memory } = state;
  const writer = new ByteWriter();
  writer.text(FORMAT);
  writer.unsigned(VERSION);
  writer.unsigned(state.pageBytes);
  writer.unsigned(state.breakAddress + 1);
  writer.unsigned(state.heapStart + 1);
  writer.unsigned(state.largestAttachmentBytes);
  for (const counter of COUNTERS) writer.unsigned(state.counters[counter]);

  const live = new RowBuffer();
  memory.index.collect(0, Number.POSITIVE_INFINITY, live);
  const numbers = writeOrigins(writer, memory, [live, ...state.inFlight.map(({ call }) => call.pieces)]);
  writeRows(writer, live, numbers);
  writer.unsigned(state.inFlight.length);
  for (const { threadId, call } of state.inFlight) {
    writer.unsigned(threadId);
    writer.unsigned(call.position);
    writer.unsigned(OPERATIONS.indexOf(call.operation));
    writer.unsigned(call.site);
    writer.unsigned(call.address + 1);
    writer.unsigned(call.oldBytes);
    writer.unsigned(call.newBytes);
    writer.unsigned(call.flags);
    writeRows(writer, call.pieces, numbers);
  }
  return writer.sealed();
}

/** @throws CheckpointError */
export function readCheckpoint(bytes: Uint8Array): LedgerState {
  const reader = new ByteReader(bytes);
  if (reader.text('the format') !== FORMAT) throw new CheckpointError('it is of another kind');
  const version = reader.unsigned('the version');
  if (version !== VERSION) throw new CheckpointError(`it has version ${version}, this is version ${VERSION}`);
  const pageBytes = reader.unsigned('the page size', 2 ** 30);
  if (pageBytes < 1 || !Number.isInteger(Math.log2(pageBytes)))
    throw new CheckpointError('the page size is odd');
  const breakAddress = reader.unsigned('the break') - 1;
  const heapStart = reader.unsigned('the heap start') - 1;
  const largestAttachmentBytes = reader.unsigned('the largest attachment');
  const counters = Object.fromEntries(
    COUNTERS.map((counter) => [counter, reader.unsigned(counter)]),
  ) as unknown as LedgerCounters;

  const memory = new LiveMemory();
  const slots = readOrigins(reader, memory);
  const live = readRows(reader, slots, pageBytes);
  const held = new Float64Array(slots.length);
  hold(memory, live, held);
  for (let at = 0; at < live.length; at += ROW) {
    memory.put(
      live.values[at]!,
      live.values[at + END]!,
      live.values[at + BASE]!,
      live.values[at + ORIGIN]!,
      live.values[at + PROTECTION]!,
    );
  }
  const inFlight: LedgerState['inFlight'] = [];
  for (let left = reader.count('calls in flight'); left > 0; left--) {
    const threadId = reader.unsigned('a thread', 2 ** 32 - 1);
    const call = emptyCall();
    call.position = reader.unsigned('a position');
    call.operation = OPERATIONS[reader.unsigned('an operation', OPERATIONS.length - 1)]!;
    call.site = reader.unsigned('a site', SITE_LIMIT - 1);
    call.address = reader.unsigned('an address') - 1;
    call.oldBytes = reader.unsigned('an old size');
    call.newBytes = reader.unsigned('a new size');
    call.flags = reader.unsigned('the flags');
    call.pieces = readRows(reader, slots, pageBytes);
    hold(memory, call.pieces, held);
    inFlight.push({ threadId, call });
  }
  reader.finish();
  if (held.includes(0)) throw new CheckpointError('an origin holds nothing');
  return { pageBytes, memory, counters, breakAddress, heapStart, largestAttachmentBytes, inFlight };
}

/** Writes each origin that any row names, once; returns their numbers by slot. */
function writeOrigins(writer: ByteWriter, memory: LiveMemory, rowsOfAll: RowBuffer[]): Map<number, number> {
  const numbers = new Map<number, number>();
  for (const rows of rowsOfAll) {
    for (let at = 0; at < rows.length; at += ROW) {
      const slot = rows.values[at + ORIGIN]!;
      if (!numbers.has(slot)) numbers.set(slot, numbers.size);
    }
  }
  writer.unsigned(memory.origins.nextId);
  writer.unsigned(numbers.size);
  for (const slot of numbers.keys()) {
    const origin = memory.origins.view(slot);
    writer.unsigned(origin.id);
    writer.unsigned(origin.site);
    writer.unsigned(origin.threadId);
    writer.unsigned(origin.timeNs);
    writer.unsigned(origin.bytes);
    writer.unsigned(memory.origins.traits(slot));
    writer.unsigned(origin.path === null ? 0 : 1);
    if (origin.path !== null) writer.text(origin.path);
  }
  return numbers;
}

function readOrigins(reader: ByteReader, memory: LiveMemory): number[] {
  const nextId = reader.unsigned('the next origin');
  const ids = new Set<number>();
  const slots: number[] = [];
  for (let left = reader.count('origins'); left > 0; left--) {
    const id = reader.unsigned('an origin', nextId - 1);
    if (ids.has(id)) throw new CheckpointError(`origin ${id} is there twice`);
    ids.add(id);
    const site = reader.unsigned('a site', SITE_LIMIT - 1);
    const threadId = reader.unsigned('a thread', 2 ** 32 - 1);
    const timeNs = reader.unsigned('a time');
    const bytes = reader.unsigned('a size');
    const traits = reader.unsigned('the traits');
    if (!areValidTraits(traits)) throw new CheckpointError(`origin ${id} is of no known kind`);
    const path = reader.unsigned('a path', 1) === 1 ? reader.text('a path') : null;
    slots.push(memory.origins.restore(id, site, threadId, timeNs, bytes, traits, path));
  }
  memory.origins.nextId = nextId;
  return slots;
}

/** Rows as differences: from the end of the row before to the start, and from the base to the start. */
function writeRows(writer: ByteWriter, rows: RowBuffer, numbers: ReadonlyMap<number, number>): void {
  writer.unsigned(rows.length / ROW);
  let reached = 0;
  for (let at = 0; at < rows.length; at += ROW) {
    const start = rows.values[at]!;
    writer.unsigned(start - reached);
    reached = rows.values[at + END]!;
    writer.unsigned(reached - start);
    writer.unsigned(start - rows.values[at + BASE]!);
    writer.unsigned(numbers.get(rows.values[at + ORIGIN]!)!);
    writer.unsigned(rows.values[at + PROTECTION]!);
  }
}

/** Differences make the rows ordered and apart by construction, which is what the index relies on. */
function readRows(reader: ByteReader, slots: readonly number[], pageBytes: number): RowBuffer {
  const rows = new RowBuffer();
  let reached = 0;
  for (let left = reader.count('ranges'); left > 0; left--) {
    const start = reached + reader.unsigned('a gap');
    reached = start + reader.unsigned('a length');
    const base = start - reader.unsigned('an offset');
    if (reached <= start || reached > ADDRESS_LIMIT || start % pageBytes !== 0 || reached % pageBytes !== 0) {
      throw new CheckpointError(`no range starts at ${start} and ends at ${reached}`);
    }
    const slot = slots[reader.unsigned('an origin', slots.length - 1)];
    if (slot === undefined) throw new CheckpointError('a range has no origin');
    rows.append(start, reached, base, slot, reader.unsigned('a protection', PROTECTION_MASK));
  }
  return rows;
}

function hold(memory: LiveMemory, rows: RowBuffer, held: Float64Array): void {
  for (let at = 0; at < rows.length; at += ROW) {
    const bytes = rows.values[at + END]! - rows.values[at]!;
    memory.origins.hold(rows.values[at + ORIGIN]!, bytes);
    held[rows.values[at + ORIGIN]!]! += bytes;
  }
}
