import { expect, test } from 'vitest';
import fc from '../../test/support/properties.js';
import { sampleHeapSnapshot } from '../report/heap/sample.js';
import { type Overview, overviewOf, ownerKey } from '../report/overview.js';
import { sampleSnapshot } from '../report/sample.js';
import { stringWidth } from '../report/width.js';
import { renderTop, sortedOwners, sparkline, type TopState } from './top-screen.js';

function stateOf(overview: Overview, changes: Partial<TopState> = {}): TopState {
  const history = new Map(overview.owners.map((owner) => [ownerKey(owner), [1, 2, 4, owner.residentBytes]]));
  return { overview, history, sort: 'growth', selected: null, mark: null, notice: null, ...changes };
}

const size = { rows: 24, columns: 80, colors: false };
const sample = () => overviewOf(sampleSnapshot());

test('80 × 24: who grows, from where, inside what', () => {
  expect(renderTop(stateOf(sample()), size)).toEqual([
    'offheap top · python3 decode.py (pid 4242), running, observed 1 min 01 s',
    'resident 76.0 MB · growth +419.4 MB/min · explained 100.0 % · 1,014,072 events',
    'verdict: leak outside the heap by libucs.so.0, 90 % sure · What libucs.so.0 hol…',
    '',
    '   OWNER        KIND              GROWTH  RESIDENT   SHARE    MAPPED  HISTORY',
    '›  libucs.so.0  library    +419.4 MB/min   57.7 MB  93.0 %   57.7 MB  ▁▁▁█',
    '   libc.so.6    allocator              0   4.19 MB   6.8 %   4.19 MB  ▁▁▁█',
    '   [stack]      stack                  0  135.2 kB   0.2 %  135.2 kB  ▁▁▁█',
    '',
    'libucs.so.0: 57.7 MB in 381 mappings, mapped inside munmap',
    '    syscall (libc.so.6)',
    '    ucm_orig_mmap_syscall (libucm.so.0)',
    '    ucs_rcache_mp_chunk_alloc (libucs.so.0)',
    '    ucs_mpool_grow (libucs.so.0)',
    '    ucs_rcache_unmapped_callback (libucs.so.0)',
    '    ucm_event_dispatch (libucm.so.0)',
    '    ucm_munmap (libucm.so.0)',
    '    _PyObject_Free (python3.11)',
    '    main (python3.11)',
    ...Array.from({ length: 4 }, () => ''),
    expect.stringMatching(/^sorted by growth · g growth .* q quit *$/),
  ]);
});

test('the heap has a line; under an allocator stands who holds what it has mapped', () => {
  const overview = overviewOf(sampleHeapSnapshot(20_000, true));
  const selected = ownerKey(overview.owners[1]!);
  const lines = renderTop(stateOf(overview, { selected, allocationsPerSecond: 12_345.6 }), {
    ...size,
    columns: 130,
  });
  expect(lines[2]).toBe(
    'heap (sampled) 2.20 MB ± 17.3 kB live in 20,051 allocations · 12,346/s, 60.0 % temporary · libcache.so.1 2.00 MB',
  );
  const at = lines.indexOf('libcache.so.1 on the heap: 2.00 MB ± 10.0 kB live in 20,000 allocations');
  expect(lines[at + 2]).toBe('    cache_insert (libcache.so.1)');
  expect(lines.join('\n')).toContain('libc.so.6 (allocator): 4.19 MB in 1 mapping');
});

test('any size and any names: as many lines as rows, none wider than the terminal', () => {
  const sizes = fc.record({
    rows: fc.integer({ min: 5, max: 60 }),
    columns: fc.integer({ min: 20, max: 200 }),
    colors: fc.constant(false),
  });
  const names = fc.array(fc.string({ unit: 'binary', minLength: 1 }), { maxLength: 80 });
  fc.assert(
    fc.property(sizes, names, (anySize, owners) => {
      const overview = sample();
      const [like] = overview.owners;
      overview.owners = owners.map((owner) => ({ ...like!, owner }));
      overview.completeness.degraded = owners;
      const lines = renderTop(stateOf(overview), anySize);
      expect(lines).toHaveLength(anySize.rows);
      for (const line of lines) expect(stringWidth(line)).toBeLessThanOrEqual(anySize.columns);
    }),
  );
});

test('losses stay in sight, also where there are more than fit', () => {
  const overview = sample();
  overview.completeness.mappingEventsLost = 9;
  overview.completeness.degraded = ['a', 'b', 'c', 'd', 'e'];
  const text = renderTop(stateOf(overview), size).join('\n');
  expect(text).toContain('! 9 mapping events lost');
  expect(text).toContain('! … and 3 more gaps');
});

test('the selected owner is in sight and its stacks are shown', () => {
  const overview = sample();
  const [like] = overview.owners;
  for (let index = 0; index < 50; index += 1) overview.owners.push({ ...like!, owner: `lib${index}.so` });
  const selected = ownerKey({ owner: 'libc.so.6', kind: 'allocator' });
  const lines = renderTop(stateOf(overview, { selected }), size);
  expect(lines.filter((line) => line.startsWith('›'))).toEqual([expect.stringContaining('libc.so.6')]);
  expect(lines).toContain('    malloc (libc.so.6)');
});

test('sorting', () => {
  const overview = sample();
  overview.owners[1]!.bytes = 1e12;
  overview.owners[2]!.residentBytes = 1e12;
  const first = (sort: TopState['sort']) => sortedOwners({ overview, sort })[0]?.owner;
  expect([first('growth'), first('bytes'), first('resident')]).toEqual([
    'libucs.so.0',
    'libc.so.6',
    '[stack]',
  ]);
});

test('a mark adds what changed since', () => {
  const bytes = new Map([[ownerKey({ owner: 'libucs.so.0', kind: 'library' }), 50_000_000]]);
  const mark = { takenAt: '2026-01-21T10:00:41.000Z', bytes };
  const text = renderTop(stateOf(sample(), { mark }), { ...size, columns: 120 }).join('\n');
  expect(text).toMatch(/SINCE MARK/);
  expect(text).toMatch(/libucs\.so\.0 .*\+7\.74 MB/);
  expect(text).toContain('marked 10:00:41 UTC');
});

test('sparklines', () => {
  expect(sparkline([0, 1, 2, 3, 4, 5, 6, 7], 12)).toBe('▁▂▃▄▅▆▇█');
  expect(sparkline([5, 5, 5], 12)).toBe('▁▁▁');
  expect(sparkline([9, 0, 7], 2)).toBe('▁█');
  expect(sparkline([], 12)).toBe('');
});
