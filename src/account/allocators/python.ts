import { matches, PYTHON_MODULES } from '../../ledger/plumbing.js';
import { pythonArenas } from '../../wire/addon.js';
import type { Range } from '../maps.js';
import type { AllocatorInside, AllocatorMemory } from './inside.js';

/** What CPython's allocator of small objects (obmalloc) holds in a process, read from outside. */
export interface PythonArenas {
  /** 4096 up to CPython 3.9, 16384 since; 0 where no pool was found. */
  poolBytes: number;
  poolsInUse: number;
  /** Handed out: as `sys._debugmallocstats` counts them. */
  blocks: number;
  blockBytes: number;
  /** The resident bytes of the ranges, apart from one another. */
  resident: {
    live: number;
    /** Pools without any block, and pages of others that never held one. */
    retained: number;
    /** Free beside blocks in use, and what is left over at the ends of pools and arenas. */
    slack: number;
    metadata: number;
    /** Evaluation stacks of threads (since CPython 3.11). */
    frames: number;
    unread: number;
  };
}

/** `ranges` are arenas. The process runs on meanwhile. Throws `PROCESS_MISSING` or `PROCESS_REFUSED`. */
export function readPythonArenas(pid: number, ranges: readonly Range[]): PythonArenas {
  const bounds = Float64Array.from(ranges.flatMap(({ start, end }) => [start, end]));
  const [poolBytes, poolsInUse, blocks, blockBytes, live, retained, slack, metadata, frames, unread] =
    pythonArenas(pid, bounds) as unknown as Ten;
  return {
    poolBytes,
    poolsInUse,
    blocks,
    blockBytes,
    resident: { live, retained, slack, metadata, frames, unread },
  };
}

type Ten = [number, number, number, number, number, number, number, number, number, number];

/** What an interpreter uses its arenas for. */
export function insidePython(pid: number, { owner, ranges }: AllocatorMemory): AllocatorInside | undefined {
  if (!matches(PYTHON_MODULES, owner)) return undefined;
  const { poolBytes, resident } = readPythonArenas(pid, ranges);
  const known = poolBytes > 0 || resident.frames > 0;
  const asked = 'Python keeps its objects by size class, and what was asked for is written nowhere';
  if (!known) return { parts: [], problems: [`${owner} has arenas of a kind that can't be read`], asked };
  const part = (kind: 'live' | 'retained' | 'pinned' | 'metadata', name: string, residentBytes: number) => ({
    ...{ kind, name, residentBytes, swapBytes: 0 },
  });
  return {
    parts: [
      part('live', 'small objects', resident.live),
      part('live', 'evaluation stacks', resident.frames),
      part('retained', 'free pools that Python keeps', resident.retained),
      part('pinned', 'free beside objects', resident.slack),
      part('metadata', 'headers of pools', resident.metadata),
    ],
    problems: [],
    asked,
  };
}
