import { ALLOCATOR_MODULES, matches } from '../../ledger/plumbing.js';
import type { HeapAsked } from '../../wire/heap.js';
import { askedFigures, isSlackKnown, type Recorded, slackName } from './asked.js';
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

/** Who can ask a thread of the target. */
export interface AllocatorQuestions {
  /** What the allocator counts; undefined where it does not tell how things are now. */
  statistics(): ToldStatistics | undefined;
  /** The sizes in which it hands out blocks, rising, as far as they are known. */
  sizeClasses(): readonly number[];
}

/**
 * What allocators use their memory for that only their libraries know: by what those tell if they are asked, and by the recorded
 * blocks. Where neither tells enough, that is said.
 */
export function insideAsTold(ask: AllocatorQuestions, recorded: Recorded): AllocatorReader {
  return (pid, memory) => {
    const { owner } = memory;
    if (!matches(ALLOCATOR_MODULES, owner)) return undefined;
    const known = SOURCES.find(({ modules }) => modules.test(owner));
    const told = known === undefined ? undefined : ask.statistics();
    // Of one that is about to sleep, what it counts matters more than its sizes.
    const classes = recorded.coverage === 'none' ? [] : ask.sizeClasses();
    const blocks = recorded.coverage === 'none' ? undefined : recorded.asked(pid, memory.ranges, classes);
    if (known !== undefined && told?.source === known.source) {
      return withSlack(known.partsOf(told.values, memory), recorded, blocks);
    }
    if (recorded.coverage === 'all' && blocks!.residentBytes >= 0) return byBlocks(memory, blocks!);
    const asked =
      recorded.coverage === 'none' ? recorded.reason : askedFigures(recorded.coverage, blocks!, null);
    const problem =
      known === undefined
        ? `${owner} offers no figures of what is in use in it; a record of all its blocks would tell: offheap run --heap exact`
        : `${owner} could not be asked what is in use in it: no thread of the process has called it meanwhile`;
    return { parts: [], problems: [problem], asked };
  };
}

/** Tells apart what blocks in use were asked for. */
function withSlack(
  parts: AllocatorPart[],
  recorded: Recorded,
  blocks: HeapAsked | undefined,
): AllocatorInside {
  if (recorded.coverage === 'none') return { parts, problems: [], asked: recorded.reason };
  const { coverage } = recorded;
  const [live, ...others] = parts;
  const inUse = live!.residentBytes;
  const asked = askedFigures(coverage, blocks!, null);
  const slack = isSlackKnown(asked) ? Math.min(inUse, Math.floor(blocks!.slackResidentBytes)) : 0;
  if (coverage !== 'sampled' && asked.slackBytes !== null && asked.unclassedBytes === 0) {
    asked.unrecordedBytes = Math.max(0, inUse - asked.bytes - asked.slackBytes);
  }
  return {
    parts: [{ ...live!, residentBytes: inUse - slack }, part('slack', slackName(coverage), slack), ...others],
    problems: [],
    asked,
  };
}

/** Of any allocator all of whose blocks are recorded: what else is on their pages, and what else it has. */
function byBlocks({ ranges }: AllocatorMemory, blocks: HeapAsked): AllocatorInside {
  const onPages = Math.min(blocks.residentBytes, residentOf(ranges));
  const asked = askedFigures('all', blocks, 0);
  const slack = Math.min(onPages, Math.floor(blocks.slackResidentBytes));
  const live = Math.min(onPages - slack, asked.bytes);
  const beside = asked.slackBytes === null ? 'slack, metadata, and free beside blocks in use' : BESIDE_BLOCKS;
  return {
    parts: [
      part('live', 'blocks in use', live),
      part('slack', slackName('all'), slack),
      part('pinned', beside, onPages - slack - live),
      part('retained', 'pages without a block: free, or metadata', residentOf(ranges) - onPages),
    ],
    problems: [],
    asked,
  };
}

const BESIDE_BLOCKS = 'free beside blocks in use, or metadata';

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
  return withMetadata(ranges, parts, value('stats.metadata'));
}

function tcmallocParts(values: ReadonlyMap<string, number>, { ranges }: AllocatorMemory): AllocatorPart[] {
  const value = (name: string) => values.get(name) ?? 0;
  const central = value('tcmalloc.central_cache_free_bytes') + value('tcmalloc.transfer_cache_free_bytes');
  const parts = withLive(ranges, value('generic.current_allocated_bytes'), [
    part('cached', 'free in caches of threads', value('tcmalloc.thread_cache_free_bytes')),
    part('cached', 'free in common caches', central),
    part('retained', 'free pages that tcmalloc keeps', value('tcmalloc.pageheap_free_bytes')),
  ]);
  // 2 MiB for each 2 GiB of addresses in which it has pages, so that it depends on where the heap lies.
  const metadata =
    value('generic.total_physical_bytes') -
    (value('generic.heap_size') - value('tcmalloc.pageheap_unmapped_bytes'));
  return withMetadata(ranges, parts, metadata);
}

/** Metadata need not have been written to either. */
function withMetadata(
  ranges: AllocatorMemory['ranges'],
  parts: AllocatorPart[],
  metadataBytes: number,
): AllocatorPart[] {
  const rest = residentOf(ranges) - sumOf(parts);
  return [...parts, part('metadata', 'metadata', Math.min(rest, metadataBytes))];
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
