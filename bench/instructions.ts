/** Instructions per call, counted by valgrind: free of noise, and blind to caches and to the kernel. */
import { spawnSync } from 'node:child_process';
import { buildTarget } from './support/builds.js';
import { ChannelFolder } from './support/channels.js';
import { plainRow, type Row, skippedRow } from './support/row.js';

const GROUP = 'instructions per call, counted by callgrind';
const FRAMES = '30';
/** Both fit in the ring, which nobody drains here. The difference of the two runs holds no start-up. */
const FEW = 2_000;
const MANY = 12_000;

export function instructions(): Row[] {
  if (spawnSync('valgrind', ['--version']).status !== 0) {
    return [skippedRow(GROUP, 'madvise', 'needs valgrind (apt-get install valgrind)')];
  }
  const folder = new ChannelFolder();
  try {
    const off = { ...folder.preload(), OFFHEAP_STACKS: 'off' };
    const on = folder.preload();
    const row = (what: string, call: string, env: Record<string, string>) =>
      plainRow({ group: GROUP, what, unit: 'instr' }, [perCall(call, env) - perCall(call, {})]);
    return [
      row('added to madvise, no stack', 'madvise', off),
      row('added to madvise, stack', 'madvise', on),
      row('added to madvise, two leaf frames vary', 'varied', on),
      row('added to syscall(SYS_getppid)', 'syscall_getppid', on),
      row('added to getppid()', 'getppid', on),
    ];
  } catch (error) {
    return [skippedRow(GROUP, 'madvise', error instanceof Error ? error.message : String(error))];
  } finally {
    folder.remove();
  }
}

function perCall(call: string, env: Record<string, string>): number {
  return (collected(call, MANY, env) - collected(call, FEW, env)) / (MANY - FEW);
}

function collected(call: string, count: number, env: Record<string, string>): number {
  // The shim rewrites code that valgrind may have translated already.
  const args = ['--tool=callgrind', '--smc-check=all', '--callgrind-out-file=/dev/null'];
  const { stderr } = spawnSync('valgrind', [...args, buildTarget('mapping_cost'), FRAMES], {
    env: { ...process.env, ...env },
    input: `${call} ${count}\n`,
    encoding: 'utf8',
  });
  const total = /Collected : (\d+)/.exec(stderr)?.[1];
  if (total === undefined) throw new Error(`valgrind says: ${stderr.trim().split('\n').at(-1)}`);
  return Number(total);
}
