/** What symbol tables cost: 100,000 addresses over 300 libraries, each round in a process where nothing is warm. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { plainRow, type Row } from '../support/row.js';
import type { TablesRound } from './tables-round.js';

const GROUP = 'symbol tables';
const ROUNDS = 7;
const COLD_TARGET_MS = 300;
const CACHED_TARGET_MS = 50;

export async function tableRows(): Promise<Row[]> {
  const cold: TablesRound[] = [];
  const cached: TablesRound[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const folder = mkdtempSync(join(tmpdir(), 'offheap-bench-'));
    try {
      const cache = join(folder, 'offheap', 'symbols');
      cold.push(run(cache));
      cached.push(run(cache));
    } finally {
      rmSync(folder, { recursive: true });
    }
  }
  const { libraries, named } = cold[0]!;
  const note = `${libraries} libraries, ${named.toLocaleString('en-US')} of the addresses lie in a named function`;
  return [
    ...rowsOf('cold', COLD_TARGET_MS, cold, note),
    ...rowsOf('from the cache on disk', CACHED_TARGET_MS, cached, ''),
    plainRow(
      { group: GROUP, what: 'opening the libraries: CPU', unit: 'ms', note: 'done as they are mapped' },
      cold.map(({ openingMs }) => openingMs),
    ),
  ];
}

function rowsOf(what: string, target: number, rounds: readonly TablesRound[], note: string): Row[] {
  const cpuMs = rounds.map((round) => round.cpuMs);
  const wallMs = rounds.map((round) => round.wallMs);
  return [
    plainRow({ group: GROUP, what: `100,000 addresses, ${what}: CPU`, unit: 'ms', target, note }, cpuMs),
    plainRow({ group: GROUP, what: `100,000 addresses, ${what}: from start to end`, unit: 'ms' }, wallMs),
  ];
}

function run(cache: string): TablesRound {
  const script = fileURLToPath(new URL('tables-round.ts', import.meta.url));
  const output = execFileSync(process.execPath, ['--import', 'tsx', script, cache], { encoding: 'utf8' });
  return JSON.parse(output) as TablesRound;
}
