import { execFileSync } from 'node:child_process';
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const SHIM = join(ROOT, 'build', 'preload', 'liboffheap.so');
export const OFFHEAP = join(ROOT, 'bin', 'offheap.mjs');

const BUILDS = join(ROOT, 'build', 'bench');
const EXAMPLE = join(ROOT, 'examples', 'nested-mmap');

/** Distributions build without frame pointers, and tail calls would take frames off the stacks that we count. */
const C_FLAGS = ['-O2', '-g', '-fomit-frame-pointer', '-fno-optimize-sibling-calls'];

/** Compiles `bench/targets/NAME.c` where it has changed; returns the program's path. */
export function buildTarget(name: string, ...flags: string[]): string {
  return compile(name, targetSource(`${name}.c`), ...flags);
}

/** A program of the tests. */
export function buildTestTarget(name: string): string {
  return compile(name, join(ROOT, 'test', 'targets', `${name}.c`), '-ldl');
}

export function targetSource(file: string): string {
  return join(ROOT, 'bench', 'targets', file);
}

/** A path for what a benchmark makes once and keeps. */
export function keptPath(name: string): string {
  mkdirSync(BUILDS, { recursive: true });
  return join(BUILDS, name);
}

/** The example that leaks inside munmap, and the library that it leaks by. */
export function buildLeak(): { program: string; library: string } {
  const library = 'libnested.so';
  compile(library, join(EXAMPLE, 'nested.c'), '-shared', '-fPIC', `-Wl,-soname,${library}`);
  const linking = [`-L${BUILDS}`, '-lnested', '-Wl,-rpath,$ORIGIN'];
  return { program: compile('leaky', join(EXAMPLE, 'leaky.c'), ...linking), library };
}

function compile(output: string, source: string, ...flags: string[]): string {
  mkdirSync(BUILDS, { recursive: true });
  const path = join(BUILDS, output);
  const builtMs = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (builtMs < statSync(source).mtimeMs) {
    execFileSync(process.env.CC ?? 'cc', [...C_FLAGS, '-o', path, source, ...flags], { stdio: 'inherit' });
  }
  return path;
}
