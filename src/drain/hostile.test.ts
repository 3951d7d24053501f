import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { layout } from '../wire/addon.js';
import { Channel } from '../wire/channel.js';
import { OffheapError } from '../wire/error.js';
import { fieldOffset } from '../wire/layout.js';
import { Drain, type DrainHandler } from './drain.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const golden = readFileSync(join(root, 'native/wire/golden/channel.bin'));
const { Header, Event, StackNode } = layout.structures;
const RING = layout.constants.pageBytes;
const NODES = RING + 8 * Event.bytes;

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'offheap-hostile-'));
  path = join(folder, 'channel');
});

afterEach(() => rmSync(folder, { recursive: true }));

function write(bytes: Uint8Array): void {
  writeFileSync(path, bytes, { mode: 0o600 });
}

function patched(...changes: [name: string, value: bigint][]): Buffer {
  const bytes = Buffer.from(golden);
  for (const [name, value] of changes) bytes.writeBigUInt64LE(value, fieldOffset(Header, name));
  return bytes;
}

const code = (expected: string) => expect.objectContaining({ name: 'OffheapError', code: expected });

const offsetOf = (section: string) => Number(golden.readBigUInt64LE(fieldOffset(Header, section)));

/** Does with a channel all that a collector does. */
function collect(): void {
  const drain = new Drain(path);
  try {
    const handler: DrainHandler = {
      event: (event) => drain.stacks.frames(event.stack),
      gap: () => {},
      checkpoint: (position) => drain.confirm(position),
    };
    for (let polls = 0; polls < 4 && !drain.ended; polls++) drain.poll(handler);
    drain.channel.sites();
    drain.channel.command();
    drain.confirm(drain.position);
  } finally {
    drain.close();
  }
}

test.each([
  ['empty', Buffer.alloc(0), 'CHANNEL_STARTING'],
  ['shorter than a header', golden.subarray(0, 100), 'CHANNEL_DAMAGED'],
  ['cut behind the header', golden.subarray(0, 4096), 'CHANNEL_DAMAGED'],
  ['not begun', Buffer.alloc(8192), 'CHANNEL_STARTING'],
  ['no channel', patched(['magic', 0x1234n]), 'CHANNEL_DAMAGED'],
  ['another layout', patched(['layout_hash', 0xabcn]), 'CHANNEL_VERSION'],
  ['a ring behind the end', patched(['ring_offset', 1n << 40n]), 'CHANNEL_DAMAGED'],
  ['a ring whose end wraps round', patched(['ring_offset', (1n << 64n) - 64n]), 'CHANNEL_DAMAGED'],
  ['a capacity whose bytes wrap round', patched(['ring_capacity', 1n << 57n]), 'CHANNEL_DAMAGED'],
  ['a capacity that is no power of two', patched(['ring_capacity', 7n]), 'CHANNEL_DAMAGED'],
  ['no ring', patched(['ring_capacity', 0n]), 'CHANNEL_DAMAGED'],
  ['more nodes than fit', patched(['nodes_capacity', 1n << 31n]), 'CHANNEL_DAMAGED'],
  ['more text than fits', patched(['text_capacity', 4096n]), 'CHANNEL_DAMAGED'],
  ['a tail before the head', patched(['ring_tail', 12n]), 'CHANNEL_DAMAGED'],
  ['a head too far', patched(['ring_head', 1000n]), 'CHANNEL_DAMAGED'],
  [
    'a head beyond all numbers',
    patched(['ring_head', 1n << 63n], ['ring_tail', 1n << 63n]),
    'CHANNEL_DAMAGED',
  ],
])('%s', (_name, bytes, expected) => {
  write(bytes);
  expect(collect).toThrow(code(expected));
});

test('another version names both', () => {
  const bytes = patched(['layout_hash', 0xabcn]);
  bytes.write('0.0.9\0', fieldOffset(Header, 'version0'), 'latin1');
  write(bytes);
  expect(collect).toThrow(
    `channel was written by offheap 0.0.9 (layout 0000000000000abc), this is ${layout.version} ` +
      `(layout ${layout.layoutHash}); use the shim of the same version`,
  );
});

test('no file, a link, a folder, a file that others may write', () => {
  expect(collect).toThrow(code('CHANNEL_MISSING'));
  write(golden);
  const link = join(folder, 'link');
  symlinkSync(path, link);
  expect(() => new Channel(link)).toThrow(code('CHANNEL_REFUSED'));
  expect(() => new Channel(folder)).toThrow(OffheapError);
  chmodSync(path, 0o620);
  expect(collect).toThrow(code('CHANNEL_REFUSED'));
});

