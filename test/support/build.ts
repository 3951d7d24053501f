import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { HANGS_AFTER_MS } from './limits.js';
import { TARGET_BUILDS, TARGET_SOURCES } from './paths.js';

// Without frame pointers, as distributions build: what walks them sees one frame.
const C_FLAGS = ['-O2', '-g', '-fomit-frame-pointer', '-pthread', '-Wall', '-Wextra'];

function newestChangeMs(paths: string[]): number {
  return Math.max(...paths.map((path) => statSync(path).mtimeMs));
}

/** Gives what was made its name, unless another test file was faster: theirs may be running already. */
function publish(made: string, output: string): void {
  try {
    if (statSync(made).isDirectory()) renameSync(made, output);
    else linkSync(made, output);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EEXIST' && code !== 'ENOTEMPTY') throw error;
  }
}

/**
 * Makes `output` by a command if a source is newer, and returns its path. The command writes into a folder of its own;
 * the name that comes last keeps a killed compiler's half file from looking finished.
 */
function make(
  output: string,
  sources: string[],
  command: (into: string) => [string, string[], object?],
): string {
  const built = statSync(output, { throwIfNoEntry: false });
  if (built !== undefined && built.mtimeMs >= newestChangeMs(sources)) return output;
  if (built !== undefined) rmSync(output, { recursive: true, force: true });
  mkdirSync(dirname(output), { recursive: true });
  const scratch = mkdtempSync(join(TARGET_BUILDS, 'making-'));
  try {
    const made = join(scratch, 'output');
    const [tool, args, options] = command(made);
    execFileSync(tool, args, {
      stdio: ['ignore', 'inherit', 'inherit'],
      timeout: HANGS_AFTER_MS,
      ...options,
    });
    publish(made, output);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return output;
}

const source = (name: string) => join(TARGET_SOURCES, name);
const build = (name: string) => join(TARGET_BUILDS, name);

/** Compiles `test/targets/NAME.c` where it has changed; returns the program's path. */
export function buildC(name: string, { flags = [] as string[], as = name } = {}): string {
  const file = source(`${name}.c`);
  return make(build(as), [file], (into) => [
    process.env.CC ?? 'cc',
    [...C_FLAGS, ...flags, '-o', into, file, '-ldl'],
  ]);
}

/** Compiles `test/targets/NAME.cc`; returns the program's path. */
export function buildCxx(name: string): string {
  const file = source(`${name}.cc`);
  return make(build(name), [file], (into) => [process.env.CXX ?? 'c++', [...C_FLAGS, '-o', into, file]]);
}

/** Compiles `test/targets/NAME.c` into a shared library, `NAME.so` or another file name; returns its path. */
export function buildSharedC(name: string, { flags = [] as string[], as = `${name}.so` } = {}): string {
  const file = source(`${name}.c`);
  const shared = ['-shared', '-fPIC', `-Wl,-soname,${as}`];
  return make(build(as), [file], (into) => [
    process.env.CC ?? 'cc',
    [...C_FLAGS, ...shared, ...flags, '-o', into, file],
  ]);
}

/** Builds the cgo program in `test/targets/go`. */
export function buildGo(): string {
  const sources = readdirSync(source('go')).map((file) => source(join('go', file)));
  const env = { ...process.env, GOTOOLCHAIN: 'local', GOPROXY: 'off', GOFLAGS: '-mod=mod', CGO_ENABLED: '1' };
  return make(build('go-churn'), sources, (into) => [
    'go',
    ['build', '-o', into, '.'],
    { cwd: source('go'), env },
  ]);
}

/** Compiles `test/targets/rust/NAME.rs`. */
export function buildRust(name = 'churn', { flags = [] as string[] } = {}): string {
  const file = source(join('rust', `${name}.rs`));
  return make(build(`rust-${name}`), [file], (into) => [
    'rustc',
    ['-O', ...flags, '--edition', '2021', '-o', into, file],
  ]);
}

/** Compiles `test/targets/Churn.java`; returns the class path for `java -cp PATH Churn`. */
export function buildJava(name = 'Churn'): string {
  const file = source(`${name}.java`);
  return make(build(`java-${name.toLowerCase()}`), [file], (into) => ['javac', ['-d', into, file]]);
}
