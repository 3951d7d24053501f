/** CPU time of whole programs: of the target alone, and with all that the tool runs beside it. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildTarget } from '../support/builds.js';
import { ChannelFolder } from '../support/channels.js';
import { interleave, median } from '../support/statistics.js';
import type { Choice } from './choice.js';
import { type About, type Comparison, compare, saysSomething, skipped } from './comparison.js';
import { PROGRAMS, type Program } from './programs.js';
import { type Recorded, recordedBy } from './recorded.js';
import { isOurs, type OfSides, type Side, under } from './side.js';

const GROUP = 'whole programs, CPU time';
const ROUNDS = 5;
/** Of what heaptrack adds, with its helper. */
const MOST_OF_HEAPTRACK = 0.5;
const MOST_OF_NOTHING_RECORDED = 1.03;

type Launched = Pick<Program, 'command' | 'env' | 'rawHeaptrack'>;

interface Costs {
  sides: OfSides<Cost[]>;
  /** Why sides are missing. */
  failures: string[];
}

interface Cost {
  targetSeconds: number;
  /** Of the target, the collector or helper, and what starts them. */
  allSeconds: number;
  recorded: Recorded | null;
}

export async function programs(choice: Choice): Promise<Comparison[]> {
  const wanted = PROGRAMS.filter(
    ({ name }) => choice.program === undefined || name.startsWith(choice.program),
  );
  const start = await collectorStart(choice);
  const rows: Comparison[] = [
    compare({ group: GROUP, what: 'offheap run /bin/true, all of it', unit: 's', relation: 'value' }, start),
  ];
  for (const program of wanted) {
    const reason = program.lacks();
    if (reason !== null) rows.push(skipped(GROUP, program.name, reason));
    else rows.push(...rowsOf(program, await costs(program, choice), start));
  }
  return rows;
}

/** CPU seconds that `offheap run` takes for a command that does nothing: Node's start, above all. */
async function collectorStart(choice: Choice): Promise<OfSides<number[]>> {
  const nothing = { command: () => ['/bin/true'] };
  const { sides } = await costs(nothing, { ...choice, sides: choice.sides.filter(isOurs) });
  return Object.fromEntries(
    Object.entries(sides).map(([side, list]) => [side, list.map(({ allSeconds }) => allSeconds)]),
  );
}

/** A side that fails is left out: a tool that can't stand a program says nothing of the others. */
async function costs(program: Launched, { sides, rounds = ROUNDS }: Choice): Promise<Costs> {
  const all: OfSides<Cost[]> = Object.fromEntries(sides.map((side) => [side, []]));
  const failures: string[] = [];
  const arm = (side: Side) => () => {
    try {
      return all[side]?.push(cost(side, program)) ?? 0;
    } catch (error) {
      delete all[side];
      return failures.push(
        `${side}: ${error instanceof Error ? error.message.split('\n').at(-2) : String(error)}`,
      );
    }
  };
  const arms = Object.fromEntries(sides.map((side) => [side, arm(side)]));
  await interleave(rounds, arms as Record<Side, () => number>);
  return { sides: all, failures };
}

function cost(side: Side, { command, env = {}, rawHeaptrack = false }: Launched): Cost {
  const folder = new ChannelFolder();
  try {
    const launch = buildTarget('launch_cost');
    const inner = join(folder.path, 'target');
    const outer = join(folder.path, 'all');
    const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    const launcher = [launch, '-o', inner, '1', ...variables];
    const line = under(side, command(), folder.path, { launcher, rawHeaptrack });
    execFileSync(launch, ['-o', outer, '1', ...line], { stdio: ['ignore', 'ignore', 'pipe'] });
    return {
      targetSeconds: cpuSeconds(inner),
      allSeconds: cpuSeconds(outer),
      recorded: isOurs(side) ? recordedBy(folder.path) : null,
    };
  } finally {
    folder.remove();
  }
}

