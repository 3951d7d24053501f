import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { BoundedFile } from '../../src/modules/bounded-file.js';
import { ElfFile } from '../../src/modules/elf.js';
import { PAGE_BYTES, PF_X, PT_LOAD } from '../../src/modules/elf-headers.js';
import type { Module } from '../../src/modules/table.js';
import { keptPath, ROOT, targetSource } from '../support/builds.js';

const UNITS = 7;
const TYPES_PER_UNIT = 10;
const CXX_FLAGS = ['-std=c++20', '-O2', '-g', '-fPIC'];

/** Makes a file by a command where its source is newer. */
function kept(name: string, source: string, command: (path: string) => [string, string[]]): string {
  const path = keptPath(name);
  const builtMs = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (builtMs >= statSync(source).mtimeMs) return path;
  const [tool, args] = command(path);
  execFileSync(tool, args, { stdio: 'inherit' });
  return path;
}

function unit(compiler: string, number: number, types: number, name: string, ...flags: string[]): string {
  const source = targetSource('lines_templates.cc');
  return kept(name, source, (path) => [
    compiler,
    [...CXX_FLAGS, ...flags, `-DUNIT=${number}`, `-DTYPES=${types}`, '-c', '-o', path, source],
  ]);
}

/** A C++ library of 55 MB, 47 MB of them DWARF. Made once, in some minutes. */
export function largeLibrary(): string {
  const objects = Array.from({ length: UNITS }, (_, index) =>
    unit('g++', index + 1, TYPES_PER_UNIT, `lines-unit-${index + 1}.o`),
  );
  return kept('liblines.so', objects[0]!, (path) => ['g++', ['-shared', '-o', path, ...objects]]);
}

export interface Binary {
  path: string;
  /** Where its full symbol table is. */
  symbols: string;
}

/** Programs and libraries of several compilers and languages with debug information, by what they are. */
export function variousBinaries(): Map<string, Binary> {
  const clang = unit('clang++', 1, 2, 'lines-clang.o', '-gdwarf-4');
  const rust = join(ROOT, 'test', 'targets', 'rust', 'inlined.rs');
  const whole = (path: string | null) => path && { path, symbols: path };
  const found = new Map<string, Binary | null | ''>([
    ['C++ by g++, DWARF 5', whole(largeLibrary())],
    [
      'C++ by clang++, DWARF 4',
      whole(kept('liblines-clang.so', clang, (path) => ['clang++', ['-shared', '-o', path, clang]])),
    ],
    [
      'Rust, and its standard library',
      whole(
        kept('lines-rust', rust, (path) => ['rustc', ['-O', '-g', '--edition', '2021', '-o', path, rust]]),
      ),
    ],
    ['C: glibc, with libc6-dbg', withDebugFile('/lib/x86_64-linux-gnu/libc.so.6')],
    ['C: CPython 3.11, with python3.11-dbg', withDebugFile('/usr/bin/python3.11')],
    ['C: CPython of pyenv', whole(pyenvPython())],
  ]);
  return new Map([...found].flatMap(([what, binary]) => (binary ? [[what, binary] as const] : [])));
}

function withDebugFile(path: string): Binary | null {
  if (!existsSync(path)) return null;
  const { buildId } = new ElfFile(new BoundedFile(path));
  const debug = `/usr/lib/debug/.build-id/${buildId?.slice(0, 2)}/${buildId?.slice(2)}.debug`;
  return existsSync(debug) ? { path, symbols: debug } : null;
}

function pyenvPython(): string | null {
  const versions = join(homedir(), '.pyenv', 'versions');
  if (!existsSync(versions)) return null;
  const libraries = readdirSync(versions).flatMap((version) => {
    const folder = join(versions, version, 'lib');
    const names = existsSync(folder) ? readdirSync(folder) : [];
    return names.filter((name) => /^libpython3\.\d+\.so\.1\.0$/.test(name)).map((name) => join(folder, name));
  });
  return libraries.sort((a, b) => statSync(b).size - statSync(a).size)[0] ?? null;
}

/** The file as a module at the addresses that it gives itself. */
export function moduleOf(path: string): Module {
  const elf = new ElfFile(new BoundedFile(path));
  const code = elf.segments.find(({ type, flags }) => type === PT_LOAD && (flags & PF_X) !== 0);
  if (code === undefined) throw new Error(`${path} holds no code`);
  const start = code.address - (code.address % PAGE_BYTES);
  const fileOffset = code.offset - (code.address - start);
  const place = { id: 1, name: path, path, start, end: code.address + code.memoryBytes, fileOffset };
  return { ...place, isProgram: false, deleted: false, stale: null, elf, problem: null };
}

/** Random addresses of the code, the same ones each time; rising. */
export function randomAddresses(path: string, count: number, seed: number): number[] {
  const code = new ElfFile(new BoundedFile(path)).section('.text');
  if (code === undefined) throw new Error(`${path} has no .text`);
  const random = generator(seed);
  return Array.from({ length: count }, () => code.address + Math.floor(random() * code.bytes)).sort(
    (a, b) => a - b,
  );
}

/** Of 0 to 1: mulberry32. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Bytes of the sections whose names begin with .debug. */
export function debugBytes(path: string): number {
  const { sections } = new ElfFile(new BoundedFile(path));
  return sections.reduce((sum, { name, bytes }) => sum + (name.startsWith('.debug') ? bytes : 0), 0);
}
