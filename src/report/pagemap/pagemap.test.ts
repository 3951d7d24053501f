import { expect, test } from 'vitest';
import fc from '../../../test/support/properties.js';
import { type ArenaPages, cellRuns, PAGE_BYTES, pageSums } from './cells.js';
import { renderPagemap } from './pagemap.js';

/** A page in memory with so many live bytes; null: not in memory. */
function arena(pages: readonly (number | null)[]): ArenaPages {
  return {
    name: 'libc.so.6',
    start: 0x10000,
    held: Uint8Array.from(pages, (live) => (live === null ? 0 : 1)),
    liveBytes: Uint16Array.from(pages, (live) => live ?? 0),
    free: null,
  };
}

test('each page is what lives on it', () => {
  const pages = [null, 0, 0, 400, 1000, 2000, 3000, 4000, 4096, null, null];
  expect(cellRuns(arena(pages), 1).map(({ kind, cells }) => [kind, cells])).toEqual([
    ['returned', 1],
    ['dead', 2],
    ['few', 1],
    ['some', 1],
    ['half', 1],
    ['most', 1],
    ['live', 2],
    ['returned', 2],
  ]);
  expect(pageSums([arena(pages)])).toEqual({
    addressBytes: 11 * PAGE_BYTES,
    heldBytes: 8 * PAGE_BYTES,
    deadBytes: 2 * PAGE_BYTES,
    liveBytes: 400 + 1000 + 2000 + 3000 + 4000 + 4096,
  });
});

test('where blocks are not known, pages are free or used, or just resident', () => {
  const held = Uint8Array.of(1, 1, 0);
  const known = { name: 'libc.so.6', start: 0, held, liveBytes: null, free: Uint8Array.of(1, 0, 0) };
  expect(cellRuns(known, 1).map(({ kind }) => kind)).toEqual(['dead', 'used', 'returned']);
  expect(pageSums([known])).toMatchObject({ deadBytes: PAGE_BYTES, liveBytes: null });
  expect(cellRuns({ ...known, free: null }, 1).map(({ kind }) => kind)).toEqual(['resident', 'returned']);
});

test('several pages in a cell: nothing is lost or counted twice', () => {
  const pages = fc.array(fc.option(fc.integer({ min: 0, max: PAGE_BYTES })), { maxLength: 300 });
  fc.assert(
    fc.property(pages, fc.integer({ min: 1, max: 9 }), (list, pagesPerCell) => {
      const runs = cellRuns(arena(list), pagesPerCell);
      expect(runs.reduce((sum, { cells }) => sum + cells, 0)).toBe(Math.ceil(list.length / pagesPerCell));
      expect(runs.reduce((sum, { heldPages }) => sum + heldPages, 0) * PAGE_BYTES).toBe(
        pageSums([arena(list)]).heldBytes,
      );
    }),
  );
});

test('the picture says what it shows, and lets no name be markup', () => {
  const report = { title: '<app> & co', arenas: [arena([null, 0, 4096])], pins: null };
  const svg = renderPagemap(report, 'svg');
  expect(svg).toContain('8.19 kB resident · 4.10 kB live · 4.10 kB (50.0 %) on pages where nothing lives');
  expect(svg).toContain('libc.so.6 10000-13000: 8.19 kB resident of 12.3 kB');
  expect(svg).toContain('<title>11000: 1 page, 4.10 kB resident, 0 B live</title>');
  expect(svg).not.toContain('<app>');
  expect(svg).toContain('&lt;app&gt; &amp; co');
  expect(renderPagemap(report, 'html')).toMatch(/^<!doctype html>[\s\S]*<svg class="pagemap"/);
});
