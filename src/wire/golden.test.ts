import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { layout } from './addon.js';
import { Channel } from './channel.js';
import { EventClock } from './clock.js';
import { EVENT_BYTES, EventDecoder } from './decode.js';
import type { MappingEvent } from './event.js';
import { HEAP_MODES } from './heap-mode.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const golden = join(root, 'native/wire/golden/channel.bin');

let folder: string;
let channel: Channel;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'offheap-golden-'));
  // A checkout may make files group-writable, and the reader refuses those.
  const path = join(folder, 'channel');
  copyFileSync(golden, path);
  execFileSync('chmod', ['600', path]);
  channel = new Channel(path);
});

afterEach(() => {
  channel.close();
  rmSync(folder, { recursive: true });
});

test('the bytes that C++ writes are the golden bytes', () => {
  const writer = join(folder, 'write_channel');
  const source = join(root, 'native/wire/golden/write_channel.cc');
  execFileSync('g++', ['-std=c++20', '-O1', '-I', root, '-o', writer, source]);
  execFileSync(writer, [join(folder, 'fresh')]);
  expect(readFileSync(join(folder, 'fresh')).equals(readFileSync(golden))).toBe(true);
});

test('every header field', () => {
  expect(channel.header()).toEqual({
    version: layout.version,
    channelId: '0123456789abcdef',
    parentChannelId: 'fedcba9876543210',
    parentPosition: 41,
    processId: 4242,
    parentProcessId: 4241,
    processStartTicks: 987654,
    startUnixNs: 1795248932143749981n,
    startMonotonicNs: 5e9,
    startClock: 5000000000n,
    clock: 'monotonic',
    beginning: 'fork',
    exitStatus: 3,
    state: 'running',
    ringCapacity: 8,
    ringHead: 11,
    ringTail: 6,
    nodesCapacity: 16,
    nodesUsed: 4,
    textUsed: 60,
    sitesCapacity: 2,
    sitesUsed: 2,
    commandText: 8,
    seedEvents: 1,
    collectorBeatNs: 77,
    collectorProcessId: 0,
    consumerLock: 0,
    generation: 3,
    degraded: [layout.enumerations.degradations[0], layout.enumerations.degradations[8]],
    eventsLost: 11,
    eventsNested: 15,
    eventsCancelled: 16,
    backlogUsed: 1,
    backlogPosition: 6,
    backlogFrom: 2,
    capturesVerified: 17,
    captureMismatches: 18,
    stacksTruncated: 12,
    stacksCutBySpace: 13,
    flamegraphRequests: 14,
    indexBits: 4,
    indexUsed: 0,
    heapControl: { mode: 'exact', epoch: 0x030201, sampleBytes: 0x87654321 },
    heapSwitchedAt: 5000000002n,
    lanesUsed: 1,
    lanesCapacity: 2,
    chunksCapacity: 2,
    chunksBacked: 1,
    heapEventsLost: 19,
    heapWaits: 20,
    heapBeatNs: 78,
    pythonStacksCut: 79,
    pidNamespace: 80,
    labelsSet: 81,
    awaitedProcessId: 4321,
    heapNested: 21,
    heapWithoutLane: 22,
    request: (24 << 8) | 1,
    requestTaken: (23 << 8) | 1,
    requestAnswered: (22 << 8) | 1,
    requestPasses: 25,
    answer: 'done',
    answerSource: 1,
    answerValues: Array.from({ length: 24 }, (_, index) => 26 + index),
  });
  expect(channel.command()).toEqual(['sleep', '1000']);
});

test('a request waits for the claim, and for the answer to the one before it', () => {
  expect(() => channel.ask('trim')).toThrow(expect.objectContaining({ code: 'CHANNEL_BUSY' }));
  expect(channel.claim(0)).toBe(0);
  expect(() => channel.ask('trim')).toThrow(expect.objectContaining({ code: 'REQUEST_BUSY' }));
  expect([channel.withdraw(), channel.withdraw()]).toEqual([true, false]);
  expect(channel.header().heapControl).toEqual({ mode: 'exact', epoch: 0x030201, sampleBytes: 0x87654321 });
});

test('the modes of both languages', () => {
  expect(layout.enumerations.heapModes).toEqual([...HEAP_MODES]);
});

test('every site field', () => {
  expect(channel.sites()).toEqual([
    {
      address: 0x7f00deadbeef,
      operation: 'mmap',
      state: 'patched',
      path: '/usr/lib/libucs.so.0',
      patchedBytes: 5,
    },
    { address: 0x7f00deadbe00, operation: 'brk', state: 'unpatchable', path: null, patchedBytes: 2 },
  ]);
});

test('every event field', () => {
  const clock = new EventClock(channel.opened);
  const decoder = new EventDecoder({
    text: (offset) => channel.text(offset),
    sinceStartNs: (low, high) => clock.sinceStartNs(low, high),
  });
  expect(channel.claim(0)).toBe(0);
  expect(channel.lock(0)).toBe(0);
  const buffer = new Uint8Array(16 * EVENT_BYTES);
  const drained = channel.drain(buffer);
  expect(drained).toEqual({ events: 5, lost: 0, position: 11, waiting: 0, hole: 0, blocked: false });

  const events: MappingEvent[] = [];
  const damaged = decoder.decode(buffer, drained.events, (event) => {
    events.push({ ...event, args: [...event.args] });
  });
  expect(damaged).toBe(1);
  const plain = {
    phase: 'complete',
    timeNs: 0,
    args: [0, 0, 0, 0, 0, 0],
    result: 0,
    refersTo: 0,
    extra: 0,
    threadId: 0,
    stack: 0,
    path: null,
    generation: 0,
    stackTruncated: false,
    byProfiler: false,
    enclosing: null,
  };
  expect(events).toEqual([
    {
      ...plain,
      position: 6,
      operation: 'seed',
      timeNs: 1,
      args: [0x7f0000000000, 0x21000, 5, 2, 0x801, 0x3000],
      extra: 123456789,
      path: '/usr/lib/libucs.so.0',
    },
    {
      position: 7,
      operation: 'mmap',
      phase: 'complete',
      timeNs: 2,
      args: [0, 151552, 3, 0x22, -1, Number.MAX_SAFE_INTEGER],
      result: 0x7f5544332000,
      refersTo: 5,
      extra: 6,
      threadId: 4243,
      stack: 3,
      path: '/tmp/Stück €',
      generation: 3,
      stackTruncated: true,
      byProfiler: true,
      enclosing: 'munmap',
    },
    {
      ...plain,
      position: 8,
      operation: 'munmap',
      phase: 'failed',
      args: [0x7f5544332000, 151552, 0, 0, 0, 0],
      result: -22,
      refersTo: 7,
    },
    { ...plain, position: 10, operation: 'fork', timeNs: 1e9, result: Number.MAX_SAFE_INTEGER },
  ]);
});
