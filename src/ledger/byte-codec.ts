/** Unsigned integers below 2^53 as LEB128, texts as UTF-8 with their length: what checkpoints are written in. */

export class ByteWriter {
  #bytes = new Uint8Array(4096);
  #length = 0;

  /** Saturates at 2^53 - 1 and at 0, as the decoder does: times and sums of a hostile target may lie beyond. */
  unsigned(value: number): void {
    this.#reserve(8);
    let rest = Math.min(Math.max(Math.floor(value), 0) || 0, Number.MAX_SAFE_INTEGER);
    while (rest >= 0x80) {
      this.#bytes[this.#length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#length++] = rest;
  }

  text(value: string): void {
    const encoded = new TextEncoder().encode(value);
    this.unsigned(encoded.length);
    this.#reserve(encoded.length);
    this.#bytes.set(encoded, this.#length);
    this.#length += encoded.length;
  }

  /** All that was written, sealed with a checksum that `ByteReader` verifies. */
  sealed(): Uint8Array {
    const sum = checksum(this.#bytes, this.#length);
    this.#reserve(4);
    new DataView(this.#bytes.buffer).setUint32(this.#length, sum, true);
    return this.#bytes.slice(0, this.#length + 4);
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + bytes));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}

/** Reads what ByteWriter wrote and may have been damaged or forged since: every number is checked against a limit. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#end = bytes.length - 4;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (this.#end < 0 || view.getUint32(this.#end, true) !== checksum(bytes, this.#end)) {
      throw new CheckpointError('the checksum differs');
    }
  }

  unsigned(what: string, limit = Number.MAX_SAFE_INTEGER): number {
    let value = 0;
    let scale = 1;
    for (let digits = 0; digits < 8; digits++) {
      if (this.#at >= this.#end) throw new CheckpointError(`it ends inside ${what}`);
      const byte = this.#bytes[this.#at++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (value > limit) throw new CheckpointError(`${what} is ${value}, beyond ${limit}`);
        return value;
      }
      scale *= 0x80;
    }
    throw new CheckpointError(`${what} is no number`);
  }

  /** A number of things to come; each takes a byte at least, so a forged count cannot ask for memory. */
  count(what: string): number {
    return this.unsigned(`the number of ${what}`, this.#end - this.#at);
  }

  text(what: string): string {
    const length = this.count(what);
    const text = new TextDecoder().decode(this.#bytes.subarray(this.#at, this.#at + length));
    this.#at += length;
    return text;
  }

  finish(): void {
    if (this.#at !== this.#end) throw new CheckpointError('bytes follow its end');
  }
}

/** A checkpoint that cannot be used. */
export class CheckpointError extends Error {
  readonly code = 'LEDGER_CHECKPOINT_INVALID';

  constructor(reason: string) {
    super(
      `The ledger's checkpoint cannot be used: ${reason}. Delete it and start the ledger from the channel's events.`,
    );
    this.name = 'CheckpointError';
  }
}

/** FNV-1a. It finds damage; forgery is the reader's business. */
function checksum(bytes: Uint8Array, length: number): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < length; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193);
  return hash >>> 0;
}
