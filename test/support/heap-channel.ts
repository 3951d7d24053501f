import { closeSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { layout } from '../../src/wire/addon.js';
import { HEAP_MODES, type HeapMode } from '../../src/wire/heap-mode.js';
import { fieldOffset } from '../../src/wire/layout.js';

const { Header, Event, StackNode, HeapEvent, Chunk, Lane, Temporaries } = layout.structures;
const PAGE = layout.constants.pageBytes;
export const CHUNK_BYTES = 16384;
export const CHUNK_EVENTS = CHUNK_BYTES / HeapEvent.bytes - 1;
const WINDOW_EVENTS = 256;
const WINDOW_BYTES = WINDOW_EVENTS * HeapEvent.bytes + 256 * Temporaries.bytes;
const NODES = 1000;
const RING_EVENTS = 16;
const KINDS = layout.enumerations.heapEventKinds;

export type HeapEventKind =
  | 'allocation'
  | 'release'
  | 'reallocation'
  | 'undone'
  | 'temporaries'
  | 'thread'
  | 'nothing';

export interface WrittenHeapEvent {
  kind: HeapEventKind;
  address?: number;
  time: bigint;
  bytes?: number;
  stack?: number;
  sampledEvery?: number;
}

const pages = (bytes: number) => Math.ceil(bytes / PAGE) * PAGE;

/** A target without a process: writes heap events into a channel file as native/wire/heap.h asks it to. */
export class HeapChannelFile {
  readonly lanesOffset: number;
  readonly windowsOffset: number;
  readonly chunksOffset: number;
  readonly bytes: number;
  readonly #file: number;
  readonly #heads: number[] = [];
  /** Of each lane: the chunk it is in, plus one, and that chunk's first position. */
  readonly #chunks: { number: number; first: number }[] = [];

  constructor(
    path: string,
    readonly lanes: number,
    readonly chunks: number,
  ) {
    const nodes = PAGE + RING_EVENTS * Event.bytes;
    const end = nodes + NODES * StackNode.bytes;
    this.lanesOffset = pages(end);
    this.windowsOffset = this.lanesOffset + pages(lanes * Lane.bytes);
    this.chunksOffset = this.windowsOffset + lanes * WINDOW_BYTES;
    this.bytes = this.chunksOffset + chunks * CHUNK_BYTES;
    this.#file = openSync(path, 'wx+', 0o600);
    ftruncateSync(this.#file, this.bytes);
    const fields: Record<string, number> = {
      file_bytes: this.bytes,
      ring_offset: PAGE,
      ring_capacity: RING_EVENTS,
      nodes_offset: nodes,
      nodes_capacity: NODES,
      index_offset: end,
      text_offset: end,
      sites_offset: end,
      lanes_offset: this.lanesOffset,
      lanes_capacity: lanes,
      windows_offset: this.windowsOffset,
      chunks_offset: this.chunksOffset,
      chunks_capacity: chunks,
    };
    for (const [name, value] of Object.entries(fields)) this.setHeader(name, BigInt(value));
    for (let chunk = 0; chunk < chunks; chunk++) this.#setBit(chunk, true);
    this.control('exact', 0, 524_288);
    this.setHeader('layout_hash', BigInt(`0x${layout.layoutHash}`));
    this.setHeader('magic', BigInt(`0x${layout.magic}`));
  }

  close(): void {
    closeSync(this.#file);
  }

  setHeader(name: string, value: bigint): void {
    this.#put64(fieldOffset(Header, name), value);
  }

  header(name: string): bigint {
    return this.#get64(fieldOffset(Header, name));
  }

  control(mode: HeapMode, epoch: number, sampleBytes: number): void {
    const word = (BigInt(sampleBytes) << 32n) | (BigInt(epoch) << 8n) | BigInt(HEAP_MODES.indexOf(mode));
    this.setHeader('heap_control', word);
  }

  get epoch(): number {
    return Number((this.header('heap_control') >> 8n) & 0xff_ffffn);
  }

  /** A thread takes a lane: a new one, or one that was given back. */
  takeLane(lane: number, threadId: number, inUse = true): void {
    const at = this.lanesOffset + lane * Lane.bytes;
    this.#put32(at + fieldOffset(Lane, 'thread_id'), threadId);
    this.#put32(at + fieldOffset(Lane, 'in_use'), inUse ? 1 : 0);
    if (BigInt(lane) >= this.header('lanes_used')) this.setHeader('lanes_used', BigInt(lane + 1));
  }

  giveLaneBack(lane: number): void {
    this.#put32(this.lanesOffset + lane * Lane.bytes + fieldOffset(Lane, 'in_use'), 0);
  }

  /** Throws where there is no free chunk. */
  publish(lane: number, event: WrittenHeapEvent): void {
    const head = this.#heads[lane] ?? 0;
    let chunk = this.#chunks[lane];
    if (!chunk || head === chunk.first + CHUNK_EVENTS) {
      const number = this.#takeChunk() + 1;
      const at = this.chunkAt(number - 1);
      this.#put64(at + fieldOffset(Chunk, 'first_position'), BigInt(head));
      this.#put32(at + fieldOffset(Chunk, 'lane'), lane);
      this.#put32(at + fieldOffset(Chunk, 'next'), 0);
      const link = chunk
        ? this.chunkAt(chunk.number - 1) + fieldOffset(Chunk, 'next')
        : this.lanesOffset + lane * Lane.bytes + fieldOffset(Lane, 'first_chunk');
      this.#put32(link, number);
      chunk = { number, first: head };
      this.#chunks[lane] = chunk;
    }
    const place = this.chunkAt(chunk.number - 1) + Chunk.bytes + (head - chunk.first) * HeapEvent.bytes;
    this.#putEvent(place, event);
    this.#heads[lane] = head + 1;
    this.#put64(this.lanesOffset + lane * Lane.bytes + fieldOffset(Lane, 'head'), BigInt(head + 1));
  }

  rest(lane: number, entry: number, event: WrittenHeapEvent): void {
    this.#putEvent(this.windowsOffset + lane * WINDOW_BYTES + entry * HeapEvent.bytes, event);
  }

  clear(lane: number, entry: number): void {
    this.#put64(this.windowsOffset + lane * WINDOW_BYTES + entry * HeapEvent.bytes, 0n);
  }

  temporaries(lane: number, entry: number, stack: number, count: number, bytes: number): void {
    const start = this.windowsOffset + lane * WINDOW_BYTES + WINDOW_EVENTS * HeapEvent.bytes;
    const at = start + entry * Temporaries.bytes;
    this.#put32(at + fieldOffset(Temporaries, 'stack'), stack);
    this.#put32(at + fieldOffset(Temporaries, 'count'), count);
    this.#put64(at + fieldOffset(Temporaries, 'bytes'), BigInt(bytes));
  }

  freeChunks(): number {
    return Array.from({ length: this.chunks }, (_, chunk) => this.#bit(chunk)).filter(Boolean).length;
  }

  chunkAt(chunk: number): number {
    return this.chunksOffset + chunk * CHUNK_BYTES;
  }

  #takeChunk(): number {
    for (let chunk = 0; chunk < this.chunks; chunk++) {
      if (!this.#bit(chunk)) continue;
      this.#setBit(chunk, false);
      return chunk;
    }
    throw new Error('no free chunk');
  }

  #bit(chunk: number): boolean {
    return ((this.#get64(this.#bitWord(chunk)) >> BigInt(chunk % 64)) & 1n) === 1n;
  }

  #setBit(chunk: number, on: boolean): void {
    const bit = 1n << BigInt(chunk % 64);
    const word = this.#get64(this.#bitWord(chunk));
    this.#put64(this.#bitWord(chunk), on ? word | bit : word & ~bit);
  }

  #bitWord(chunk: number): number {
    return Header.bytes + Math.floor(chunk / 64) * 8;
  }

  #putEvent(at: number, event: WrittenHeapEvent): void {
    const bytes = Buffer.alloc(HeapEvent.bytes);
    const word = (BigInt(KINDS.indexOf(event.kind)) << 56n) | BigInt(event.address ?? 0);
    bytes.writeBigUInt64LE(word, fieldOffset(HeapEvent, 'address'));
    bytes.writeBigUInt64LE(event.time, fieldOffset(HeapEvent, 'time'));
    bytes.writeBigUInt64LE(BigInt(event.bytes ?? 0), fieldOffset(HeapEvent, 'bytes'));
    bytes.writeUInt32LE(event.stack ?? 0, fieldOffset(HeapEvent, 'stack'));
    bytes.writeUInt32LE(event.sampledEvery ?? 0, fieldOffset(HeapEvent, 'sampled_every'));
    writeSync(this.#file, bytes, 0, bytes.length, at);
  }

  #put32(at: number, value: number): void {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    writeSync(this.#file, bytes, 0, 4, at);
  }

  #put64(at: number, value: bigint): void {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(value);
    writeSync(this.#file, bytes, 0, 8, at);
  }

  #get64(at: number): bigint {
    const bytes = Buffer.alloc(8);
    readSync(this.#file, bytes, 0, 8, at);
    return bytes.readBigUInt64LE();
  }
}
