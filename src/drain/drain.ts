import type { Drained } from '../wire/addon.js';
import { Channel } from '../wire/channel.js';
import { EventClock } from '../wire/clock.js';
import { EVENT_BYTES, EventDecoder } from '../wire/decode.js';
import type { MappingEvent } from '../wire/event.js';
import type { ChannelHeader } from '../wire/header.js';
import { copyBacklog } from './backlog.js';
import { claimChannel, whileLocked } from './claim.js';
import { visibleProcessId } from './pid-namespaces.js';
import { type Liveness, liveness } from './process-identity.js';
import { PythonCodes } from './python-codes.js';
import { Stacks } from './stacks.js';

/** Why events are missing. */
export type GapReason =
  /** The ring was full and the target didn't wait any longer. */
  | 'ringFull'
  /** A thread took a place in the ring and never filled it. */
  | 'uncommitted'
  /** A slot held another record than it should, or was given up by the thread that had taken it. */
  | 'overwritten'
  /** A record made no sense. */
  | 'damaged';

/** Takes what a drain reads. */
export interface DrainHandler {
  /** The next event in order. The object is overwritten by the next one: copy what you keep. */
  event(event: MappingEvent): void;
  /** Events are missing: before the next one, for `ringFull` about here. */
  gap(reason: GapReason, events: number): void;
  /**
   * Half of the ring waits to be freed: everything before `position` was handed out. Make it safe, then call
   * `confirm(position)`; until then the target can't reuse these slots and loses events once the ring is full.
   */
  checkpoint(position: number): void;
}

export interface Polled {
  events: number;
  lost: number;
}

const BUFFER_EVENTS = 4096;
/** One poll hands out this many buffers at most, so that a busy target can't keep everything else from running. */
const BUFFERS_PER_POLL = 8;
const HEADER_INTERVAL_MS = 100;
const LIVENESS_INTERVAL_MS = 200;
/** Between taking a slot and filling it a thread does nothing but copy: so late, it never will. */
const HOLE_PATIENCE_MS = 2000;

/** All drains', one at a time: what was copied is handed out before anything else is read. */
const buffer = new Uint8Array(BUFFER_EVENTS * EVENT_BYTES);
let isHandingOut = false;

interface Hole {
  position: number;
  count: number;
  sinceMs: number;
}

export interface DrainOptions {
  /** Whether the target still runs; by default /proc is asked. */
  liveness?: () => Liveness;
  nowMs?: () => number;
}

/** Reads one channel from where its last reader freed it, to its end. Single consumer: claims the channel. */
export class Drain {
  readonly channel: Channel;
  readonly stacks: Stacks;
  /** As we know it; in a container the target knows itself by another number. */
  readonly processId: number;
  readonly pythonCodes: PythonCodes;
  /** Events missing so far, by reason. `ringFull` counts from the channel's start, whoever read it then. */
  readonly lost: Record<GapReason, number> = { ringFull: 0, uncommitted: 0, overwritten: 0, damaged: 0 };
  readonly #release: () => void;
  readonly #decoder: EventDecoder;
  readonly #clock: EventClock;
  readonly #liveness: () => Liveness;
  readonly #nowMs: () => number;
  #header: ChannelHeader;
  #headerAtMs = Number.NEGATIVE_INFINITY;
  #livenessAtMs = Number.NEGATIVE_INFINITY;
  #position: number;
  #freed: number;
  #hole: Hole | null = null;
  /** Everything before this position was handed out. */
  #handedOut = 0;
  #backlogUsed = 0;
  #finishing = false;
  #ended = false;

