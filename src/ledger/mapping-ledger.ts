import type { MappingEvent } from '../wire/event.js';
import { takeOutAttachment } from './attachments.js';
import { type LedgerState, readCheckpoint, writeCheckpoint } from './checkpoint.js';
import { InFlightCalls, type PendingCall } from './in-flight.js';
import { type LedgerCounters, noCounts } from './ledger-counters.js';
import { LiveMemory } from './live-memory.js';
import type { LiveRange, RangeColumns } from './live-range.js';
import {
  ADDRESS_LIMIT,
  DISCARDING_ADVICE,
  hugePageShift,
  isFailure,
  MAP_FIXED,
  MAP_GROWSDOWN,
  MAP_STACK,
  memoryClass,
  PAGE_BYTES,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
  PROTECTION_MASK,
  roundUp,
  SHM_EXEC,
  SHM_RDONLY,
  SHM_REMAP,
  seedMemoryClass,
} from './memory-abi.js';
import { beginMremap, endMremap } from './mremap.js';
import { packTraits, type Traits } from './origin-table.js';
import { ProgramBreak } from './program-break.js';
import { RowBuffer } from './row-buffer.js';
import type { SiteTotal } from './site-totals.js';

export type { LiveRange, Origin } from './live-range.js';
export type { SiteTotal } from './site-totals.js';

/**
 * Which byte ranges of a process are mapped and by whom: a fold over its mapping events in channel order.
 *
 * It follows the kernel's rules for what each call does to the address space. Ranges that the kernel merges into one
 * VMA stay apart here, since they have different origins.
 */
export class MappingLedger {
  readonly #pageBytes: number;
  readonly #memory: LiveMemory;
  readonly #inFlight: InFlightCalls;
  readonly #counters: LedgerCounters;
  readonly #break: ProgramBreak;
  /** How far behind an attachment's base a piece of it can lie. */
  #largestAttachmentBytes: number;
  readonly #scratch = new RowBuffer();

