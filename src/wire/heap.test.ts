import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { CHUNK_EVENTS, HeapChannelFile } from '../../test/support/heap-channel.js';
import { layout } from './addon.js';
import { OffheapError } from './error.js';
import { HeapChannel } from './heap.js';
import { fieldOffset } from './layout.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const { Header, HeapEvent, Chunk, Lane } = layout.structures;
const code = (expected: string) => expect.objectContaining({ name: 'OffheapError', code: expected });

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'offheap-heap-'));
  path = join(folder, 'channel');
});

afterEach(() => rmSync(folder, { recursive: true }));

/** `seconds` ago by the channel's clock. */
const ago = (seconds: number) => process.hrtime.bigint() - BigInt(Math.round(seconds * 1e9));

function withChannel(use: (file: HeapChannelFile, heap: HeapChannel) => void, lanes = 2, chunks = 8): void {
  const file = new HeapChannelFile(path, lanes, chunks);
  file.takeLane(0, 1001);
  const heap = new HeapChannel(path);
  try {
    use(file, heap);
  } finally {
    heap.close();
    file.close();
  }
}

test('a channel without room for heap events has an empty heap', () => {
  const golden = readFileSync(join(root, 'native/wire/golden/channel.bin'));
  golden.writeBigUInt64LE(0n, fieldOffset(Header, 'lanes_capacity'));
  writeFileSync(path, golden, { mode: 0o600 });
  const heap = new HeapChannel(path);
  expect(heap.available).toBe(false);
  heap.start();
  expect(heap.drain()).toBe(0);
  expect(heap.mode).toBe('off');
  heap.setMode('exact');
  expect(heap.totals()).toMatchObject({ mode: 'off', liveBytes: 0, allocations: 0, damaged: 0 });
  expect(heap.sites().stack).toHaveLength(0);
  expect(heap.threads().threadId).toHaveLength(0);
  expect([...heap.sizes().liveBytes].every((bytes) => bytes === 0)).toBe(true);
  expect(heap.survivors(heap.mark()).stack).toHaveLength(0);
  heap.finish();
  heap.close();
});

test.each([
  ['lanes behind the end', 'lanes_offset', 1n << 40n],
  ['more lanes than fit', 'lanes_capacity', 1n << 19n],
  ['more lanes than there may be', 'lanes_capacity', 1n << 60n],
  ['windows behind the end', 'windows_offset', 1n << 62n],
  ['chunks whose end wraps round', 'chunks_offset', (1n << 64n) - 64n],
  ['more chunks than the first page has bits for', 'chunks_capacity', 30_000n],
])('%s', (_name, field, value) => {
  const file = new HeapChannelFile(path, 2, 8);
  file.setHeader(field, value);
  file.close();
  expect(() => new HeapChannel(path)).toThrow(code('CHANNEL_DAMAGED'));
});

test('sizes are told by powers of two, ages by seconds', () => {
  withChannel((file, heap) => {
    const sizes = [0, 1, 3, 4, 1000, 2 ** 24, 2 ** 40];
    file.setHeader('start_clock', ago(5));
    sizes.forEach((bytes, index) => {
      const time = ago(index < 2 ? 0 : 3);
      file.publish(0, { kind: 'allocation', address: 4096 + 16 * index, time, bytes, stack: 1 });
    });
    expect([...heap.ages().from]).toEqual([0, 1, 10, 60, 600, 3600, 86400]);
    expect([...heap.ages().liveAllocations]).toEqual([2, 5, 0, 0, 0, 0, 0]);
    const { from, liveAllocations, liveBytes } = heap.sizes();
    const filled = [...from].flatMap((size, row) => (liveAllocations[row]! > 0 ? [size] : []));
    expect(filled).toEqual([0, 1, 2, 4, 512, 2 ** 24, 2 ** 40]);
    expect(liveBytes.reduce((sum, bytes) => sum + bytes)).toBe(sizes.reduce((sum, bytes) => sum + bytes));
  });
});

test('marks are kept for a while; one that is not is an error', () => {
  withChannel((file, heap) => {
    const first = heap.mark();
    file.publish(0, { kind: 'allocation', address: 4096, time: ago(0), bytes: 10, stack: 3 });
    expect([...heap.survivors(first).stack]).toEqual([3]);
    const marks = Array.from({ length: 16 }, () => heap.mark());
    expect(heap.survivors(marks[0]!).stack).toHaveLength(0);
    expect(() => heap.survivors(first)).toThrow(code('NO_MARK'));
    expect(() => heap.survivors(1000)).toThrow(code('NO_MARK'));
  });
});

