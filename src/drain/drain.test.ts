import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { layout } from '../wire/addon.js';
import { fieldOffset } from '../wire/layout.js';
import { keepRecords } from './backlog.js';
import { Drain, type DrainHandler } from './drain.js';
import type { Liveness } from './process-identity.js';

const golden = readFileSync(fileURLToPath(new URL('../../native/wire/golden/channel.bin', import.meta.url)));
const { Header, Event } = layout.structures;
const SLOTS = 8;
const FIRST = 6;

let folder: string;
let path: string;
let state: Liveness;
let nowMs: number;
let log: string[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'offheap-drain-'));
  path = join(folder, 'channel');
  state = 'running';
  nowMs = 1000;
  log = [];
});

afterEach(() => rmSync(folder, { recursive: true }));

/** The golden channel, with the records at some positions not committed. Its position 9 is damaged. */
function channelWithHoles(...holes: number[]): Drain {
  writeFileSync(path, golden, { mode: 0o600 });
  setWord(fieldOffset(Header, 'backlog_used'), 0);
  for (const position of holes) setSequence(position, 0);
  return new Drain(path, { liveness: () => state, nowMs: () => nowMs });
}

function setSequence(position: number, sequence: number): void {
  const at = layout.constants.pageBytes + (position % SLOTS) * Event.bytes + fieldOffset(Event, 'sequence');
  setWord(at, sequence);
}

function setWord(at: number, value: number): void {
  const file = openSync(path, 'r+');
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  writeSync(file, bytes, 0, 8, at);
  closeSync(file);
}

const header = (name: string) => Number(readFileSync(path).readBigUInt64LE(fieldOffset(Header, name)));

const handler: DrainHandler = {
  event: (event) => log.push(String(event.position)),
  gap: (reason, events) => log.push(`${reason} ${events}`),
  checkpoint: (position) => log.push(`checkpoint ${position}`),
};

test('what the target kept while nobody read comes first, once, and is cleared with the ring', () => {
  writeFileSync(path, golden, { mode: 0o600 });
  const drain = new Drain(path, { liveness: () => state, nowMs: () => nowMs });
  expect(drain.poll(handler)).toEqual({ events: 5, lost: 12 });
  expect(log.slice(0, 2)).toEqual(['2', '6']);
  expect(drain.poll(handler)).toEqual({ events: 0, lost: 0 });
  expect(header('backlog_used')).toBe(1);
  drain.confirm(8);
  expect(header('backlog_used')).toBe(0);
  drain.close();
});

test('cancelled and repeated records of the backlog are left out', () => {
  const record = Buffer.alloc(Event.bytes);
  const records = [5, 7, 7, 6, 9].map((sequence, index) => {
    const copy = Buffer.from(record);
    copy.writeUInt32LE(sequence, fieldOffset(Event, 'sequence'));
    copy[fieldOffset(Event, 'operation')] = index === 0 ? 0 : 2;
    return copy;
  });
  const target = new Uint8Array(records.length * Event.bytes);
  expect(keepRecords(Buffer.concat(records), target, 0)).toEqual({ count: 2, lastSequence: 9 });
});

test('a handler that asks for more gets nothing: what was copied is handed out first', () => {
  const drain = channelWithHoles();
  const otherPath = `${path}-other`;
  writeFileSync(otherPath, golden, { mode: 0o600 });
  const other = new Drain(otherPath, { liveness: () => state, nowMs: () => nowMs });
  const nothing = { events: 0, lost: 0 };
  const asking: DrainHandler = {
    ...handler,
    event: (event) => {
      expect([drain.poll(handler), other.poll(handler)]).toEqual([nothing, nothing]);
      handler.event(event);
    },
  };
  expect(drain.poll(asking)).toEqual({ events: 4, lost: 12 });
  expect(log).toEqual(['6', '7', '8', '10', 'damaged 1', 'checkpoint 11', 'ringFull 11']);
  expect(other.poll(handler)).toEqual({ events: 5, lost: 12 });
  drain.close();
  other.close();
});

test('events in order, what is missing in between, and the room to be made', () => {
  const drain = channelWithHoles();
  expect(drain.poll(handler)).toEqual({ events: 4, lost: 12 });
  expect(log).toEqual(['6', '7', '8', '10', 'damaged 1', 'checkpoint 11', 'ringFull 11']);
  expect(drain.lost).toEqual({ ringFull: 11, uncommitted: 0, overwritten: 0, damaged: 1 });
  drain.close();
});

test('nothing is freed before it is confirmed, and then just that', () => {
  const drain = channelWithHoles();
  drain.poll(handler);
  expect(header('ring_tail')).toBe(FIRST);
  drain.confirm(8);
  expect(header('ring_tail')).toBe(8);
  drain.confirm(7);
  expect(header('ring_tail')).toBe(8);
  expect(() => drain.confirm(12)).toThrow(TypeError);
  drain.close();
});

