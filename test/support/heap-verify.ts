import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import { HANGS_AFTER_MS } from './limits.js';
import { scratchFolder } from './offheap.js';
import { ROOT, TARGET_BUILDS } from './paths.js';
import { run } from './recorded.js';

const SOURCES = join(ROOT, 'test', 'native', 'verify');

/** A fault put into a header of the unwinder. */
export interface Mutation {
  name: string;
  /** Under the project's root. */
  header: string;
  from: string;
  to: string;
}

/** libverify.so, of the unwinder as it is or with a fault. */
export function buildVerify(mutation?: Mutation): string {
  const folder = join(TARGET_BUILDS, mutation === undefined ? 'verify' : `verify-${mutation.name}`);
  const headers = mutation === undefined ? '' : join(folder, 'headers');
  if (mutation !== undefined) writeMutant(mutation, join(headers, mutation.header));
  const options = { stdio: ['ignore', 'ignore', 'inherit'] as const, timeout: HANGS_AFTER_MS };
  const configure = ['-S', SOURCES, '-B', folder, `-DOFFHEAP_MUTANT=${headers}`];
  execFileSync('cmake', configure, { ...options, stdio: [...options.stdio] });
  const build = ['--build', folder, '--', `-j${availableParallelism()}`];
  execFileSync('cmake', build, { ...options, stdio: [...options.stdio] });
  return join(folder, 'libverify.so');
}

function writeMutant({ header, from, to }: Mutation, path: string): void {
  const source = readFileSync(join(ROOT, header), 'utf8');
  expect(source.split(from), `${header} has changed: mend the mutation`).toHaveLength(2);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, source.replace(from, to));
}

/** As `Tally` of test/native/verify/tally.h, in its order. */
const FIELDS = [
  'captures',
  'checkedByWalk',
  'walkMismatches',
  'checkedByLibunwind',
  'libunwindMismatches',
  'frames',
  'unchangedFrames',
  'comparedFrames',
  'incomplete',
  'tooDeep',
] as const;

export type Tally = Record<(typeof FIELDS)[number], number> & { firstMismatch: string };

/** Runs a program with all its allocations' stacks captured and every Nth checked; its children are counted in. */
export async function checkCaptures(
  library: string,
  command: readonly [string, ...string[]],
  { every = 1, env = {} }: { every?: number; env?: Record<string, string> | undefined } = {},
): Promise<Tally> {
  const folder = scratchFolder();
  const [program, ...args] = command;
  const ended = await run(program, args, {
    env: { ...env, LD_PRELOAD: library, OFFHEAP_CHECKS: folder, OFFHEAP_CHECK_EVERY: String(every) },
  });
  expect(ended.signal, ended.stderr.toString()).toBeNull();
  expect(ended.status, ended.stderr.toString()).toBe(0);
  const total = Object.fromEntries(FIELDS.map((field) => [field, 0])) as Record<string, number>;
  let firstMismatch = '';
  for (const file of readdirSync(folder)) {
    const bytes = readFileSync(join(folder, file));
    FIELDS.forEach((field, i) => {
      total[field]! += Number(bytes.readBigUInt64LE(i * 8));
    });
    firstMismatch ||= bytes.toString('latin1', FIELDS.length * 8).replaceAll('\0', '');
  }
  return { ...total, firstMismatch } as Tally;
}
