import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { limitMemory } from './wasm-memory.js';

const demangler = readFileSync(
  createRequire(import.meta.url).resolve('gecko-profiler-demangle/index_bg.wasm'),
);

function memoryOf(wasm: Uint8Array): WebAssembly.Memory {
  const imports = { './index_bg.js': { __wbindgen_init_externref_table: () => {} } };
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(wasm), imports);
  return (exports as { memory: WebAssembly.Memory }).memory;
}

describe('limitMemory', () => {
  it('lets the memory grow up to the limit and not beyond', () => {
    expect(memoryOf(demangler).grow(200)).toBeLessThan(64);
    const memory = memoryOf(limitMemory(demangler, 64));
    const initialPages = memory.grow(0);
    expect(() => memory.grow(65 - initialPages)).toThrow(RangeError);
    expect(memory.grow(64 - initialPages)).toBe(initialPages);
  });

  it('refuses a limit below the initial memory, and what has no memory', () => {
    expect(() => limitMemory(demangler, 1)).toThrow(RangeError);
    expect(() => limitMemory(demangler.subarray(0, 8), 64)).toThrow(RangeError);
    expect(() => limitMemory(Uint8Array.of(), 64)).toThrow(RangeError);
  });
});
