import { spawnSync } from 'node:child_process';
import { accessSync, constants, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { hasTool, libraryPath } from '../../test/support/needs.js';
import { heapProfileShows } from './heap-profile.js';
import type { Peer } from './peer.js';

const MMAP_TRACEPOINT = '/sys/kernel/tracing/events/syscalls/sys_enter_mmap/id';
const BPFTRACE = `
  tracepoint:syscalls:sys_enter_mmap /pid == cpid/ { @mapped[ustack(64)] = count(); }
  tracepoint:syscalls:sys_enter_munmap /pid == cpid/ { @unmapped[ustack(64)] = count(); }`;
const TCMALLOC = 'libtcmalloc.so.4';

const needsTool = (tool: string) => (hasTool(tool) ? null : `needs ${tool} (apt-get install it)`);
const needsTracepoints = () =>
  canRead(MMAP_TRACEPOINT)
    ? null
    : 'needs root and a mounted tracefs (mount -t tracefs none /sys/kernel/tracing)';
const shows = (file: string) => (library: string, folder: string) =>
  readFileSync(join(folder, file), 'utf8').includes(library);

export const PEERS: readonly Peer[] = [
  {
    name: 'gperftools, HEAP_PROFILE_MMAP',
    note: 'live ranges of what it hooks',
    pairs: 5_000,
    lacks: () => (libraryPath(TCMALLOC) === null ? 'needs libgoogle-perftools4' : null),
    wrap: (command, folder) => ({
      command: [...command],
      env: {
        LD_PRELOAD: libraryPath(TCMALLOC)!,
        HEAPPROFILE: join(folder, 'profile'),
        HEAP_PROFILE_MMAP: '1',
      },
    }),
    names: heapProfileShows,
  },
  {
    name: 'heaptrack',
    note: 'sees no mapping',
    pairs: 5_000,
    lacks: () => needsTool('heaptrack'),
    wrap: (command, folder) => ({ command: ['heaptrack', '-o', join(folder, 'heap'), ...command] }),
    names: (library, folder) => {
      const file = readdirSync(folder).find((name) => name.startsWith('heap.'))!;
      const { stdout } = spawnSync('heaptrack_print', [join(folder, file)], {
        encoding: 'utf8',
        maxBuffer: 1 << 28,
      });
      return stdout.includes(library);
    },
  },
  {
    name: 'bpftrace, mmap tracepoints, ustack',
    note: 'root; every event, nothing of what is live',
    pairs: 5_000,
    lacks: () => needsTool('bpftrace') ?? needsTracepoints(),
    wrap: (command, folder) => ({
      command: ['bpftrace', '-o', join(folder, 'stacks'), '-e', BPFTRACE, '-c', command.join(' ')],
    }),
    names: shows('stacks'),
  },
  {
    name: 'perf trace --call-graph dwarf',
    note: 'root; every event, nothing of what is live',
    pairs: 5_000,
    lacks: () => needsTool('perf') ?? needsTracepoints(),
    wrap: (command, folder) => ({
      command: [
        'perf',
        'trace',
        '-e',
        'mmap,munmap',
        '--call-graph',
        'dwarf',
        '-o',
        join(folder, 'trace'),
      ].concat('--', command),
    }),
    names: shows('trace'),
  },
  {
    name: 'strace -f -e trace=memory',
    note: 'every event, no stacks',
    pairs: 2_000,
    lacks: () => needsTool('strace'),
    wrap: (command, folder) => ({
      command: ['strace', '-f', '-qq', '-e', 'trace=%memory', '-o', join(folder, 'trace'), ...command],
    }),
    names: shows('trace'),
  },
  {
    name: 'strace -f -k -e trace=memory',
    note: 'every event, nothing of what is live',
    pairs: 100,
    lacks: () => needsTool('strace'),
    wrap: (command, folder) => ({
      command: ['strace', '-f', '-k', '-qq', '-e', 'trace=%memory', '-o', join(folder, 'trace'), ...command],
    }),
    names: shows('trace'),
  },
];

function canRead(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}
