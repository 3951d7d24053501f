// The shim's offsets in CPython's structures, against the headers of each interpreter that came with its own.
import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { scratchFolder } from './support/offheap.js';
import { ROOT } from './support/paths.js';
import { type Python, pythons } from './support/pythons.js';

const SAID = `
import ctypes, sys, sysconfig
print(sysconfig.get_path('include'))
print(hex(sys.hexversion))
runtime = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, '_PyRuntime'))
print(ctypes.string_at(runtime, 1024).hex())
`;

interface Told {
  python: Python;
  include: string;
  version: string;
  runtime: Buffer;
}

/** What an interpreter says of itself; none where it has no headers or no ctypes. */
function ask(python: Python): Told[] {
  try {
    const { command, args, env } = python;
    const options = { encoding: 'utf8', env: { ...process.env, ...env }, stdio: 'pipe' } as const;
    const [include, version, runtime] = execFileSync(command, [...args, '-c', SAID], options).split('\n');
    if (!existsSync(join(include!, 'internal', 'pycore_runtime.h'))) return [];
    return [{ python, include: include!, version: version!, runtime: Buffer.from(runtime!, 'hex') }];
  } catch {
    return [];
  }
}

function offsets(program: string, ...args: string[]): Record<string, string> {
  const lines = execFileSync(program, args, { encoding: 'utf8' }).trim().split('\n');
  return Object.fromEntries(lines.map((line) => line.split(' ')));
}

const withHeaders = pythons().flatMap(ask);

let folder: string;
let shim: string;
beforeAll(() => {
  folder = join(ROOT, 'build', 'test');
  shim = join(folder, 'shim_offsets');
  execFileSync('mkdir', ['-p', folder]);
  const sources = ['test/support/shim_offsets.cc', 'preload/python/structures.cc'].map((file) =>
    join(ROOT, file),
  );
  execFileSync('g++', ['-std=c++20', '-O1', '-I', ROOT, '-o', shim, ...sources]);
});

test('some interpreter has its headers', (context) => {
  if (withHeaders.length > 0) return;
  const reason = 'needs headers (apt-get install python3-dev)';
  if (process.env.OFFHEAP_CI_NO_SKIPS === '1') throw new Error(`would be skipped: ${reason}`);
  context.skip(reason);
});

/** Compiles the headers' own words. */
function compiled(include: string, ...flags: string[]): string {
  const program = join(scratchFolder(), 'python_offsets');
  const source = join(ROOT, 'test', 'support', 'python_offsets.c');
  // Debian's pyconfig.h lies beside the folder.
  const folders = [include, join(include, 'internal'), dirname(include)];
  execFileSync('gcc', ['-w', ...flags, ...folders.map((each) => `-I${each}`), '-o', program, source]);
  return program;
}

test.for(withHeaders)(
  '$python.name keeps everything where the shim looks',
  ({ include, version, runtime }) => {
    const head = join(scratchFolder(), 'runtime');
    writeFileSync(head, runtime);
    const theirs = offsets(compiled(include));
    expect(Object.keys(theirs).length).toBeGreaterThanOrEqual(20);
    expect(offsets(shim, version, head)).toMatchObject(theirs);
  },
);

/** Their headers can tell all of what a free-threaded build's _PyRuntime begins with. */
const telling = withHeaders.filter(({ python }) => python.minor >= 14);

test.for(telling)('$python.name built without the lock would keep it there, too', ({ include, version }) => {
  const head = join(scratchFolder(), 'runtime');
  const theirs = offsets(compiled(include, '-DPy_GIL_DISABLED=1'), head);
  expect(Number(theirs.frame_thread_code)).toBeGreaterThan(0);
  expect(offsets(shim, version, head)).toMatchObject(theirs);
});
