import { ALLOCATOR_MODULES, matches } from '../../ledger/plumbing.js';
import type { AllocatorInside, AllocatorMemory, AllocatorPart, AllocatorReader } from './inside.js';

/** What an allocator has told of itself, by its own names of the figures. */
export interface ToldStatistics {
  source: 'jemalloc' | 'tcmalloc';
  values: ReadonlyMap<string, number>;
}

const SOURCES: readonly {
  source: ToldStatistics['source'];
  modules: RegExp;
  partsOf: typeof jemallocParts;
}[] = [
  { source: 'jemalloc', modules: /^libjemalloc/, partsOf: jemallocParts },
  { source: 'tcmalloc', modules: /^libtcmalloc/, partsOf: tcmallocParts },
];

/**
 * What allocators use their memory for that tell it if they are asked: `ask` has a thread of the target do so; undefined where
 * none did. Of other allocators that only their libraries know, it says that they offer nothing.
 */
export function insideAsTold(ask: () => ToldStatistics | undefined): AllocatorReader {
  return (_pid, memory) => {
    const { owner } = memory;
    if (!matches(ALLOCATOR_MODULES, owner)) return undefined;
    const known = SOURCES.find(({ modules }) => modules.test(owner));
    if (known === undefined) return unread(`${owner} offers no figures of what is in use in it`);
    const told = ask();
    if (told?.source !== known.source) {
      return unread(
        `${owner} could not be asked what is in use in it: no thread of the process has called it meanwhile`,
      );
    }
    return { parts: known.partsOf(told.values, memory), problems: [] };
  };
}

function unread(problem: string): AllocatorInside {
  return { parts: [], problems: [problem] };
}

function jemallocParts(values: ReadonlyMap<string, number>, { ranges }: AllocatorMemory): AllocatorPart[] {
  const value = (name: string) => values.get(name) ?? 0;
  const cached = value('stats.arenas.4096.tcache_bytes');
  const freePages = value('stats.arenas.4096.pdirty') + value('stats.arenas.4096.pmuzzy');
  const parts = withLive(ranges, value('stats.allocated') - cached, [
    part('cached', 'free in caches of threads', cached),
    part('retained', 'free pages that jemalloc keeps', freePages * value('arenas.page')),
    part('pinned', 'free beside blocks in use', value('stats.active') - value('stats.allocated')),
  ]);
  // Its tables for all addresses are touched where there are blocks, and counted in whole.
  const rest = residentOf(ranges) - sumOf(parts);
  return [...parts, part('metadata', 'metadata', Math.min(rest, value('stats.metadata')))];
}

function tcmallocParts(values: ReadonlyMap<string, number>, { ranges }: AllocatorMemory): AllocatorPart[] {
  const value = (name: string) => values.get(name) ?? 0;
  const central = value('tcmalloc.central_cache_free_bytes') + value('tcmalloc.transfer_cache_free_bytes');
  return withLive(ranges, value('generic.current_allocated_bytes'), [
    part('cached', 'free in caches of threads', value('tcmalloc.thread_cache_free_bytes')),
    part('cached', 'free in common caches', central),
    part('retained', 'free pages that tcmalloc keeps', value('tcmalloc.pageheap_free_bytes')),
  ]);
}

/** Blocks need not have been written to: what is left in memory is theirs, and no more than they have. */
function withLive(
  ranges: AllocatorMemory['ranges'],
  liveBytes: number,
  others: AllocatorPart[],
): AllocatorPart[] {
  const live = Math.min(liveBytes, residentOf(ranges) - sumOf(others));
  return [part('live', 'blocks in use', live), ...others];
}

function residentOf(ranges: AllocatorMemory['ranges']): number {
  return ranges.reduce((sum, { residentBytes }) => sum + residentBytes, 0);
}

function sumOf(parts: readonly AllocatorPart[]): number {
  return parts.reduce((sum, { residentBytes }) => sum + residentBytes, 0);
}

function part(kind: AllocatorPart['kind'], name: string, residentBytes: number): AllocatorPart {
  return { kind, name, residentBytes: Math.max(0, residentBytes), swapBytes: 0 };
}
