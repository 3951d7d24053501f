import { fieldOf, fieldOffset, type Structure } from './layout.js';

/** Two halves of an unsigned 64-bit value as a number; what doesn't fit saturates. */
export function unsigned64(low: number, high: number): number {
  return high > 0x1f_ffff ? Number.MAX_SAFE_INTEGER : high * 0x1_0000_0000 + low;
}

/** Reads fields of one structure by name: for what is read rarely (header, sites). Events have their own decoder. */
export class RecordView {
  readonly #structure: Structure;
  readonly #view: DataView;

  constructor(structure: Structure, bytes: Uint8Array, offset = 0) {
    this.#structure = structure;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset + offset, structure.bytes);
  }

  u8(name: string): number {
    return this.#view.getUint8(this.#at(name));
  }

  u16(name: string): number {
    return this.#view.getUint16(this.#at(name), true);
  }

  u32(name: string): number {
    return this.#view.getUint32(this.#at(name), true);
  }

  /** As a number; saturates at `Number.MAX_SAFE_INTEGER`. */
  u64(name: string): number {
    const at = this.#at(name);
    return unsigned64(this.#view.getUint32(at, true), this.#view.getUint32(at + 4, true));
  }

  /** All 64 bits. */
  bits(name: string): bigint {
    return this.#view.getBigUint64(this.#at(name), true);
  }

  /** Of a field that is an array of them; as `u64`. */
  words(name: string): number[] {
    const { offset, bytes } = fieldOf(this.#structure, name);
    return Array.from({ length: bytes / 8 }, (_, index) => {
      const at = offset + 8 * index;
      return unsigned64(this.#view.getUint32(at, true), this.#view.getUint32(at + 4, true));
    });
  }

  /** 16 hexadecimal digits: for ids and hashes. */
  hex(name: string): string {
    return this.bits(name).toString(16).padStart(16, '0');
  }

  #at(name: string): number {
    return fieldOffset(this.#structure, name);
  }
}