function cpuSeconds(file: string): number {
  return Number(readFileSync(file, 'utf8').split(' ')[1]) / 1e9;
}

function rowsOf(program: Program, { sides, failures }: Costs, start: OfSides<number[]>): Comparison[] {
  const { name, most } = program;
  const { invalid, notes } = examine(sides);
  const note = [program.note, ...notes, ...failures].filter(Boolean).join('; ');
  const valid = Object.entries(sides).filter(([side]) => !invalid.includes(side as Side));
  const pick = (of: (cost: Cost) => number): OfSides<number[]> =>
    Object.fromEntries(valid.map(([side, list]) => [side, list.map(of)]));
  const about = { group: GROUP, unit: 's', relation: 'ratio' } as const;
  const target = pick(({ targetSeconds }) => targetSeconds);
  const all = pick(({ allSeconds }) => allSeconds);
  const exact: About = { ...about, what: name, reach: { side: 'exact', most }, note };
  const sampled: About = {
    ...about,
    what: '  sampled over nothing recorded',
    base: 'off',
    sides: ['off', 'sampled'],
    reach: { side: 'sampled', most: MOST_OF_NOTHING_RECORDED },
  };
  const rows = [
    compare(exact, target),
    compare({ ...about, what: '  with its collector or helper' }, all),
    ofHeaptrack('  what these add, of what heaptrack adds', all, {}),
    ofHeaptrack("  the same without the collector's start", all, start),
    compare(sampled, target),
  ];
  return rows.filter(saysSomething);
}

/** How much a side adds with its collector, as a share of what heaptrack adds with its helper. */
function ofHeaptrack(what: string, all: OfSides<number[]>, start: OfSides<number[]>): Comparison {
  const shares: OfSides<number[]> = {};
  const { none, heaptrack } = all;
  for (const side of ['sampled', 'exact'] as const) {
    if (all[side] === undefined || none === undefined || heaptrack === undefined) continue;
    const startSeconds = start[side] === undefined ? 0 : median(start[side]);
    shares[side] = all[side].map(
      (seconds, round) => (seconds - startSeconds - none[round]!) / (heaptrack[round]! - none[round]!),
    );
  }
  const reach = { side: 'exact', most: MOST_OF_HEAPTRACK } as const;
  return compare({ group: GROUP, what, unit: '×', relation: 'value', reach }, shares);
}

/** Allocations that nobody recorded are cheap: sides where that happened have no figures. */
function examine(costs: OfSides<Cost[]>): { invalid: Side[]; notes: string[] } {
  const invalid: Side[] = [];
  const notes: string[] = [];
  for (const side of ['off', 'sampled', 'exact'] as const) {
    const all = costs[side]?.map(({ recorded }) => recorded);
    if (all === undefined) continue;
    const reason = all.map((recorded) => whyInvalid(side, recorded)).find((each) => each !== null);
    if (reason !== undefined) {
      invalid.push(side);
      notes.push(`${side}: ${reason}`);
    } else if (side === 'exact') notes.push(describe(all[0]!));
  }
  return { invalid, notes };
}

function whyInvalid(side: Side, recorded: Recorded | null): string | null {
  if (recorded === null) return 'the shim left no channel';
  const { mode, events, eventsLost } = recorded;
  if (mode !== side) return `recorded as ${mode} at the end`;
  if (eventsLost > 0) return `${eventsLost.toLocaleString('en-US')} events were lost`;
  return side === 'exact' && events === 0 ? 'no event was recorded' : null;
}

function describe({ events, waits, stackNodes, stacksCutBySpace }: Recorded): string {
  const figures = [
    [events, 'events crossed'],
    [waits, 'waits'],
    [stackNodes, 'stack nodes'],
  ] as const;
  const text = figures.map(([value, of]) => `${value.toLocaleString('en-US')} ${of}`).join(', ');
  return stacksCutBySpace === 0 ? text : `${text}, ${stacksCutBySpace.toLocaleString('en-US')} stacks cut`;
}
