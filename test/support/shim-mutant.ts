// The shim with a line of it changed, to see that a test finds out.
import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { scratchFolder } from './offheap.js';
import { ROOT } from './paths.js';

export interface ShimMutation {
  source: string;
  from: string;
  to: string;
}

/** Builds it, and returns the library's path. */
export function buildShimMutant({ source, from, to }: ShimMutation): string {
  const folder = scratchFolder();
  for (const part of ['preload', 'native']) {
    cpSync(join(ROOT, part), join(folder, part), { recursive: true });
  }
  const text = readFileSync(join(ROOT, source), 'utf8');
  expect(text.split(from), `${source} has changed: mend the mutation`).toHaveLength(2);
  writeFileSync(join(folder, source), text.replace(from, to));
  const build = join(folder, 'build');
  const quiet = { stdio: ['ignore', 'ignore', 'inherit'] as ['ignore', 'ignore', 'inherit'] };
  const output = `-DCMAKE_LIBRARY_OUTPUT_DIRECTORY=${build}`;
  execFileSync('cmake', ['-S', join(folder, 'preload'), '-B', build, output], quiet);
  execFileSync('cmake', ['--build', build, '--', '-j2'], quiet);
  return join(build, 'liboffheap.so');
}
