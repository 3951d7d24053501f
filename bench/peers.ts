/** Other tools that see mappings, on the same loop: what they add to it, and whether they name a leak's owner. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OFFHEAP_PEER } from './peers/offheap.js';
import type { Peer } from './peers/peer.js';
import { PEERS } from './peers/tools.js';
import { buildLeak, buildTarget } from './support/builds.js';
import { pairedRow, type Row, skippedRow } from './support/row.js';
import { interleave } from './support/statistics.js';

const GROUP = 'side by side, ns added per mmap+munmap pair of 64 KiB at 30 frames';
const ROUNDS = 5;
const PATIENCE_MS = 60_000;

export async function peers(): Promise<Row[]> {
  const rows: Row[] = [];
  for (const peer of [OFFHEAP_PEER, ...PEERS]) {
    const reason = peer.lacks();
    rows.push(reason === null ? await compare(peer) : skippedRow(GROUP, peer.name, reason));
  }
  return rows;
}

async function compare(peer: Peer): Promise<Row> {
  try {
    const loop = [buildTarget('mapping_cost'), '30'];
    // Tracepoints slow everybody's calls, so the bare loop never runs beside a tool.
    const ns = await interleave(ROUNDS, {
      bare: () => inFolder((folder) => pairNs(peer, loop, {}, folder)),
      tool: () =>
        inFolder((folder) => {
          const { command, env = {} } = peer.wrap(loop, folder);
          return pairNs(peer, command, env, folder);
        }),
    });
    const owner = inFolder((folder) => findsOwner(peer, folder))
      ? 'names the owner'
      : 'does not name the owner';
    const note = [owner, peer.note].filter(Boolean).join('; ');
    return pairedRow({ group: GROUP, what: peer.name, unit: 'ns', note }, ns.bare, ns.tool);
  } catch (error) {
    return skippedRow(GROUP, peer.name, error instanceof Error ? error.message : String(error));
  }
}

/** Nanoseconds per pair by the clock, after a block that warms up: a tracer's work is time that the loop waits. */
function pairNs(peer: Peer, command: readonly string[], env: Record<string, string>, folder: string): number {
  const { stdout, stderr } = run(command, env, folder, `pair ${peer.pairs}\npair ${peer.pairs}\n`);
  const blocks = stdout.split('\n').filter((line) => /^[\d.]+ [\d.]+$/.test(line));
  if (blocks.length !== 2) throw new Error((stderr || stdout).trim().split('\n').at(-1) ?? 'it said nothing');
  return Number(blocks[1]!.split(' ')[1]);
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
