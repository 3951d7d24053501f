import { execFileSync } from 'node:child_process';
import { hasTool, pythonPath } from '../../test/support/needs.js';
import { targetSource } from '../support/builds.js';
import { gitHistory } from './git-history.js';

/** A program that allocates a lot, and what is asked of its CPU time under `exact`, as a multiple of that without a tool. */
export interface Program {
  name: string;
  most: number;
  command(): string[];
  env?: Readonly<Record<string, string>>;
  /** heaptrack's helper can't take its recording. */
  rawHeaptrack?: boolean;
  /** What else one must know. */
  note?: string;
  /** Why it can't run here, or null. */
  lacks(): string | null;
}

const SQL = `
  create table t(a, b);
  with recursive n(i) as (select 1 union all select i + 1 from n where i < 500000)
    insert into t select i, hex(i * 7919 % 500000) from n;
  create index x on t(b);
  select count(*) from t a join t b on a.b = b.b where a.a % 7 = 0;
  select count(*), sum(length(g)) from (select group_concat(b, ', ') g from t group by a / 40);
  select sum(length(json_object('a', a, 'b', b, 'c', json_array(a, b)))) from t;
  select sum(json_extract('{"id": ' || a || ', "name": ["' || b || '"]}', '$.id')) from t;`;

export const PROGRAMS: readonly Program[] = [
  {
    name: 'CPython, PYTHONMALLOC=malloc',
    most: 1.4,
    command: () => [pythonPath(), targetSource('heap_python.py'), '2000'],
    env: { PYTHONMALLOC: 'malloc' },
    lacks: () => lacksTool('python3'),
  },
  {
    name: 'sqlite3',
    most: 1.4,
    command: () => ['sqlite3', ':memory:', SQL],
    lacks: () => lacksTool('sqlite3'),
  },
  {
    name: 'cc1plus',
    most: 1.25,
    command: compiler,
    rawHeaptrack: true,
    note: "heaptrack's interpreter is left out: it takes 18 GB for a third of this",
    lacks: () => lacksTool('g++'),
  },
  {
    name: 'node',
    most: 1.2,
    command: () => [process.execPath, targetSource('heap_node.mjs'), '6000'],
    lacks: () => null,
  },
  {
    name: 'git log -p --stat',
    most: 1.2,
    command: () => ['git', '--git-dir', gitHistory(), 'log', '-p', '--stat', 'main'],
    lacks: () => lacksTool('git'),
  },
];

/** The compiler proper, as `g++` would start it. */
function compiler(): string[] {
  const ask = (question: string) => execFileSync('g++', [question], { encoding: 'utf8' }).trim();
  const multiarch = ask('-print-multiarch');
  const folders = multiarch === '' ? [] : ['-imultiarch', multiarch];
  const options = ['-quiet', ...folders, '-D_GNU_SOURCE', '-O2', '-o', '/dev/null'];
  return [ask('-print-prog-name=cc1plus'), ...options, targetSource('heap_templates.cc')];
}

function lacksTool(name: string): string | null {
  return hasTool(name) ? null : `needs ${name}`;
}
