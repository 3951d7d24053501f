import { existsSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { hasTool } from '../../test/support/needs.js';
import { OFFHEAP, SHIM } from '../support/builds.js';

/** What a program runs under: nothing, our shim and collector in a mode, or heaptrack with its helper. */
export const SIDES = ['none', 'off', 'sampled', 'exact', 'heaptrack'] as const;
export type Side = (typeof SIDES)[number];

/** One figure of each side that was measured. */
export type OfSides<T> = Partial<Record<Side, T>>;

export type Recorded = 'off' | 'sampled' | 'exact';

export function isOurs(side: Side): side is Recorded {
  return side === 'off' || side === 'sampled' || side === 'exact';
}

const HEAPTRACK = '/usr/lib/heaptrack';
const HEAPTRACK_PRELOAD = join(HEAPTRACK, 'libheaptrack_preload.so');
const HEAPTRACK_INTERPRETER = join(HEAPTRACK, 'libexec', 'heaptrack_interpret');

/** Why a side can't be measured here, or null. */
export function lacksSide(side: Side): string | null {
  if (side !== 'heaptrack' || existsSync(HEAPTRACK_PRELOAD)) return null;
  return `needs heaptrack in ${HEAPTRACK} (apt-get install heaptrack)`;
}

/**
 * What the `heaptrack` command does, less its messages on standard output. The variables are for the target alone:
 * `"$@"` begins with a command that takes `NAME=VALUE` in front of another. The helper's memory has a limit: it takes
 * many gigabytes of some programs' recordings, and a machine that swaps measures nothing.
 */
const HEAPTRACK_SCRIPT = `
  pipe=$1/heaptrack.pipe
  mkfifo "$pipe"
  { ulimit -v 6000000; HELPER; } < "$pipe" > "$1/heaptrack.data" 2> /dev/null &
  shift
  "$@"
  status=$?
  wait
  exit $status`;

export interface Way {
  /** Started by the tool, starts the command; takes `NAME=VALUE` arguments before it, like `env`. */
  launcher?: readonly string[];
  /** heaptrack's events are stored as they come: what they say is left for later, and its cost. */
  rawHeaptrack?: boolean;
  /** Where `offheap run` writes its last snapshot; looking up names for it costs more than most of what it holds. */
  snapshot?: string;
}

/** A command as it runs under a side, with the side's helpers around it. */
export function under(
  side: Side,
  command: readonly string[],
  folder: string,
  { launcher = ['env'], rawHeaptrack = false, snapshot }: Way = {},
): string[] {
  const launched = launcher[0] === 'env' ? command : [...launcher, ...command];
  if (side === 'none') return [...launched];
  if (side === 'heaptrack') {
    const compressor = hasTool('zstd') ? 'zstd -c' : 'gzip -c';
    const helper = rawHeaptrack ? compressor : `${HEAPTRACK_INTERPRETER} | ${compressor}`;
    const script = ['sh', '-c', HEAPTRACK_SCRIPT.replace('HELPER', helper), 'heaptrack', folder];
    const variables = [`LD_PRELOAD=${HEAPTRACK_PRELOAD}`, `DUMP_HEAPTRACK_OUTPUT=${folder}/heaptrack.pipe`];
    return [...script, ...launcher, ...variables, ...command];
  }
  const run = [process.execPath, OFFHEAP, 'run', '--quiet', '--heap', side, '--dir', folder];
  return [...run, ...(snapshot === undefined ? [] : ['--snapshot', snapshot]), '--', ...launched];
}

/** The library that a side preloads, and what it needs in its environment, for a run without helpers. */
export function preloaded(
  side: Side,
  folder: string,
): { library: string; env: Record<string, string> } | null {
  if (side === 'none') return null;
  // heaptrack drops its events at once where it has no output; a file is what comes nearest to its pipe.
  if (side === 'heaptrack') {
    return {
      library: realpathSync(HEAPTRACK_PRELOAD),
      env: { DUMP_HEAPTRACK_OUTPUT: join(folder, 'heaptrack') },
    };
  }
  return { library: SHIM, env: { OFFHEAP_DIR: folder, OFFHEAP_HEAP: side } };
}
