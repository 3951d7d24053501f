import { expect, test } from 'vitest';
import fc from '../../../test/support/properties.js';
import { sampleHeapSnapshot } from '../heap/sample.js';
import { sampleSnapshot } from '../sample.js';
import type { Snapshot } from '../schema.js';
import { callTree } from '../tree.js';
import { renderFlamegraph } from './flamegraph.js';
import { fold } from './fold.js';
import { NO_STACK } from './held.js';

const total = (snapshot: Snapshot) => snapshot.mappings.reduce((sum, { bytes }) => sum + bytes, 0);
const weights = (text: string) =>
  text.split('\n').reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);

test('folded: root first, the enclosing operation at the tip, bytes as weight', () => {
  const ucx =
    'main;_PyObject_Free;ucm_munmap;ucm_event_dispatch;ucs_rcache_unmapped_callback;ucs_mpool_grow;' +
    'ucs_rcache_mp_chunk_alloc;ucm_orig_mmap_syscall;syscall;[mmap inside munmap]';
  expect(renderFlamegraph(sampleSnapshot(), { format: 'folded' }).split('\n')).toEqual([
    `python3 decode.py (pid 4242);${ucx} 57741312`,
    'python3 decode.py (pid 4242);main;malloc;sbrk 4194304',
    `python3 decode.py (pid 4242);${NO_STACK};[stack] 135168`,
    '',
  ]);
});

test('folded: a name can neither make a frame nor a line', () => {
  const snapshot = sampleSnapshot(1);
  snapshot.mappings.length = 1;
  snapshot.stacks[1] = [{ ...snapshot.stacks[1]![0]!, function: 'operator()<a;b>\n' }];
  expect(renderFlamegraph(snapshot, { format: 'folded' })).toBe(
    'python3 decode.py (pid 4242);operator()<a:b>\\x0a;[mmap inside munmap] 151552\n',
  );
});

const names = fc.oneof(
  fc.constantFrom('main', 'a;b', 'c\nd', ' ', '<script>'),
  fc.string({ unit: 'binary' }),
);
const snapshots = fc
  .array(
    fc.record({
      bytes: fc.integer({ min: 1, max: 2 ** 40 }),
      stack: fc.integer({ min: 0, max: 4 }),
      enclosing: fc.option(fc.constantFrom('munmap', 'brk')),
    }),
    { maxLength: 30 },
  )
  .chain((mappings) =>
    fc.array(fc.array(names, { maxLength: 5 }), { minLength: 5, maxLength: 5 }).map((stacks) => {
      const snapshot = sampleSnapshot(1);
      const [like] = snapshot.mappings;
      const [frame] = snapshot.stacks[1] ?? [];
      snapshot.mappings = mappings.map((mapping) => ({ ...like!, ...mapping }));
      snapshot.stacks = Object.fromEntries(
        stacks.map((functions, id) => [id, functions.map((name) => ({ ...frame!, function: name }))]),
      );
      return snapshot;
    }),
  );

test('the folded bytes are those of the snapshot, to the byte', () => {
  fc.assert(
    fc.property(snapshots, (snapshot) => {
      expect(fold(snapshot).root.bytes).toBe(total(snapshot));
      expect(weights(renderFlamegraph(snapshot, { format: 'folded' }))).toBe(total(snapshot));
    }),
  );
});

test('addresses set aside are not drawn, but said', () => {
  const snapshot = sampleSnapshot();
  const [like] = snapshot.mappings;
  snapshot.mappings.push({ ...like!, bytes: 2 ** 37, reserved: true });
  expect(fold(snapshot).root.bytes).toBe(total(sampleSnapshot()));
  expect(renderFlamegraph(snapshot, { format: 'svg' })).toContain(
    '137.4 GB more are reserved without access',
  );
});

test('growth and shrinkage together are the difference of the two snapshots', () => {
  fc.assert(
    fc.property(snapshots, snapshots, (before, after) => {
      const { root, shrunkBytes } = fold(after, { since: before });
      expect(root.bytes - shrunkBytes).toBe(total(after) - total(before));
    }),
  );
});

test('growth shows what grew only', () => {
  const text = renderFlamegraph(sampleSnapshot(381), { format: 'folded', since: sampleSnapshot(281) });
  expect(text.trimEnd().split('\n')).toHaveLength(1);
  expect(weights(text)).toBe(100 * 151_552);
});

