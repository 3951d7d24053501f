import { expect, test } from 'vitest';
import fc from '../../test/support/properties.js';
import { sampleHeapSnapshot } from './heap/sample.js';
import { overviewOf } from './overview.js';
import { sampleSnapshot } from './sample.js';
import { reportTable } from './table.js';
import { stringWidth } from './width.js';

test('the report names the owner, its growth, its stack and the enclosing operation', () => {
  expect(reportTable(overviewOf(sampleSnapshot()), { columns: 100, stacks: 1 })).toBe(
    [
      'python3 decode.py (pid 4242), running, observed 1 min 01 s',
      'resident 76.0 MB · anonymous 62.0 MB · explained 100.0 % · 1,014,072 mapping events, none lost',
      'libucs.so.0 grows by 419.4 MB/min (100.0 % of all growth), mapped inside munmap',
      'verdict: leak outside the heap by libucs.so.0, 90 % sure',
      '  What libucs.so.0 holds rose by 57.7 MB within 61 s.',
      '',
      'OWNER        KIND              GROWTH  RESIDENT   SHARE    MAPPED  MAPPINGS',
      'libucs.so.0  library    +419.4 MB/min   57.7 MB  93.0 %   57.7 MB       381',
      'libc.so.6    allocator              0   4.19 MB   6.8 %   4.19 MB         1',
      '[stack]      stack                  0  135.2 kB   0.2 %  135.2 kB         1',
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
    ].join('\n'),
  );
});

test('where an allocator grows, the report says who holds what it has mapped', () => {
  const snapshot = sampleHeapSnapshot();
  const [leak, malloc] = snapshot.owners;
  leak!.growthBytesPerMinute = 0;
  malloc!.growthBytesPerMinute = 1e8;
  const lines = reportTable(overviewOf(snapshot), { columns: 120, stacks: 1 }).split('\n');
  expect(lines[2]).toMatch(/^heap \(exact\) 2\.20 MB live in 20,051 allocations/);
  expect(lines[3]).toMatch(/^libc\.so\.6 \(allocator\) grows by 100\.0 MB\/min/);
  const at = lines.indexOf('libcache.so.1 on the heap: 2.00 MB live in 20,000 allocations');
  expect(lines.slice(at + 1, at + 4)).toEqual([
    '    operator new(unsigned long) (libstdc++.so.6)',
    '    cache_insert (libcache.so.1)',
    '    main (python3.11)',
  ]);
});

test('where little lives of what an allocator has mapped, nobody is named for it', () => {
  const snapshot = sampleHeapSnapshot(10);
  const [leak, malloc] = snapshot.owners;
  leak!.growthBytesPerMinute = 0;
  malloc!.growthBytesPerMinute = 1e8;
  expect(reportTable(overviewOf(snapshot), { columns: 120 })).not.toContain('on the heap');
});

test('where a library grows by mapping, the heap has its line and no stacks', () => {
  const table = reportTable(overviewOf(sampleHeapSnapshot()), { columns: 120 });
  expect(table).toContain('heap (exact) 2.20 MB live');
  expect(table).not.toContain('on the heap');
});

test('every gap has a line', () => {
  const snapshot = sampleSnapshot(1);
  Object.assign(snapshot.completeness, {
    mappingEventsLost: 3,
    heapEventsLost: 1,
    truncatedStacks: 2,
    sitesOverwritten: 1,
    unexplainedBytes: 8192,
    degraded: ['the table of stacks is full; later stacks are cut'],
  });
  snapshot.rss.explainedPercent = 99.99;
  const gaps = reportTable(overviewOf(snapshot), { columns: 200 })
    .split('\n')
    .filter((line) => line.startsWith('! '));
  expect(gaps).toEqual([
    '! 3 mapping events lost: live bytes and owners may be wrong',
    '! 1 heap event lost: what lives on the heap may be wrong',
    '! 2 stacks truncated',
    '! 1 system-call site overwritten by other code: calls there are unseen',
    '! 8.19 kB unexplained: the ledger knows no event for them',
    '! 99.9 % of resident anonymous memory is explained',
    '! the table of stacks is full; later stacks are cut',
  ]);
});

test('no line is wider than the terminal, and no name reaches it raw', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 50, max: 160 }), (name, columns) => {
      const snapshot = sampleSnapshot(2);
      for (const owner of snapshot.owners) owner.owner = name;
      for (const mapping of snapshot.mappings) mapping.owner = name;
      for (const frame of snapshot.stacks[1] ?? []) frame.function = name;
      snapshot.process.command = [name];
      const text = reportTable(overviewOf(snapshot), { columns });
      for (const line of text.split('\n')) expect(stringWidth(line)).toBeLessThanOrEqual(columns);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: their absence is what is tested.
      expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
    }),
  );
});

test('colours come only when asked for', () => {
  const overview = overviewOf(sampleSnapshot());
  expect(reportTable(overview, { columns: 80 })).not.toContain('\u001b');
  expect(reportTable(overview, { columns: 80, colors: true })).toContain('\u001b[1m');
});

test('a command too long for the line gives way to what follows it', () => {
  const snapshot = sampleSnapshot();
  snapshot.process.command = ['python3', 'a'.repeat(200)];
  const [first] = reportTable(overviewOf(snapshot), { columns: 80 }).split('\n');
  expect(first).toMatch(/^python3 a+… \(pid 4242\), running, observed 1 min 01 s$/);
});

test('a process that left nothing says why, without a table', () => {
  const snapshot = { ...sampleSnapshot(), owners: [], mappings: [] };
  snapshot.completeness.degraded = ['it is statically linked'];
  expect(reportTable(overviewOf(snapshot), { columns: 80 })).not.toMatch(/OWNER|100/);
});

test('a deep stack loses its middle and says how much', () => {
  const text = reportTable(overviewOf(sampleSnapshot()), { columns: 80, stacks: 1, frames: 5 });
  expect(text).toContain('… 5 more frames');
  expect(text).toContain('main (python3.11)');
});
