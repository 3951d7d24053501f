import { type Drained, layout, type NativeChannel, native, openNativeChannel } from './addon.js';
import { type ChannelHeader, decodeHeader } from './header.js';
import { RecordView } from './record-view.js';

/** A system-call instruction that the shim has rewritten or tried to. */
export interface Site {
  /** Runtime address. */
  address: number;
  operation: string;
  state: 'patched' | 'unpatchable' | 'interposed' | 'unknown';
  /** The file that holds it. */
  path: string | null;
  /** The first two bytes that the shim left there, little endian: others stand there once somebody overwrote them. */
  patchedBytes: number;
}

/** What a target can be asked to do: native/wire/request.h. */
export type RequestKind = 'trim' | 'statistics' | 'size classes';

/**
 * One channel, open for reading. Whatever its bytes claim, reading ends with an `OffheapError`: `CHANNEL_MISSING`,
 * `CHANNEL_REFUSED` (owner, permissions), `CHANNEL_STARTING`, `CHANNEL_VERSION`, `CHANNEL_DAMAGED`, `CHANNEL_BUSY`.
 */
export class Channel {
  readonly path: string;
  /** The header as it was when the channel was opened. */
  readonly opened: ChannelHeader;
  readonly #native: NativeChannel;

  constructor(path: string) {
    this.path = path;
    this.#native = openNativeChannel(path);
    this.opened = this.header();
  }

  /** The header as it is now. */
  header(): ChannelHeader {
    return decodeHeader(native(() => this.#native.header()));
  }

  /**
   * Becomes the channel's one collector if it names `expected` (0: nobody, else a collector known to be gone). Returns
   * whom it named: `expected` means success.
   */
  claim(expected: number): number {
    return native(() => this.#native.claim(expected));
  }

  /**
   * Takes the consumer lock for a moment if it holds `expected`; the target has it while it tidies up a full ring.
   * Returns what it held: `expected` means success. Needs the claim.
   */
  lock(expected: number): number {
    return native(() => this.#native.lock(expected));
  }

  unlock(): void {
    native(() => this.#native.unlock());
  }

  /** Copies committed records in order into `buffer`, without freeing them. Needs the lock. */
  drain(buffer: Uint8Array): Drained {
    return native(() => this.#native.drain(buffer));
  }

  /** Gives up on `count` records from the position that `drain` stopped at. */
  skip(position: number, count: number): void {
    native(() => this.#native.skip(position, count));
  }

  /** Gives all slots before `position` back to the target. Needs the claim. */
  free(position: number): void {
    native(() => this.#native.free(position));
  }

  /** Tells the target that somebody reads; it takes a collector for gone after two seconds without. */
  beat(): void {
    native(() => this.#native.beat());
  }

  /** Nodes [from, to) of the stack tree as raw bytes, fewer where the tree ends. */
  nodes(from: number, to: number): Uint8Array {
    return native(() => this.#native.nodes(from, to));
  }

  /** Records [from, to) of the backlog as raw bytes: what the target kept of events from before anybody read. */
  backlog(from: number, to: number): Uint8Array {
    return native(() => this.#native.backlog(from, to));
  }

  /**
   * A checkpoint of the events before `position` is about to be written: the target keeps the releases of what they
   * mapped from now on. Needs the claim.
   */
  announceCheckpoint(position: number): void {
    native(() => this.#native.announceCheckpoint(position));
  }

  /** All events before `position` are safe elsewhere: the backlog begins anew there. Needs the claim. */
  clearBacklog(position: number): void {
    native(() => this.#native.clearBacklog(position));
  }

  /** The text at an offset; offset 0 is none. */
  text(offset: number): string | null {
    return native(() => this.#native.text(offset));
  }

  /** The target's command line, empty where it is unknown. */
  command(): string[] {
    const text = this.text(this.opened.commandText);
    return text === null ? [] : text.replace(/\0$/, '').split('\0');
  }

  sites(): Site[] {
    const structure = layout.structures.Site;
    const bytes = native(() => this.#native.sites(0, this.header().sitesUsed));
    // A file has several sites, which name the same text.
    const paths = new Map<number, string | null>();
    const pathAt = (offset: number) => {
      if (!paths.has(offset)) paths.set(offset, this.text(offset));
      return paths.get(offset) ?? null;
    };
    return Array.from({ length: bytes.byteLength / structure.bytes }, (_, index) => {
      const view = new RecordView(structure, bytes, index * structure.bytes);
      return {
        address: view.u64('address'),
        operation: layout.enumerations.operations[view.u8('operation')] ?? 'unknown',
        state: (layout.enumerations.siteStates[view.u8('state')] ?? 'unknown') as Site['state'],
        path: pathAt(view.u32('text')),
        patchedBytes: view.u16('patched_bytes'),
      };
    });
  }

  /**
   * Asks the target to do something, on the next thread of it that calls its allocator. Returns what the header's
   * `requestAnswered` will be. Needs the claim. Throws `REQUEST_BUSY` while it still does what it was asked before.
   */
  ask(kind: RequestKind, argument = 0): number {
    return native(() => this.#native.ask(layout.enumerations.requestKinds.indexOf(kind), argument));
  }

  /** Takes the request back; false where a thread has begun with it. */
  withdraw(): boolean {
    return native(() => this.#native.withdraw());
  }

  /** Lets another collector read on from the position freed last. */
  close(): void {
    this.#native.close();
  }
}