test('the heap: live bytes by stack, what has none by its owner', () => {
  const process = 'python3 decode.py (pid 4242)';
  expect(renderFlamegraph(sampleHeapSnapshot(), { format: 'folded', what: 'heap' }).split('\n')).toEqual([
    `${process};main;cache_insert;operator new(unsigned long) 2000000`,
    `${process};main;read_lines;getdelim 204800`,
    `${process};[no stack];no stack 64`,
    '',
  ]);
  const file = renderFlamegraph(sampleHeapSnapshot(20_000, true), { format: 'svg', what: 'heap' });
  expect(file).toContain('heap, live bytes: 2.20 MB in 20,051 allocations');
  expect(file).toContain(
    'estimated from samples, one each 524.3 kB on average: all that lives is 2.20 MB ± 17.3 kB',
  );
  expect(file).toContain('1,234,567 heap events, none lost');
  expect(file).not.toContain('mapping events');
});

test('the heap’s growth shows what grew only', () => {
  const options = { format: 'folded', what: 'heap', since: sampleHeapSnapshot(20_000) } as const;
  const text = renderFlamegraph(sampleHeapSnapshot(20_003), options);
  expect(text).toMatch(/^[^\n]*;cache_insert;[^\n]* 300\n$/);
});

test('the kinds: owners by their kind, what they were reached through is plumbing', () => {
  const kinds = new Map<string, string>();
  const pending = [fold(sampleSnapshot()).root];
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    kinds.set(node.name, node.kind);
    pending.push(...node.children.values());
  }
  expect(Object.fromEntries(kinds)).toMatchObject({
    syscall: 'plumbing',
    malloc: 'allocator',
    ucm_munmap: 'plumbing',
    ucs_mpool_grow: 'library',
    '[mmap inside munmap]': 'enclosed',
    main: 'program',
  });
});

test.each(['svg', 'html'] as const)('%s: hostile names stay text', (format) => {
  const hostile = `</title><script>alert('1')</script>]]>&"\u0000`;
  const snapshot = sampleSnapshot(1);
  snapshot.process.command = [hostile];
  snapshot.completeness.degraded = [hostile];
  for (const frame of snapshot.stacks[1] ?? []) {
    frame.function = hostile;
    frame.module = hostile;
  }
  for (const each of [...snapshot.owners, ...snapshot.mappings]) each.owner = hostile;
  const file = renderFlamegraph(snapshot, { format });
  expect(file.includes('<script>alert')).toBe(false);
  expect(file.includes('&lt;script&gt;alert(&#39;1&#39;)')).toBe(true);
  expect(file.match(/<script>/g)).toHaveLength(1);
  expect(file.includes('\u0000')).toBe(false);
});

test.each(['svg', 'html'] as const)('%s: self-contained, with heading, bytes and every gap', (format) => {
  const snapshot = sampleSnapshot();
  snapshot.completeness.mappingEventsLost = 7;
  const file = renderFlamegraph(snapshot, { format });
  expect(file).not.toMatch(/(src|href)=|url\(|@import|https?:(?!\/\/www\.w3\.org\/2000\/svg)/);
  expect(file).toContain('python3 decode.py (pid 4242)');
  expect(file).toContain('57.7 MB · 93.0 % · 381 mappings');
  expect(file).toContain('7 mapping events lost');
});

test('recursion deeper than any picture is cut, said, and breaks nothing', () => {
  const snapshot = sampleSnapshot(1);
  const [frame] = snapshot.stacks[1] ?? [];
  snapshot.stacks[1] = Array.from({ length: 20_000 }, () => frame!);
  expect(weights(renderFlamegraph(snapshot, { format: 'folded' }))).toBe(total(snapshot));
  expect(renderFlamegraph(snapshot, { format: 'svg' })).toContain('1 tower too deep to draw whole');
});

test('the call tree indents at branches and sums the small ones', () => {
  const tree = callTree(sampleSnapshot(), { columns: 70, leastPercent: 1 });
  expect(tree.split('\n').slice(0, 4)).toEqual([
    '  62.1 MB 100.0 %  python3 decode.py (pid 4242)',
    ' 135.2 kB            … 1 more',
    '  61.9 MB  99.8 %    main (python3.11)',
    '  57.7 MB  93.0 %      _PyObject_Free (python3.11)',
  ]);
});

test('a box names the file of source without its folders; the shade is the module’s whatever the line', () => {
  const snapshot = sampleSnapshot(1);
  const [frame] = snapshot.stacks[1] ?? [];
  const at = (name: string, line: number) => ({ ...frame!, function: name, file: '/src/ucs/mpool.c', line });
  snapshot.stacks[1] = [at('inner', 8), at('outer', 9)];
  const file = renderFlamegraph(snapshot, { format: 'svg' });
  const shades = ['inner', 'outer'].map(
    (name) => new RegExp(`class="frame \\w+ (v\\d)"[^>]*><title>${name}\\n`).exec(file)?.[1],
  );
  expect(shades[0]).toBeDefined();
  expect(shades[0]).toBe(shades[1]);
  expect(file).toContain(`>${frame!.module}, mpool.c:9</tspan>`);
  expect(file).toContain(`\n${frame!.module}, /src/ucs/mpool.c:9\n`);
});