test.runIf(process.geteuid?.() === 0)('a channel of another user', () => {
  write(golden);
  chmodSync(folder, 0o711);
  // Seen from a user who is not the superuser, who may look at everybody's.
  const script = `
    const { Channel } = require(${JSON.stringify(join(root, 'build/Release/offheap.node'))});
    process.setgid(65534); process.setuid(65534);
    try { new Channel(${JSON.stringify(path)}); } catch (error) { console.log(error.code); }`;
  chmodSync(path, 0o600);
  expect(execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' })).toBe('CHANNEL_REFUSED\n');
});

test('a file that is truncated under the reader', () => {
  for (const bytes of [0, 100, 4096, golden.length - 4 * layout.structures.Event.bytes - 1]) {
    write(golden);
    const drain = new Drain(path);
    truncateSync(path, bytes);
    const handler: DrainHandler = { event: () => {}, gap: () => {}, checkpoint: () => {} };
    const readAndFree = () => {
      drain.poll(handler);
      drain.channel.sites();
      drain.confirm(drain.position);
    };
    expect(readAndFree).toThrow(code('CHANNEL_DAMAGED'));
    drain.close();
  }
});

test('a store behind the end of the file is an error, not a SIGBUS', () => {
  write(golden);
  const channel = new Channel(path);
  expect(channel.claim(0)).toBe(0);
  truncateSync(path, 0);
  expect(() => channel.beat()).toThrow(code('CHANNEL_DAMAGED'));
  expect(() => channel.beat()).toThrow(code('CHANNEL_DAMAGED'));
  channel.close();
});

test('a SIGBUS that is not ours still ends the process', () => {
  const script = `
    const { Channel } = require(${JSON.stringify(join(root, 'build/Release/offheap.node'))});
    const channel = new Channel(${JSON.stringify(path)});
    channel.claim(0);
    process.kill(process.pid, 'SIGBUS');
    setTimeout(() => {}, 5000);`;
  write(golden);
  expect(() => execFileSync(process.execPath, ['-e', script])).toThrow(
    expect.objectContaining({ signal: 'SIGBUS' }),
  );
});

/** Opens the golden channel with other parents for some of its stack's nodes: 1, its root, 2, and 3, its leaf. */
function withParents(parents: Record<number, number>): Drain {
  const bytes = Buffer.from(golden);
  for (const [node, parent] of Object.entries(parents)) {
    bytes.writeUInt32LE(parent, NODES + Number(node) * StackNode.bytes + fieldOffset(StackNode, 'parent'));
  }
  write(bytes);
  return new Drain(path);
}

test.each([
  ['a cycle', { 2: 3 }, 3],
  ['a node that is its own parent', { 3: 3 }, 3],
  ['a parent numbered after its child', { 2: 3, 3: 1 }, 2],
  ['a root in the middle', { 1: 0, 2: 0 }, 3],
  ['a number that no node has', {}, 0xffff_ffff],
])('stack tree: %s', (_name, parents, node) => {
  const drain = withParents(parents);
  expect(drain.stacks.frames(node)).toEqual([]);
  expect(drain.stacks.damaged).toBe(1);
  drain.close();
});

test('random damage ends in a typed error or a clean end', () => {
  // A fixed seed: what fails can be run again.
  let state = 12345;
  const random = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
  // Behind magic and layout hash, which would end every round at once.
  const heap = offsetOf('lanes_offset');
  const behindHeap = offsetOf('text_offset');
  const places = [
    () => 16 + random(Header.bytes - 16),
    () => RING + random(heap - RING),
    () => behindHeap + random(golden.length - behindHeap),
  ];
  const outcomes = { clean: 0, refused: 0 };
  for (let round = 0; round < 1500; round++) {
    const bytes = Buffer.from(golden);
    for (let change = random(6); change >= 0; change--) {
      const at = places[random(3)]!();
      bytes[at] = [0, 0xff, 0x80, random(256)][random(4)]!;
    }
    write(random(8) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes);
    try {
      collect();
      outcomes.clean++;
    } catch (error) {
      if (!(error instanceof OffheapError)) throw error;
      outcomes.refused++;
    }
  }
  expect(outcomes.clean).toBeGreaterThan(50);
  expect(outcomes.refused).toBeGreaterThan(50);
});
