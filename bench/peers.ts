/**
 * Other tools that see mappings, on the same loop: what they add to it, and whether they name a leak's owner. CPU time,
 * not the clock's: on a busy machine a longer block is interrupted more often, which would punish the slow twice.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OFFHEAP_PEER } from './peers/offheap.js';
import type { Peer } from './peers/peer.js';
import { PEERS } from './peers/tools.js';
import { buildLeak, buildTarget } from './support/builds.js';
import { pairedRow, type Row, skippedRow } from './support/row.js';
import { interleave, median } from './support/statistics.js';

const GROUP = 'side by side, CPU per mmap+munmap pair of 64 KiB at 30 frames';
const ROUNDS = 5;
const PATIENCE_MS = 60_000;

export async function peers(): Promise<Row[]> {
  const rows: Row[] = [];
  for (const peer of [OFFHEAP_PEER, ...PEERS]) {
    const reason = peer.lacks();
    rows.push(...(reason === null ? await compare(peer) : [skippedRow(GROUP, peer.name, reason)]));
  }
  return rows;
}

async function compare(peer: Peer): Promise<Row[]> {
  try {
    const loop = [buildTarget('mapping_cost'), '30'];
    const bare: Cost[] = [];
    const tool: Cost[] = [];
    // Tracepoints slow everybody's calls, so the bare loop never runs beside a tool.
    await interleave(ROUNDS, {
      bare: () => bare.push(inFolder((folder) => cost(peer, loop, {}, folder))),
      tool: () =>
        tool.push(
          inFolder((folder) => {
            const { command, env = {} } = peer.wrap(loop, folder);
            return cost(peer, command, env, folder);
          }),
        ),
    });
    const owner = inFolder((folder) => findsOwner(peer, folder))
      ? 'names the owner'
      : 'does not name the owner';
    const row = (what: string, note: string, of: (cost: Cost) => number) =>
      pairedRow({ group: GROUP, what, unit: 'ns', note }, bare.map(of), tool.map(of));
    return [
      row(peer.name, [owner, peer.note].filter(Boolean).join('; '), ({ loopNs }) => loopNs),
      withProcesses(bare, tool),
    ];
  } catch (error) {
    return [skippedRow(GROUP, peer.name, error instanceof Error ? error.message : String(error))];
  }
}

/** The whole must not be less than its part: then the tool's start-up, which varies, was larger than all the pairs. */
function withProcesses(bare: readonly Cost[], tool: readonly Cost[]): Row {
  const what = "  with the tool's own processes";
  const all = pairedRow({ group: GROUP, what, unit: 'ns' }, bare.map(allOf), tool.map(allOf));
  if (median(tool.map(allOf)) >= 0.9 * median(tool.map(({ loopNs }) => loopNs))) return all;
  return skippedRow(GROUP, what, 'lost in the noise of its start-up');
}

const allOf = ({ allNs }: Cost) => allNs;

interface Cost {
  /** CPU of the loop's thread per pair, in the second of two blocks. */
  loopNs: number;
  /** CPU of the loop and of the tool's processes per pair, start-up taken off. */
  allNs: number;
}

function cost(peer: Peer, command: readonly string[], env: Record<string, string>, folder: string): Cost {
  const many = launch(command, env, folder, `pair ${peer.pairs}\npair ${peer.pairs}\n`);
  const few = launch(command, env, folder, 'pair 1\npair 1\n');
  return { loopNs: many.loopNs, allNs: (many.cpuNs - few.cpuNs) / (2 * peer.pairs - 2) };
}

function launch(command: readonly string[], env: Record<string, string>, folder: string, input: string) {
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const launcher = [buildTarget('launch_cost'), '1', ...variables, ...command];
  const { stdout, stderr } = run(launcher, {}, folder, input);
  const blocks = stderr.split('\n').filter((line) => /^[\d.]+ [\d.]+$/.test(line));
  const cpuNs = Number(stdout.trim().split(' ')[1]);
  if (blocks.length !== 2 || !(cpuNs > 0))
    throw new Error(stderr.trim().split('\n').at(-1) || 'it said nothing');
  return { loopNs: Number(blocks[1]!.split(' ')[0]), cpuNs };
}

function findsOwner(peer: Peer, folder: string): boolean {
  const { program, library } = buildLeak();
  const { command, env = {} } = peer.wrap([program, '1', '5000'], folder);
  run(command, env, folder);
  return peer.names(library, folder);
}

function run(command: readonly string[], env: Record<string, string>, folder: string, input = '') {
  const [program, ...args] = command;
  return spawnSync(program!, args, {
    cwd: folder,
    env: { ...process.env, ...env },
    input,
    encoding: 'utf8',
    timeout: PATIENCE_MS,
    maxBuffer: 1 << 28,
  });
}

function inFolder<T>(work: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'offheap-bench-'));
  try {
    return work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
