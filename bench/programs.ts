/** CPU time of whole programs under `offheap run`, the collector's own not included, against none. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { hasTool, pythonPath } from '../test/support/needs.js';
import { buildTarget, OFFHEAP, ROOT } from './support/builds.js';
import { ChannelFolder } from './support/channels.js';
import { type Row, ratioRow, skippedRow } from './support/row.js';
import { interleave } from './support/statistics.js';

const GROUP = 'whole programs under offheap run, CPU of the program';
const ROUNDS = 7;

const SQL = `
  create table t(a, b);
  with recursive n(i) as (select 1 union all select i + 1 from n where i < 400000)
    insert into t select i, hex(i * 7919 % 400000) from n;
  create index x on t(b);
  select count(*) from t a join t b on a.b = b.b where a.a % 7 = 0;`;

interface Program {
  what: string;
  note: string;
  command(): string[];
  /** Why it can't run here, or null. */
  lacks(): string | null;
}

const PROGRAMS: readonly Program[] = [
  {
    what: 'CPython that churns mappings',
    note: '20,000 rounds of mmap objects, large blocks, arenas',
    command: () => [pythonPath(), join(ROOT, 'bench', 'targets', 'mmap_churn.py'), '20000'],
    lacks: () => (hasTool('python3') ? null : 'needs python3'),
  },
  {
    what: 'node -e 0',
    note: 'start and end',
    command: () => [process.execPath, '-e', '0'],
    lacks: () => null,
  },
  {
    what: 'C, small allocations',
    note: '5 million; few reach the kernel',
    command: () => [buildTarget('malloc_heavy'), '5000000'],
    lacks: () => null,
  },
  {
    what: 'sqlite3 in memory',
    note: '400,000 rows, an index, a join',
    command: () => ['sqlite3', ':memory:', SQL],
    lacks: () => (hasTool('sqlite3') ? null : 'needs sqlite3 (apt-get install sqlite3)'),
  },
];

export async function programs(): Promise<Row[]> {
  const rows: Row[] = [];
  for (const program of PROGRAMS) {
    const reason = program.lacks();
    rows.push(reason === null ? await compare(program) : skippedRow(GROUP, program.what, reason));
  }
  return rows;
}

async function compare({ what, note, command }: Program): Promise<Row> {
  const folder = new ChannelFolder();
  try {
    const measured = [buildTarget('launch_cost'), '1', ...command()];
    const run = [process.execPath, OFFHEAP, 'run', '--quiet', '--dir', folder.path, '--'];
    const cpu = await interleave(ROUNDS, {
      bare: () => cpuMs(measured),
      tool: () => {
        const ms = cpuMs([...run, ...measured]);
        folder.clear();
        return ms;
      },
    });
    return ratioRow({ group: GROUP, what, unit: '×', note }, cpu.bare, cpu.tool);
  } finally {
    folder.remove();
  }
}

function cpuMs([program, ...args]: readonly string[]): number {
  const [, cpuNs] = execFileSync(program!, args, { encoding: 'utf8', stdio: 'pipe' })
    .trim()
    .split(' ')
    .map(Number);
  return cpuNs! / 1e6;
}
