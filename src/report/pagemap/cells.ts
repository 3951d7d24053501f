/** What of an arena's pages is to be drawn: pages side by side, several in a cell where there are many. */

export const PAGE_BYTES = 4096;

/** A stretch of an allocator's memory, page by page. */
export interface ArenaPages {
  name: string;
  start: number;
  /** 1: in memory or in swap. */
  held: Uint8Array;
  /** What lives on each page, at most a page; null where single blocks are not known. */
  liveBytes: Uint16Array | null;
  /** 1: nothing lives there; null where that is not known, but by `liveBytes`. */
  free: Uint8Array | null;
}

/** In the order of the legend. */
export const CELL_KINDS = [
  'returned',
  'dead',
  'few',
  'some',
  'half',
  'most',
  'live',
  'used',
  'resident',
] as const;
export type CellKind = (typeof CELL_KINDS)[number];

export const CELL_NAMES: Record<CellKind, string> = {
  returned: 'returned, or never touched',
  dead: 'resident, nothing lives there',
  few: 'up to 10 % live',
  some: 'up to 25 % live',
  half: 'up to 50 % live',
  most: 'up to 90 % live',
  live: 'live',
  used: 'in use, in part at least',
  resident: 'resident',
};

/** Cells of one kind that follow one another. */
export interface CellRun {
  kind: CellKind;
  /** Number of the first cell. */
  first: number;
  cells: number;
  /** Of the pages in memory: their number, and what lives there. */
  heldPages: number;
  liveBytes: number;
}

/** The runs of an arena, `pagesPerCell` pages in each cell. */
export function cellRuns(arena: ArenaPages, pagesPerCell: number): CellRun[] {
  const runs: CellRun[] = [];
  const pages = arena.held.length;
  for (let cell = 0; cell * pagesPerCell < pages; cell++) {
    const { kind, heldPages, liveBytes } = cellOf(
      arena,
      cell * pagesPerCell,
      Math.min(pages, (cell + 1) * pagesPerCell),
    );
    const last = runs.at(-1);
    if (last?.kind === kind) {
      last.cells++;
      last.heldPages += heldPages;
      last.liveBytes += liveBytes;
    } else {
      runs.push({ kind, first: cell, cells: 1, heldPages, liveBytes });
    }
  }
  return runs;
}

function cellOf({ held, liveBytes, free }: ArenaPages, from: number, to: number) {
  let heldPages = 0;
  let freePages = 0;
  let live = 0;
  for (let page = from; page < to; page++) {
    if (held[page] !== 1) continue;
    heldPages++;
    live += liveBytes?.[page] ?? 0;
    if (free?.[page] === 1) freePages++;
  }
  const kind = ((): CellKind => {
    if (heldPages === 0) return 'returned';
    if (liveBytes === null && free === null) return 'resident';
    if (liveBytes === null) return freePages === heldPages ? 'dead' : 'used';
    const share = live / (heldPages * PAGE_BYTES);
    if (share === 0) return 'dead';
    if (share <= 0.1) return 'few';
    if (share <= 0.25) return 'some';
    if (share <= 0.5) return 'half';
    return share <= 0.9 ? 'most' : 'live';
  })();
  return { kind, heldPages, liveBytes: live };
}

/** Sums over arenas, in bytes. */
export interface PageSums {
  addressBytes: number;
  heldBytes: number;
  /** On pages where nothing lives. */
  deadBytes: number;
  /** Null where single blocks are not known. */
  liveBytes: number | null;
}

export function pageSums(arenas: readonly ArenaPages[]): PageSums {
  const sums: PageSums = { addressBytes: 0, heldBytes: 0, deadBytes: 0, liveBytes: 0 };
  for (const { held, liveBytes, free } of arenas) {
    sums.addressBytes += held.length * PAGE_BYTES;
    for (let page = 0; page < held.length; page++) {
      if (held[page] !== 1) continue;
      sums.heldBytes += PAGE_BYTES;
      const isDead = liveBytes === null ? free?.[page] === 1 : liveBytes[page] === 0;
      if (isDead) sums.deadBytes += PAGE_BYTES;
      if (sums.liveBytes !== null && liveBytes !== null) sums.liveBytes += liveBytes[page]!;
    }
    if (liveBytes === null) sums.liveBytes = null;
  }
  return sums;
}