  /** Throws what `Channel` throws, and `CHANNEL_BUSY`. */
  constructor(path: string, options: DrainOptions = {}) {
    this.channel = new Channel(path);
    try {
      this.#release = claimChannel(this.channel);
    } catch (error) {
      this.channel.close();
      throw error;
    }
    this.stacks = new Stacks(this.channel);
    this.pythonCodes = new PythonCodes(this.channel);
    this.#header = this.channel.header();
    this.#freed = this.#header.ringTail;
    this.#position = Math.max(this.#freed, Math.min(this.#header.backlogPosition, this.#header.ringHead));
    this.#clock = new EventClock(this.#header);
    this.#decoder = new EventDecoder({
      text: (offset) => this.channel.text(offset),
      sinceStartNs: (low, high) => this.#clock.sinceStartNs(low, high),
    });
    this.processId = visibleProcessId(this.#header);
    const { processStartTicks } = this.#header;
    this.#liveness = options.liveness ?? (() => liveness(this.processId, processStartTicks));
    this.#nowMs = options.nowMs ?? (() => performance.now());
  }

  /** The header as it was a moment ago. */
  get header(): ChannelHeader {
    return this.#header;
  }

  /** Nanoseconds since the process's start of a time like those of its events, given as two halves. */
  sinceStartNs(low: number, high: number): number {
    return this.#clock.sinceStartNs(low, high);
  }

  /** The next position to be handed out. */
  get position(): number {
    return this.#position;
  }

  /** The target is gone and everything that it recorded was handed out. */
  get ended(): boolean {
    return this.#ended;
  }

  /** The target writes here no more although its pid lives (exec): the next poll reads to the end. */
  finish(): void {
    this.#finishing = true;
  }

  /**
   * Hands out what has been recorded since the last poll: nothing while that is under way, which a handler's listener may
   * ask for. Throws `CHANNEL_DAMAGED` or `CHANNEL_BUSY`.
   */
  poll(handler: DrainHandler): Polled {
    const polled = { events: 0, lost: 0 };
    if (this.#ended || isHandingOut) return polled;
    isHandingOut = true;
    try {
      this.#poll(handler, polled);
    } finally {
      isHandingOut = false;
    }
    return polled;
  }

  #poll(handler: DrainHandler, polled: Polled): void {
    this.channel.beat();
    // Asked before reading: what the target recorded before it was gone is then seen by the reads below.
    const gone = this.#finishing || this.#isGone();
    let last: Drained | undefined;
    for (let buffers = 0; buffers < BUFFERS_PER_POLL; buffers++) {
      last = this.#readBuffer(handler, polled);
      if (last === undefined) break;
      if (last.events === 0 && !this.#passHole(last, gone, handler, polled)) break;
    }
    this.#readHeader(gone, handler, polled);
    this.#ended = gone && last?.waiting === 0;
  }

  /** A checkpoint of everything before `position` is about to be written. */
  announceCheckpoint(position: number): void {
    this.channel.announceCheckpoint(position);
  }

  /** Everything before `position` is safe: the target may overwrite it. */
  confirm(position: number): void {
    if (position <= this.#freed) return;
    whileLocked(this.channel, () => {
      const { backlogPosition, ringTail } = this.channel.header();
      // What the target has moved there since the last look was not handed out yet.
      if (backlogPosition <= position) this.channel.clearBacklog(position);
      if (ringTail < position) this.channel.free(position);
      this.#freed = Math.max(position, ringTail);
    });
  }

  /** Stops reading. Whoever reads next goes on behind what was confirmed. */
  close(): void {
    this.#ended = true;
    this.#release();
  }

  #readBuffer(handler: DrainHandler, polled: Polled): Drained | undefined {
    const copied = this.#copy();
    if (copied === undefined) return undefined;
    const { backlog, drained } = copied;
    for (const records of backlog) this.#decode(records, records.byteLength / EVENT_BYTES, handler, polled);
    this.#gap('overwritten', drained.lost, handler, polled);
    this.#decode(buffer, drained.events, handler, polled);
    this.#moveTo(drained.position, handler);
    return drained;
  }

  /**
   * Copies what is next, and nothing more: while the lock is held a target with a full ring has to wait. What a busy
   * target has moved to the backlog comes before what is left in the ring.
   */
  #copy(): { backlog: Uint8Array[]; drained: Drained } | undefined {
    return whileLocked(this.channel, () => {
      const header = this.channel.header();
      const moved = header.backlogUsed > 0 && header.backlogPosition > this.#handedOut;
      const backlog = moved ? copyBacklog(this.channel, header.backlogUsed, this.#handedOut) : [];
      const drained = this.channel.drain(buffer);
      // From now on the target must not cancel what we are about to tell: its release has to come to us too.
      this.channel.announceCheckpoint(drained.position);
      this.#freed = Math.max(this.#freed, header.ringTail);
      this.#backlogUsed = header.backlogUsed;
      this.#handedOut = drained.position;
      return { backlog, drained };
    });
  }

  #decode(records: Uint8Array, count: number, handler: DrainHandler, polled: Polled): void {
    const damaged = this.#decoder.decode(records, count, (event) => handler.event(event));
    this.#gap('damaged', damaged, handler, polled);
    polled.events += count - damaged;
  }

  #moveTo(position: number, handler: DrainHandler): void {
    if (position === this.#position) return;
    this.#position = position;
    const { ringCapacity } = this.#header;
    const isFilling = position - this.#freed >= ringCapacity / 2 || this.#backlogUsed >= ringCapacity;
    if (isFilling) handler.checkpoint(position);
  }

  /** Whether reading can go on at once: a hole was given up, or what is there was not all read. */
  #passHole(drained: Drained, gone: boolean, handler: DrainHandler, polled: Polled): boolean {
    if (drained.hole === 0) {
      this.#hole = null;
      return drained.lost > 0;
    }
    const count = gone ? drained.hole : this.#expiredHole(drained);
    if (count === 0) return false;
    this.channel.skip(drained.position, count);
    this.#hole = null;
    this.#gap('uncommitted', count, handler, polled);
    this.#moveTo(drained.position + count, handler);
    return true;
  }

  /** How many positions at the front of a living target's ring have been overdue for too long. */
  #expiredHole(drained: Drained): number {
    const nowMs = this.#nowMs();
    if (!drained.blocked) return 0;
    // Remembered as first seen: only those positions were taken before the patience began.
    if (this.#hole?.position !== drained.position) {
      this.#hole = { position: drained.position, count: drained.hole, sinceMs: nowMs };
    }
    if (nowMs - this.#hole.sinceMs < HOLE_PATIENCE_MS) return 0;
    if (this.#liveness() === 'stopped') {
      this.#hole.sinceMs = nowMs;
      return 0;
    }
    return Math.min(this.#hole.count, drained.hole);
  }

  #isGone(): boolean {
    const nowMs = this.#nowMs();
    if (nowMs - this.#livenessAtMs < LIVENESS_INTERVAL_MS) return false;
    this.#livenessAtMs = nowMs;
    this.#finishing = this.#liveness() === 'gone';
    return this.#finishing;
  }

  #readHeader(force: boolean, handler: DrainHandler, polled: Polled): void {
    const nowMs = this.#nowMs();
    if (!force && nowMs - this.#headerAtMs < HEADER_INTERVAL_MS) return;
    this.#headerAtMs = nowMs;
    this.#header = this.channel.header();
    this.#clock.calibrate();
    this.#gap('ringFull', this.#header.eventsLost - this.lost.ringFull, handler, polled);
  }

  #gap(reason: GapReason, events: number, handler: DrainHandler, polled: Polled): void {
    if (events <= 0) return;
    this.lost[reason] += events;
    polled.lost += events;
    handler.gap(reason, events);
  }
}
