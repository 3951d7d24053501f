import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'vitest';
import { heapNeeds } from './heap-needs.js';
import { needs, pythonPath } from './needs.js';
import { TARGET_BUILDS, TARGET_SOURCES } from './paths.js';

/** A program that allocates much in its own way. */
export interface Program {
  name: string;
  /** Skips the test where it is not installed. */
  require(context: TestContext): void;
  command(): [string, ...string[]];
  env?: Record<string, string>;
  /** Where each capture takes long to check: one in so many. */
  checkEvery?: number;
}

const SQL = `
  CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c REAL);
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000)
    INSERT INTO t SELECT i, printf('%d-%s', i, hex(i * 7919)), i / 3.0 FROM n;
  CREATE INDEX by_text ON t(b);
  SELECT count(*), sum(length(b)), group_concat(substr(b, 1, 1)) FROM (SELECT * FROM t WHERE b LIKE '%3%' ORDER BY c DESC);
  SELECT count(DISTINCT upper(b) || lower(hex(c))) FROM t;`;

/** Makes something of the builds' folder once; another test file may be making it at the same time. */
function once(name: string, make: (path: string) => void): string {
  const path = join(TARGET_BUILDS, name);
  if (existsSync(path)) return path;
  mkdirSync(TARGET_BUILDS, { recursive: true });
  const scratch = mkdtempSync(join(TARGET_BUILDS, 'making-'));
  try {
    const made = join(scratch, name);
    make(made);
    if (!existsSync(path)) renameSync(made, path);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return path;
}

/** A C++ source with its headers in it: what cc1plus itself reads. */
function preprocessed(): string {
  return once('heap-shapes.ii', (path) => {
    execFileSync('g++', ['-E', '-o', path, join(TARGET_SOURCES, 'heap_shapes.cc')]);
  });
}

/** A repository of 300 commits. */
function repository(): string {
  return once('heap-repository', (path) => {
    execFileSync('git', ['init', '-q', '--bare', '-b', 'main', path]);
    const commits = Array.from({ length: 300 }, (_, i) => {
      const text = Array.from({ length: 60 }, (_, line) => `line ${line} of ${i - (i % (line + 1))}\n`).join(
        '',
      );
      return [
        `commit refs/heads/main\ncommitter A <a@b> ${1_700_000_000 + i} +0000\ndata 8\nchange ${i % 10}`,
        `M 644 inline file${i % 7}\ndata ${text.length}\n${text}`,
      ].join('\n');
    });
    execFileSync('git', ['-C', path, 'fast-import', '--quiet'], { input: `${commits.join('\n')}\n` });
  });
}

export const PROGRAMS: Program[] = [
  {
    name: 'sqlite3',
    require: (context) => heapNeeds(context, 'sqlite3'),
    command: () => ['sqlite3', '-batch', ':memory:', SQL],
  },
  {
    name: 'CPython',
    require: (context) => needs(context, 'python'),
    command: () => [pythonPath(), join(TARGET_SOURCES, 'heap_python.py'), '60'],
    env: { PYTHONMALLOC: 'malloc', PYTHONHASHSEED: '1' },
  },
  {
    name: 'cc1plus',
    require: () => {},
    command: () => [
      execFileSync('g++', ['-print-prog-name=cc1plus'], { encoding: 'utf8' }).trim(),
      ...['-quiet', '-fpreprocessed', '-O1', '-o', '/dev/null', preprocessed()],
    ],
  },
  {
    name: 'node',
    require: () => {},
    command: () => [process.execPath, join(TARGET_SOURCES, 'heap_node.mjs')],
    checkEvery: 4,
  },
  {
    name: 'git log',
    require: (context) => heapNeeds(context, 'git'),
    command: () => ['git', '-C', repository(), 'log', '--stat', '-p', '-M', '--output=/dev/null'],
  },
];
