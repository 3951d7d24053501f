import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import * as glue from 'gecko-profiler-demangle/index_bg.js';
import { limitMemory } from './wasm-memory.js';

/** Longer names are shown as they are. */
const LONGEST_NAME = 8192;
const LONGEST_RESULT = 16384;
/**
 * A name of 200 bytes can stand for gigabytes, since each part may repeat all before it twice. What runs out of this
 * memory (pages of 64 KiB) traps within about 20 ms, and no real name comes near.
 */
const MEMORY_PAGES = 64;

interface Wasm {
  memory: WebAssembly.Memory;
  __wbindgen_start(): void;
}

let compiled: WebAssembly.Module | null = null;
let running: Wasm | null = null;
let isUnavailable = false;

/**
 * The source form of a mangled C++ (Itanium) or Rust (legacy without its hash, v0) name, parameters included; null for
 * names that aren't mangled so, or so long that they can't be honest.
 */
export function demangle(rawName: string): string | null {
  if (!/^_[ZR]/.test(rawName) || rawName.length > LONGEST_NAME || isUnavailable) return null;
  try {
    running ??= start();
    const name = glue.demangle_any(rawName);
    // A name that it can't read comes back without its underscore, as on other systems; a lone hash comes back empty.
    const isRead = name !== rawName.slice(1) && name !== rawName && name !== '';
    return isRead && name.length <= LONGEST_RESULT ? withSuffixes(name) : null;
  } catch {
    // No WebAssembly here (an address space limit, a policy): names stay mangled.
    if (running === null) isUnavailable = true;
    // After a trap the instance's inner state is anyone's guess, so the next name gets a new one. Growing detaches the
    // old memory's buffer: by that the glue notices that its view of it is outdated.
    running?.memory.grow(0);
    running = null;
    return null;
  }
}

const SUFFIXES: Record<string, string> = {
  'unsigned int': 'u',
  long: 'l',
  'unsigned long': 'ul',
  'long long': 'll',
  'unsigned long long': 'ull',
};

/** Numbers among template arguments as other tools write them: 8ul for (unsigned long)8. */
function withSuffixes(name: string): string {
  return name.replace(
    /\((unsigned int|(?:unsigned )?long(?: long)?)\)(-?\d+)/g,
    (_, type: string, digits: string) => digits + SUFFIXES[type],
  );
}

function start(): Wasm {
  compiled ??= new WebAssembly.Module(
    limitMemory(
      readFileSync(createRequire(import.meta.url).resolve('gecko-profiler-demangle/index_bg.wasm')),
      MEMORY_PAGES,
    ),
  );
  const wasm = new WebAssembly.Instance(compiled, { './index_bg.js': { ...glue } }).exports as Wasm;
  glue.__wbg_set_wasm(wasm);
  wasm.__wbindgen_start();
  return wasm;
}