  constructor(options: { pageBytes?: number } = {}, state?: LedgerState) {
    this.#pageBytes = state?.pageBytes ?? options.pageBytes ?? PAGE_BYTES;
    this.#memory = state?.memory ?? new LiveMemory();
    this.#counters = state?.counters ?? noCounts();
    this.#break = new ProgramBreak(this.#pageBytes, state?.breakAddress, state?.heapStart);
    this.#largestAttachmentBytes = state?.largestAttachmentBytes ?? 0;
    this.#inFlight = new InFlightCalls((call) => {
      if (call.operation === 'mremap') this.#counters.unmatched++;
      this.#memory.discard(call.pieces);
    });
    for (const { threadId, call } of state?.inFlight ?? []) this.#inFlight.restore(threadId, call);
  }

  /** Applies the next event in channel order. `site` is its number in the `SiteTable`. Keeps no reference to `event`. */
  apply(event: MappingEvent, site: number): void {
    this.#counters.events++;
    switch (event.phase) {
      case 'failed':
        this.#counters.failedCalls++;
        this.#undo(event);
        return;
      case 'end':
        if (event.operation === 'mremap') this.#mremapEnd(event, site);
        return;
      case 'begin':
        this.#inFlight.settle(event);
        this.#begin(event, site);
        return;
      case 'complete':
        this.#inFlight.settle(event);
        if (event.operation !== 'seed' && isFailure(event.result)) this.#counters.failedCalls++;
        else this.#complete(event, site);
    }
  }

  /** The program break as the last call left it; -1 while unknown. */
  get breakAddress(): number {
    return this.#break.address;
  }

  /** Live ranges by address, those of files included. What happens to the ledger meanwhile is not seen. */
  ranges(): IterableIterator<LiveRange> {
    return this.rangesIn(0, Number.POSITIVE_INFINITY);
  }

  /** Live ranges that overlap [start, end), whole. */
  rangesIn(start: number, end: number): IterableIterator<LiveRange> {
    return this.#memory.rangesIn(start, end).values();
  }

  /** The same ranges as columns. */
  columns(): RangeColumns {
    return this.#memory.columns();
  }

  /** Bounds of the live ranges of anonymous and shared memory, `[start, end, …]` by address: no objects, for what is often done. */
  boundsOfMemory(): Float64Array {
    return this.#memory.boundsOfMemory();
  }

  at(address: number): LiveRange | undefined {
    return this.#memory.rangesIn(address, address + 1)[0];
  }

  /** Anonymous and shared memory, reservations included. */
  get liveBytes(): number {
    return this.#memory.totals.liveBytes;
  }

  get liveRanges(): number {
    return this.#memory.totals.liveRanges;
  }

  /** The part of `liveBytes` that is PROT_NONE: addresses that are reserved and cannot be touched. */
  get reservedBytes(): number {
    return this.#memory.totals.reservedBytes;
  }

  get fileBytes(): number {
    return this.#memory.totals.fileBytes;
  }

  get fileRanges(): number {
    return this.#memory.totals.fileRanges;
  }

  get counters(): Readonly<LedgerCounters> {
    return this.#counters;
  }

  /** Bytes of anonymous and shared memory that a site holds. */
  bytesBySite(site: number): number {
    return this.#memory.totals.bytes(site);
  }

  /** Sites that hold anonymous or shared memory. */
  sites(): IterableIterator<SiteTotal> {
    return this.#memory.totals.sites();
  }

  /**
   * The ledger of a forked child: independent from here on. Of the calls that other threads were in, the child never
   * learns the outcome: a begun mremap counts as not done, a begun release as done.
   */
  clone(): MappingLedger {
    const memory = this.#memory.clone();
    const copy = new MappingLedger(
      {},
      { ...this.#state(), memory, counters: { ...this.#counters }, inFlight: [] },
    );
    for (const { call } of this.#inFlight.calls()) {
      const pieces = call.pieces.clone();
      if (call.operation === 'mremap') memory.putBack(pieces);
      else memory.discard(pieces);
    }
    return copy;
  }

  /** A checkpoint, calls in flight included; applying the events behind it to `restore(…)` continues this ledger. */
  serialize(): Uint8Array {
    return writeCheckpoint(this.#state());
  }

  /** @throws CheckpointError if the bytes are not a sound checkpoint of this version. */
  static restore(bytes: Uint8Array): MappingLedger {
    return new MappingLedger({}, readCheckpoint(bytes));
  }

  #state(): LedgerState {
    return {
      pageBytes: this.#pageBytes,
      memory: this.#memory,
      counters: this.#counters,
      breakAddress: this.#break.address,
      heapStart: this.#break.lowest,
      largestAttachmentBytes: this.#largestAttachmentBytes,
      inFlight: [...this.#inFlight.calls()],
    };
  }

  #begin(event: MappingEvent, site: number): void {
    const call = this.#inFlight.begin(event, site);
    switch (event.operation) {
      case 'munmap':
        this.#munmap(event, call.pieces);
        return;
      case 'shmdt':
        this.#shmdt(event, call.pieces);
        return;
      case 'brk':
        this.#shrinkHeap(event.args[0], call);
        return;
      case 'mremap':
        beginMremap(this.#memory, event, call, this.#pageBytes);
    }
  }

  #complete(event: MappingEvent, site: number): void {
    switch (event.operation) {
      case 'mmap':
        this.#mmap(event, site);
        return;
      case 'munmap':
        this.#munmap(event, this.#scratch);
        this.#memory.discard(this.#scratch);
        return;
      case 'mprotect':
      case 'pkey_mprotect':
        this.#mprotect(event);
        return;
      case 'brk':
        this.#brk(event, site);
        return;
      case 'madvise':
      case 'process_madvise':
        this.#madvise(event);
        return;
      case 'shmat':
        this.#shmat(event, site);
        return;
      case 'shmdt':
        this.#shmdt(event, this.#scratch);
        this.#memory.discard(this.#scratch);
        return;
      case 'seed':
        this.#seed(event, site);
      // remap_file_pages rearranges a file's pages inside one mapping, fork copies the address space: neither
      // changes which ranges are live here.
    }
  }

  #undo(event: MappingEvent): void {
    const call = this.#inFlight.take(event.threadId, event.refersTo);
    if (call === undefined) {
      this.#counters.unmatched++;
      return;
    }
    this.#memory.putBack(call.pieces);
    if (call.operation === 'brk' && call.address >= 0) this.#break.putBack(call.address);
    this.#inFlight.recycle(call);
  }

  #mmap(event: MappingEvent, site: number): void {
    const flags = event.args[3];
    const shift = hugePageShift(flags);
    const bytes = roundUp(event.args[1], shift > 0 ? 2 ** shift : this.#pageBytes);
    if (!this.#isRange(event.result, bytes)) return;
    const origin = this.#addOrigin(event, site, bytes, {
      class: memoryClass(flags),
      stackArea: (flags & (MAP_STACK | MAP_GROWSDOWN)) !== 0,
      growsDown: (flags & MAP_GROWSDOWN) !== 0,
      hugePageShift: shift,
    });
    const replaced = this.#memory.map(
      event.result,
      event.result + bytes,
      origin,
      event.args[2] & PROTECTION_MASK,
    );
    if (replaced && (flags & MAP_FIXED) === 0) this.#counters.contradictions++;
  }

  #munmap(event: MappingEvent, pieces: RowBuffer): void {
    const start = event.args[0];
    const bytes = roundUp(event.args[1], this.#pageBytes);
    if (this.#isRange(start, bytes)) this.#memory.takeOut(start, start + bytes, pieces);
  }

  #mprotect(event: MappingEvent): void {
    const start = event.args[0];
    const bytes = roundUp(event.args[1], this.#pageBytes);
    if (!this.#isRange(start, bytes)) return;
    this.#memory.protect(start, start + bytes, event.args[2] & PROTECTION_MASK);
  }

  #madvise(event: MappingEvent): void {
    const ofOwnRange = event.operation === 'madvise';
    if (!DISCARDING_ADVICE.has(ofOwnRange ? event.args[2] : event.args[3])) return;
    this.#counters.discardCalls++;
    // process_madvise returns how many bytes it advised; madvise has them as an argument.
    this.#counters.discardedBytes += ofOwnRange ? roundUp(event.args[1], this.#pageBytes) : event.result;
  }

  /** A brk that did not shrink: its result is the break, unchanged if the call was refused or only a question. */
  #brk(event: MappingEvent, site: number): void {
    const [requested] = event.args;
    const { result } = event;
    if (result <= 0 || result > ADDRESS_LIMIT) return;
    if (!this.#break.isKnown) {
      if (requested === result) this.#counters.unplaced++;
      this.#break.found(result);
      return;
    }
    // Another thread's growth may stand in this answer before its own event arrives: only a granted request counts.
    if (requested !== result) return;
    if (result < this.#break.address) {
      this.#shrinkHeap(result, undefined);
      return;
    }
    const { start, end } = this.#break.raise(result);
    if (end === start) return;
    const origin = this.#addOrigin(event, site, end - start, { class: 'anonymous' });
    if (this.#memory.map(start, end, origin, PROT_READ | PROT_WRITE)) this.#counters.contradictions++;
  }

  /** The kernel unmaps all between the new and the old break, whoever has mapped it. */
  #shrinkHeap(newBreak: number, call: PendingCall | undefined): void {
    const lowered = this.#break.lower(newBreak);
    if (lowered === undefined) return;
    const { start, end, before } = lowered;
    const pieces = call?.pieces ?? this.#scratch;
    if (end > start) this.#memory.takeOut(start, end, pieces);
    if (call === undefined) this.#memory.discard(pieces);
    else call.address = before;
  }

  #shmat(event: MappingEvent, site: number): void {
    const flags = event.args[2];
    const bytes = roundUp(event.extra, this.#pageBytes);
    if (!this.#isRange(event.result, bytes)) {
      this.#counters.unplaced++;
      return;
    }
    const origin = this.#addOrigin(event, site, bytes, { class: 'shared', attachment: true });
    const protection =
      PROT_READ | ((flags & SHM_RDONLY) !== 0 ? 0 : PROT_WRITE) | ((flags & SHM_EXEC) !== 0 ? PROT_EXEC : 0);
    const replaced = this.#memory.map(event.result, event.result + bytes, origin, protection);
    if (replaced && (flags & SHM_REMAP) === 0) this.#counters.contradictions++;
    this.#largestAttachmentBytes = Math.max(this.#largestAttachmentBytes, bytes);
  }

  #shmdt(event: MappingEvent, pieces: RowBuffer): void {
    const [address] = event.args;
    if (!this.#isRange(address, this.#pageBytes)) return;
    takeOutAttachment(this.#memory, address, this.#largestAttachmentBytes, pieces);
  }

  /**
   * What /proc/self/maps showed at the start. The hooks are in place before it is read, so what they have recorded
   * meanwhile is known better: a seed only fills gaps.
   */
  #seed(event: MappingEvent, site: number): void {
    const [start, length, protection, flags] = event.args;
    const bytes = roundUp(length, this.#pageBytes);
    if (!this.#isRange(start, bytes)) return;
    const { path } = event;
    const isStack = path === '[stack]';
    const attachment = path?.startsWith('/SYSV') ?? false;
    const base = attachment ? start - event.args[5] : start;
    const origin = this.#addOrigin(event, site, bytes, {
      class: seedMemoryClass(flags, event.extra, path),
      stackArea: isStack || (flags & (MAP_STACK | MAP_GROWSDOWN)) !== 0,
      growsDown: isStack || (flags & MAP_GROWSDOWN) !== 0,
      attachment,
    });
    // Held first as a whole: the origin must not vanish between two gaps.
    this.#memory.origins.hold(origin, bytes);
    const placed = this.#memory.putInGaps(start, start + bytes, base, origin, protection & PROTECTION_MASK);
    if (placed < bytes) this.#memory.origins.hold(origin, placed - bytes);
    if (attachment) {
      this.#largestAttachmentBytes = Math.max(this.#largestAttachmentBytes, start + bytes - base);
    }
    if (path === '[heap]' && !this.#break.isKnown) this.#break.found(start + bytes, start);
  }

  #mremapEnd(event: MappingEvent, site: number): void {
    const call = this.#inFlight.take(event.threadId, event.refersTo);
    if (call === undefined) {
      this.#counters.unmatched++;
      return;
    }
    if (isFailure(event.result)) {
      this.#counters.failedCalls++;
      this.#memory.putBack(call.pieces);
    } else if (this.#isRange(event.result, call.newBytes)) {
      const outcome = endMremap(this.#memory, event, call, event.stack !== 0 ? site : call.site);
      this.#largestAttachmentBytes = Math.max(this.#largestAttachmentBytes, outcome.attachmentBytes);
      if (outcome.contradicts) this.#counters.contradictions++;
    } else {
      this.#counters.unmatched++;
      this.#memory.discard(call.pieces);
    }
    this.#inFlight.recycle(call);
  }

  /** Whether the kernel could have accepted it: not empty, aligned, inside the address space. */
  #isRange(start: number, bytes: number): boolean {
    return bytes > 0 && start >= 0 && start % this.#pageBytes === 0 && start + bytes <= ADDRESS_LIMIT;
  }

  #addOrigin(
    event: MappingEvent,
    site: number,
    bytes: number,
    traits: Partial<Traits> & Pick<Traits, 'class'>,
  ): number {
    const packed = packTraits({
      operation: event.operation,
      byProfiler: event.byProfiler,
      stackArea: false,
      growsDown: false,
      attachment: false,
      hugePageShift: 0,
      ...traits,
    });
    const path = traits.class === 'file' || event.operation === 'seed' ? event.path : null;
    return this.#memory.origins.add(site, event.threadId, event.timeNs, bytes, packed, path);
  }
}
