const MEMORY_SECTION = 5;
const HEADER_BYTES = 8;
const HAS_MAXIMUM = 1;

/**
 * A WebAssembly module whose one memory can't grow beyond `pages` (64 KiB each): code that asks for more traps. The
 * module's own text is the only place to say so, since it makes its memory itself. Throws where it has no such memory.
 */
export function limitMemory(wasm: Uint8Array, pages: number): Uint8Array<ArrayBuffer> {
  for (let at = HEADER_BYTES; at < wasm.length; ) {
    const id = wasm[at];
    const [bytes, content] = readNumber(wasm, at + 1);
    if (id === MEMORY_SECTION) {
      const [count, limits] = readNumber(wasm, content);
      const [initial] = readNumber(wasm, limits + 1);
      if (count !== 1 || initial > pages)
        throw new RangeError(`a memory of ${initial} pages can't be held to ${pages}`);
      const section = [1, HAS_MAXIMUM, ...encode(initial), ...encode(pages)];
      return Uint8Array.from([
        ...wasm.subarray(0, at),
        MEMORY_SECTION,
        ...encode(section.length),
        ...section,
        ...wasm.subarray(content + bytes),
      ]);
    }
    at = content + bytes;
  }
  throw new RangeError('a WebAssembly module without a memory section');
}

/** An unsigned LEB128 number and where the next byte stands. */
function readNumber(bytes: Uint8Array, at: number): [value: number, next: number] {
  let value = 0;
  for (let shift = 0; shift < 35; shift += 7) {
    const byte = bytes[at++] ?? 0;
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) break;
  }
  return [value, at];
}

function encode(value: number): number[] {
  const bytes: number[] = [];
  for (; value >= 0x80; value >>>= 7) bytes.push((value & 0x7f) | 0x80);
  return [...bytes, value];
}
