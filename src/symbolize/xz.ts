import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { ElfError } from '../modules/bounded-file.js';
import { limitMemory } from './wasm-memory.js';

/** The dictionary of the strongest preset takes 64 MiB; pages are 64 KiB. */
const MEMORY_PAGES = 1152;
/** A few bytes can stand for gigabytes. */
const MOST_BYTES = 64 << 20;
const LIMIT_MS = 2000;
const OK = 0;
const STREAM_END = 1;

/** The decoder's state in its memory, in words of 32 bits. */
const BUFFER_BYTES = 0;
const INPUT = 1;
const INPUT_AT = 2;
const INPUT_BYTES = 3;
const OUTPUT = 4;
const OUTPUT_AT = 5;

interface Decoder {
  memory: WebAssembly.Memory;
  create_context(): number;
  supply_input(context: number, bytes: number): void;
  get_next_output(context: number): number;
}

let compiled: WebAssembly.Module | null = null;

/** What an .xz stream stands for. Throws `ElfError` where it is damaged, or too large to be honest. `path` is for messages. */
export function decompressXz(compressed: Uint8Array, path: string): Buffer {
  try {
    return decode(compressed, path);
  } catch (error) {
    if (error instanceof ElfError) throw error;
    // A trap: out of memory, mostly.
    throw new ElfError('elf/malformed', `${path}: its compressed part can't be read`);
  }
}

function decode(compressed: Uint8Array, path: string): Buffer {
  compiled ??= new WebAssembly.Module(limitMemory(decoder(), MEMORY_PAGES));
  // A new instance each time, as its memory is never given back.
  const wasm = new WebAssembly.Instance(compiled, {}).exports as Decoder;
  const context = wasm.create_context();
  const words = () => new Uint32Array(wasm.memory.buffer, context, 6);
  const chunks: Buffer[] = [];
  const untilMs = performance.now() + LIMIT_MS;
  let bytes = 0;
  for (let at = 0; ; ) {
    const before = words();
    if (before[INPUT_AT] === before[INPUT_BYTES]) {
      const input = compressed.subarray(at, at + before[BUFFER_BYTES]!);
      new Uint8Array(wasm.memory.buffer, before[INPUT], input.length).set(input);
      wasm.supply_input(context, input.length);
      at += input.length;
    }
    const result = wasm.get_next_output(context);
    const state = words();
    const output = Buffer.from(new Uint8Array(wasm.memory.buffer, state[OUTPUT], state[OUTPUT_AT]));
    state[OUTPUT_AT] = 0;
    chunks.push(output);
    bytes += output.length;
    if (result === STREAM_END) return Buffer.concat(chunks, bytes);
    const isStuck = output.length === 0 && at >= compressed.length && state[INPUT_AT] === state[INPUT_BYTES];
    if (result !== OK || isStuck) {
      throw new ElfError('elf/malformed', `${path}: its compressed part is damaged`);
    }
    if (bytes > MOST_BYTES || performance.now() > untilMs) {
      throw new ElfError('elf/too-large', `${path}: its compressed part is too large`);
    }
  }
}

/** The package hands out streams only; its WebAssembly, XZ Embedded, stands in its text. */
function decoder(): Buffer {
  const text = readFileSync(createRequire(import.meta.url).resolve('xz-decompress'), 'latin1');
  return Buffer.from(/data:application\/wasm;base64,([\w+/=]+)/.exec(text)?.[1] ?? '', 'base64');
}
