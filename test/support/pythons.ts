import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { ROOT } from './paths.js';

/** An interpreter that tests can run. */
export interface Python {
  /** As in sys.version_info. */
  minor: number;
  /** Built without the global lock: threads run Python at once. */
  isFreeThreaded: boolean;
  name: string;
  command: string;
  /** What stands before the script's path. */
  args: string[];
  env: Record<string, string>;
}

/** Where test/support/fetch_pythons.sh unpacks Debian's. */
const FETCHED = join(ROOT, 'build', 'pythons');

type Command = Pick<Python, 'command' | 'args' | 'env'>;

function described(origin: string, interpreter: Command): Python[] {
  const { command, args, env } = interpreter;
  const script = 'import sys, mmap, json; print(sys.version_info[1], sys.abiflags)';
  const options = { encoding: 'utf8', env: { ...process.env, ...env }, stdio: 'pipe' } as const;
  try {
    const [minor, flags = ''] = execFileSync(command, [...args, '-c', script], options)
      .trim()
      .split(' ');
    const isFreeThreaded = flags.includes('t');
    const name = `${origin} 3.${minor}${isFreeThreaded ? 't' : ''}`;
    return [{ ...interpreter, minor: Number(minor), isFreeThreaded, name }];
  } catch {
    return [];
  }
}

/** With the libraries it came with, which are newer than this machine's. */
function fetched(suite: string): Python[] {
  const prefix = join(FETCHED, suite, 'usr');
  const libraries = join(prefix, 'lib/x86_64-linux-gnu');
  const loader = join(libraries, 'ld-linux-x86-64.so.2');
  const binary = readdirSync(join(prefix, 'bin')).find((name) => /^python3\.\d+$/.test(name));
  if (binary === undefined) return [];
  const path = join(prefix, 'bin', binary);
  const env = { PYTHONHOME: prefix };
  const args = existsSync(loader) ? ['--library-path', libraries, '--argv0', path, path, '-S'] : ['-S'];
  return described(`Debian ${suite}`, { command: existsSync(loader) ? loader : path, args, env });
}

function managed(): Python[] {
  const folder = join(homedir(), '.pyenv', 'versions');
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((version) => {
    const minor = Number(/^3\.(\d+)/.exec(version)?.[1] ?? 0);
    const command = join(folder, version, 'bin', `python3.${minor}`);
    return minor >= 9 && existsSync(command) ? described('pyenv', { command, args: ['-S'], env: {} }) : [];
  });
}

/** Those of OFFHEAP_PYTHONS, whose paths are separated as in PATH. */
function named(): Python[] {
  const paths = (process.env.OFFHEAP_PYTHONS ?? '').split(delimiter).filter(Boolean);
  return paths.flatMap((command) => {
    const found = described('named', { command, args: ['-S'], env: {} });
    if (found.length === 0) throw new Error(`OFFHEAP_PYTHONS names ${command}, which is no Python with mmap`);
    return found;
  });
}

let cache: Python[] | undefined;

/** All interpreters of version 3.9 or newer that are at hand, each version once from each origin. */
export function pythons(): Python[] {
  cache ??= [
    ...described('system', { command: '/usr/bin/python3', args: [], env: {} }),
    ...managed(),
    ...(existsSync(FETCHED) ? readdirSync(FETCHED).flatMap(fetched) : []),
    ...named(),
  ].filter(({ minor }) => minor >= 9);
  return cache;
}
