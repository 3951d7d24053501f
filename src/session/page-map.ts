import { readGlibcHeaps } from '../account/allocators/glibc.js';
import { type ProcMapping, type Range, readMaps } from '../account/maps.js';
import { ALLOCATOR_MODULES, LIBC_MODULES, matches } from '../ledger/plumbing.js';
import { type ArenaPages, PAGE_BYTES } from '../report/pagemap/cells.js';
import type { PageMapReport } from '../report/pagemap/pagemap.js';
import { OffheapError } from '../wire/error.js';
import type { HeapRecording } from './heap-recording.js';
import type { ProcessFacts } from './process-facts.js';
import type { Program } from './program.js';

/** Ranges of one allocator that are no further apart are one arena. */
const GAP_BYTES = 1 << 20;
/** A picture of more has no room for what matters. */
const MOST_BYTES = 2 ** 36;
const PINS_LISTED = 5;

/**
 * The pages of the heaps that malloc keeps. Throws `HEAP_UNAVAILABLE`, `PROCESS_MISSING`, `PROCESS_REFUSED`, and
 * `NO_HEAP` where there are none.
 */
export function pageMap(
  program: Program,
  { pid, command }: Pick<ProcessFacts, 'pid' | 'command'>,
): PageMapReport {
  const { recording } = program.heap;
  if (recording === undefined) {
    throw new OffheapError(
      'HEAP_UNAVAILABLE',
      `the heap of process ${pid} can't be read; see its completeness`,
    );
  }
  const areas = readMaps(pid);
  const arenas = arenasOf(program, areas);
  if (arenas.length === 0) {
    throw new OffheapError(
      'NO_HEAP',
      `no allocator has mapped memory in process ${pid} yet; try again later`,
    );
  }
  const isExact = recording.isExact();
  const free = isExact ? [] : readGlibcHeaps(pid, areas).heaps.flatMap(({ retained }) => retained);
  return {
    title: `heap pages of ${command.join(' ') || '?'} (pid ${pid})`,
    arenas: arenas.map((arena) => pagesOf(recording, pid, arena, isExact ? null : free)),
    pins: isExact ? recording.pins(pid, PINS_LISTED) : null,
  };
}

interface Arena extends Range {
  name: string;
}

function arenasOf({ recording, attributions }: Program, areas: readonly ProcMapping[]): Arena[] {
  const arenas: Arena[] = [];
  let bytes = 0;
  for (const { start, end, origin } of recording.ledger.ranges()) {
    const { kind, owner } = attributions.of(origin.site);
    const isMallocs =
      kind === 'allocator' && (matches(LIBC_MODULES, owner) || matches(ALLOCATOR_MODULES, owner));
    // Addresses set aside hold nothing.
    if (!isMallocs || origin.class === 'file' || !isAccessible(areas, start)) continue;
    bytes += end - start;
    if (bytes > MOST_BYTES) break;
    const last = arenas.at(-1);
    if (last !== undefined && start - last.end <= GAP_BYTES && last.name === owner) last.end = end;
    else arenas.push({ start, end, name: owner });
  }
  return arenas;
}

function isAccessible(areas: readonly ProcMapping[], address: number): boolean {
  return areas.some(({ start, end, writable }) => writable && address >= start && address < end);
}

function pagesOf(
  recording: HeapRecording,
  pid: number,
  { name, start, end }: Arena,
  free: readonly Range[] | null,
): ArenaPages {
  const { held, liveBytes } = recording.pages(pid, start, end);
  if (free === null) return { name, start, held, liveBytes, free: null };
  const isKnown = matches(LIBC_MODULES, name);
  return { name, start, held, liveBytes: null, free: isKnown ? marked(start, held.length, free) : null };
}

function marked(start: number, pages: number, ranges: readonly Range[]): Uint8Array {
  const marks = new Uint8Array(pages);
  for (const range of ranges) {
    const from = Math.max(0, (range.start - start) / PAGE_BYTES);
    const to = Math.min(pages, (range.end - start) / PAGE_BYTES);
    if (from < to) marks.fill(1, from, to);
  }
  return marks;
}