test('a hole is waited for, then passed over; what comes late is not mixed in', () => {
  const drain = channelWithHoles(7);
  drain.poll(handler);
  expect(log).toEqual(['6', 'ringFull 11']);
  nowMs += 1999;
  drain.poll(handler);
  expect(log).toHaveLength(2);
  nowMs += 1;
  drain.poll(handler);
  expect(log.slice(2)).toEqual(['uncommitted 1', '8', '10', 'damaged 1', 'checkpoint 11']);
  drain.close();
});

test('a hole that is filled in time is an event like others', () => {
  const drain = channelWithHoles(7);
  drain.poll(handler);
  nowMs += 1500;
  setSequence(7, 8);
  drain.poll(handler);
  expect(log).toEqual(['6', 'ringFull 11', '7', '8', '10', 'damaged 1', 'checkpoint 11']);
  drain.close();
});

test('a stopped target has all the time in the world', () => {
  const drain = channelWithHoles(7);
  drain.poll(handler);
  state = 'stopped';
  nowMs += 60_000;
  drain.poll(handler);
  expect(drain.lost.uncommitted).toBe(0);
  state = 'running';
  nowMs += 1999;
  drain.poll(handler);
  expect(drain.lost.uncommitted).toBe(0);
  drain.close();
});

test('an open end is no hole while the target lives, and a loss once it is gone', () => {
  const drain = channelWithHoles(10);
  nowMs += 60_000;
  drain.poll(handler);
  nowMs += 60_000;
  drain.poll(handler);
  expect(drain.lost.uncommitted).toBe(0);
  expect(drain.ended).toBe(false);
  state = 'gone';
  nowMs += 1000;
  drain.poll(handler);
  expect(drain.lost.uncommitted).toBe(1);
  expect(drain.ended).toBe(true);
  drain.close();
});

test('a channel left behind by exec is read to its end', () => {
  const drain = channelWithHoles(7, 10);
  drain.finish();
  drain.poll(handler);
  expect(log).toEqual([
    '6',
    'uncommitted 1',
    '8',
    'damaged 1',
    'checkpoint 10',
    'uncommitted 1',
    'checkpoint 11',
    'ringFull 11',
  ]);
  expect(drain.ended).toBe(true);
  drain.close();
});

test('a slot that holds a later record is a loss', () => {
  const drain = channelWithHoles();
  setSequence(6, 15);
  drain.poll(handler);
  expect(log.slice(0, 2)).toEqual(['overwritten 1', '7']);
  drain.close();
});

test('one collector at a time; the place of one that is gone is taken', () => {
  const first = channelWithHoles();
  expect(() => new Drain(path)).toThrow(expect.objectContaining({ code: 'CHANNEL_BUSY' }));
  expect(header('collector_beat_ns')).toBeGreaterThan(77);
  first.close();
  expect(header('collector_beat_ns')).toBe(0);

  const collector = fieldOffset(Header, 'collector_process_id');
  setWord(collector, 0x7fff_fff0);
  new Drain(path).close();
  // A namesake of this process, before its time.
  setWord(collector, process.pid);
  const second = new Drain(path);
  // Somebody else takes over: this one must not free what it no longer owns.
  setWord(collector, 1);
  expect(() => second.poll(handler)).toThrow(expect.objectContaining({ code: 'CHANNEL_BUSY' }));
  second.close();
  expect(header('collector_process_id')).toBe(1);
});

test('the lock that a killed collector left behind is taken over', () => {
  const drain = channelWithHoles();
  // Eight bytes: the backlog's length behind it is 0 here.
  setWord(fieldOffset(Header, 'consumer_lock'), 0x7fff_fff0);
  expect(drain.poll(handler)).toEqual({ events: 4, lost: 12 });
  // The word at collector_process_id has the lock in its upper half.
  expect(header('collector_process_id')).toBe(process.pid);
  drain.close();
});

test('stacks: leaf first, with what each address is', () => {
  const drain = channelWithHoles();
  expect(drain.stacks.frames(3)).toEqual([
    { address: 0x7ffe00112233, exact: true, generation: 3 },
    { address: 0x7f1122334455, exact: false, generation: 3 },
  ]);
  expect(drain.stacks.frames(3)).toBe(drain.stacks.frames(3));
  expect(drain.stacks.frames(2)[0]).toEqual(drain.stacks.frames(3)[1]);
  expect(drain.stacks.frames(0)).toEqual([]);
  expect(drain.stacks.damaged).toBe(0);
  drain.close();
});