test('a reallocation that fails is undone, told by whichever lane', () => {
  withChannel((file, heap) => {
    file.takeLane(1, 1002);
    const block = { address: 4096, bytes: 8, stack: 3 };
    file.publish(0, { kind: 'allocation', ...block, time: ago(0) });
    for (const lane of [0, 1]) {
      file.publish(0, { kind: 'reallocation', address: 4096, time: ago(0) });
      expect(heap.totals()).toMatchObject({ liveBytes: 0, frees: 1 });
      file.publish(lane, { kind: 'undone', address: 4096, time: ago(0) });
      expect(heap.totals()).toMatchObject({ liveBytes: 8, frees: 0, unknownFrees: 0, damaged: 0 });
    }
  });
});

test('what an earlier collector has read is missing, and that is told', () => {
  withChannel((file, heap) => {
    file.publish(0, { kind: 'allocation', address: 4096, time: ago(0), bytes: 8, stack: 3 });
    expect(heap.totals()).toMatchObject({ liveBytes: 8, resumed: false });
    heap.close();
    file.publish(0, { kind: 'allocation', address: 8192, time: ago(0), bytes: 16, stack: 3 });
    const next = new HeapChannel(heap.path);
    expect(next.totals()).toMatchObject({ liveBytes: 16, resumed: true });
    next.close();
  });
});

test('what makes no sense is counted and left out', () => {
  withChannel((file, heap) => {
    const time = ago(1);
    file.publish(0, { kind: 'nothing', time });
    file.publish(0, { kind: 'allocation', address: 0, time, bytes: 8 });
    file.publish(0, { kind: 'allocation', address: 4097, time, bytes: 8 });
    file.publish(0, { kind: 'allocation', address: 2 ** 48, time, bytes: 8 });
    file.publish(0, { kind: 'allocation', address: 4096, time, bytes: 2 ** 50 });
    file.publish(0, { kind: 'undone', address: 4096, time });
    file.publish(0, { kind: 'release', address: 4097, time });
    file.publish(0, { kind: 'temporaries', time, bytes: 2 ** 50, sampledEvery: 3 });
    expect(heap.totals()).toMatchObject({ allocations: 0, frees: 0, unknownFrees: 0, damaged: 8, events: 8 });
    // Of an unknown stack, and all the same an allocation.
    file.publish(0, { kind: 'allocation', address: 4096, time, bytes: 8, stack: 5000 });
    expect([...heap.sites().stack]).toEqual([0]);
    expect(heap.totals()).toMatchObject({ allocations: 1, damaged: 9 });
  });
});

test('the background thread takes events in and gives chunks back', async () => {
  const file = new HeapChannelFile(path, 1, 4);
  file.takeLane(0, 1001);
  const heap = new HeapChannel(path);
  heap.start();
  heap.start();
  for (let event = 0; event < 12 * CHUNK_EVENTS; event++) {
    while (event % CHUNK_EVENTS === 0 && file.freeChunks() === 0) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    file.publish(0, { kind: event % 2 ? 'release' : 'allocation', address: 4096, time: ago(0), bytes: 8 });
  }
  expect(heap.totals()).toMatchObject({
    events: 12 * CHUNK_EVENTS,
    allocations: 6 * CHUNK_EVENTS,
    liveAllocations: 0,
    unknownFrees: 0,
  });
  heap.close();
  expect(() => heap.totals()).toThrow(code('CHANNEL_MISSING'));
  heap.close();
  file.close();
});

test('the background thread keeps no process alive and ends with it', () => {
  const file = new HeapChannelFile(path, 1, 4);
  file.close();
  for (const end of ['', 'process.exit(3)', 'setTimeout(() => heap.close(), 20)', 'heap = null; gc()']) {
    const script = `
      const { Heap } = require(${JSON.stringify(join(root, 'build/Release/offheap.node'))});
      let heap = new Heap(${JSON.stringify(path)});
      heap.start();
      ${end}`;
    const { status, stderr } = spawnSync(process.execPath, ['--expose-gc', '-e', script], {
      timeout: 20_000,
      encoding: 'utf8',
    });
    expect({ status, stderr }).toEqual({ status: end.startsWith('process') ? 3 : 0, stderr: '' });
  }
});

