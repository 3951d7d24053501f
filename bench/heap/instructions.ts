/** Instructions per malloc+free pair, counted by valgrind: free of noise, and blind to caches and to the kernel. */
import { spawnSync } from 'node:child_process';
import { buildTarget } from '../support/builds.js';
import { ChannelFolder } from '../support/channels.js';
import type { Choice } from './choice.js';
import { type Comparison, compare, type Reach, skipped } from './comparison.js';
import { type OfSides, preloaded, type Side } from './side.js';

const GROUP = 'instructions per malloc+free pair, counted by callgrind';
const FRAMES = 30;
/** The difference of the two runs holds no start-up; nobody reads the events meanwhile, and all fit in the channel. */
const FEW = 4_096;
const MANY = 14_336;
/** Debian's `valgrind` is a shell script, which a variable of the environment would preload as well. */
const LOADER = '/lib64/ld-linux-x86-64.so.2';

interface Pattern {
  what: string;
  name: string;
  levels: number;
  reach?: Reach;
}

const PATTERNS: readonly Pattern[] = [
  {
    what: `depth ${FRAMES}, same stack`,
    name: 'pair',
    levels: 0,
    reach: { side: 'exact', most: 800 },
  },
  { what: `depth ${FRAMES}, freed after 1,000 more`, name: 'kept', levels: 0 },
  { what: `depth ${2 * FRAMES}, stack built anew for each`, name: 'descended', levels: FRAMES },
  { what: `depth ${FRAMES} + 11, 2,048 stacks by recursion`, name: 'walk', levels: 11 },
  { what: `depth ${FRAMES} + 11, 2,048 stacks at random`, name: 'stacks', levels: 11 },
];

export function instructions({ sides }: Choice): Comparison[] {
  if (spawnSync('valgrind', ['--version']).status !== 0) {
    return [skipped(GROUP, 'malloc+free', 'needs valgrind (apt-get install valgrind)')];
  }
  return PATTERNS.map((pattern) => {
    const counts: OfSides<number[]> = {};
    const notes: string[] = [];
    for (const side of sides) {
      try {
        counts[side] = [perPair(side, pattern)];
      } catch (error) {
        notes.push(`${side}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    const { what, reach } = pattern;
    const note = notes.join('; ');
    const about = { group: GROUP, what, unit: 'instr', relation: 'value', note } as const;
    return compare(reach === undefined ? about : { ...about, reach }, counts);
  });
}

function perPair(side: Side, pattern: Pattern): number {
  return (collected(side, pattern, MANY) - collected(side, pattern, FEW)) / (MANY - FEW);
}

function collected(side: Side, { name, levels }: Pattern, count: number): number {
  const folder = new ChannelFolder();
  try {
    const preload = preloaded(side, folder.path);
    const loading = preload === null ? [] : ['--preload', preload.library];
    // The shim rewrites code that valgrind may have translated already.
    const args = [
      '--tool=callgrind',
      '--smc-check=all',
      '--callgrind-out-file=/dev/null',
      LOADER,
      ...loading,
    ];
    const { stderr } = spawnSync(
      'valgrind',
      [...args, buildTarget('heap_pairs', '-pthread'), String(FRAMES)],
      {
        env: { ...process.env, ...preload?.env },
        input: `${name} ${count} ${levels}\n`,
        encoding: 'utf8',
      },
    );
    const total = /Collected : (\d+)/.exec(stderr)?.[1];
    if (total === undefined) throw new Error(`valgrind says: ${stderr.trim().split('\n').at(-1)}`);
    return Number(total);
  } finally {
    folder.remove();
  }
}