test('a file that is truncated under the reader', () => {
  for (const bytes of [0, 100, 4096, 30_000]) {
    rmSync(path, { force: true });
    withChannel((file, heap) => {
      file.publish(0, { kind: 'allocation', address: 4096, time: ago(0), bytes: 8 });
      if (bytes < 4096) heap.start();
      truncateSync(path, bytes);
      expect(() => heap.totals()).toThrow(code('CHANNEL_DAMAGED'));
      expect(() => heap.finish()).toThrow(code('CHANNEL_DAMAGED'));
      // The mode stands in the first page, which may be whole still.
      if (bytes < 4096) expect(() => heap.setMode('sampled')).toThrow(code('CHANNEL_DAMAGED'));
    });
  }
});

test('arguments that no mode and no sampling have', () => {
  withChannel((_file, heap) => {
    expect(() => heap.setMode('sampled', 0)).toThrow(TypeError);
    expect(() => heap.setMode('sampled', 2 ** 32)).toThrow(TypeError);
    expect(() => heap.setMode('loud' as 'off')).toThrow(TypeError);
    expect(heap.mode).toBe('exact');
    heap.setMode('sampled');
    expect(heap.mode).toBe('sampled');
  });
});

/** Everything a collector does with a heap. */
function collect(): void {
  const heap = new HeapChannel(path);
  try {
    for (let round = 0; round < 3; round++) {
      heap.drain();
      const totals = heap.totals();
      for (const value of Object.values(totals)) if (Number.isNaN(value)) throw new Error('not a number');
      heap.sites();
      heap.threads();
      heap.sizes();
      heap.ages();
      heap.survivors(heap.mark());
      heap.setMode(round % 2 ? 'exact' : 'sampled', 1000);
    }
    heap.finish();
    heap.totals();
  } finally {
    heap.close();
  }
}

/** A fixed seed: what fails can be run again. */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
}

test('random damage ends in a typed error or a clean end', () => {
  const file = new HeapChannelFile(path, 4, 6);
  for (let lane = 0; lane < 4; lane++) {
    file.takeLane(lane, 1000 + lane);
    for (let event = 0; event < (lane === 0 ? 3 * CHUNK_EVENTS : 30); event++) {
      const kind = (['allocation', 'release', 'reallocation', 'undone'] as const)[event % 4]!;
      const address = 4096 + 16 * (event % 50);
      file.publish(lane, { kind, address, time: ago(1), bytes: event, stack: 1 + (event % 9) });
    }
    file.rest(lane, 5, { kind: 'allocation', address: 8192, time: ago(1), bytes: 10, stack: 2 });
    file.temporaries(lane, 7, 3, 4, 100);
  }
  file.close();
  const whole = readFileSync(path);
  const lanes = file.lanesOffset;
  const places = [
    (random: (below: number) => number) => lanes + random(4 * Lane.bytes),
    (random: (below: number) => number) =>
      file.chunkAt(random(6)) + random(Chunk.bytes + 20 * HeapEvent.bytes),
    (random: (below: number) => number) =>
      file.windowsOffset + random(file.chunksOffset - file.windowsOffset),
    (random: (below: number) => number) => fieldOffset(Header, 'lanes_offset') + random(Header.bytes - 512),
  ];
  const outcomes = { clean: 0, refused: 0 };
  for (let seed = 1; seed <= 600; seed++) {
    const random = randomNumbers(seed);
    const bytes = Buffer.from(whole);
    for (let change = random(20); change >= 0; change--) {
      const at = places[random(places.length - (change > 0 ? 1 : 0))]!(random);
      bytes[at] = [0, 0xff, 0x80, random(256), random(8)][random(5)]!;
    }
    const end = random(10) === 0 ? random(bytes.length) : bytes.length;
    rmSync(path);
    writeFileSync(path, bytes.subarray(0, end), { mode: 0o600 });
    try {
      collect();
      outcomes.clean++;
    } catch (error) {
      if (!(error instanceof OffheapError)) throw new Error(`seed ${seed}`, { cause: error });
      outcomes.refused++;
    }
  }
  expect(outcomes.clean).toBeGreaterThan(50);
  expect(outcomes.refused).toBeGreaterThan(20);
});
