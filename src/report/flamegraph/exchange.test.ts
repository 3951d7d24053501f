// The formats that other tools read: speedscope's and pprof's.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { gunzipSync } from 'node:zlib';
import { Ajv } from 'ajv';
import { Profile } from 'pprof-format';
import { expect, test } from 'vitest';
import { sampleHeapSnapshot } from '../heap/sample.js';
import { sampleSnapshot } from '../sample.js';
import type { Snapshot, SnapshotFrame } from '../schema.js';
import { renderFlamegraph } from './flamegraph.js';

interface Speedscope {
  shared: { frames: { name: string; file?: string; line?: number }[] };
  profiles: { samples: number[][]; weights: number[]; endValue: number }[];
}

const isValid = new Ajv({ strict: false, validateFormats: false }).compile(
  JSON.parse(
    readFileSync(
      createRequire(import.meta.url).resolve('speedscope/dist/release/file-format-schema.json'),
      'utf8',
    ),
  ),
);

/** The stacks of a file, root first, with their weights. */
function speedscope(snapshot: Snapshot, options = {}) {
  const file = JSON.parse(
    renderFlamegraph(snapshot, { format: 'speedscope.json', ...options }),
  ) as Speedscope;
  expect(isValid(file), JSON.stringify(isValid.errors)).toBe(true);
  const { shared, profiles } = file;
  const [{ samples, weights, endValue } = { samples: [], weights: [], endValue: 0 }] = profiles;
  expect(weights.reduce((sum, weight) => sum + weight, 0)).toBe(endValue);
  return samples.map((sample, index) => ({
    names: sample.map((frame) => shared.frames[frame]!.name).join(';'),
    frames: sample.map((frame) => shared.frames[frame]!),
    weight: weights[index],
  }));
}

/** The samples of a profile, leaf first, with their values and labels. */
function pprof(snapshot: Snapshot, options = {}) {
  const profile = Profile.decode(gunzipSync(renderFlamegraph(snapshot, { format: 'pb.gz', ...options })));
  const text = (index: number | bigint) => profile.stringTable.strings[Number(index)]!;
  const at = <T>(table: T[], id: number | bigint) => table[Number(id) - 1]!;
  const line = ({ functionId, line }: { functionId: number | bigint; line: number | bigint }) => {
    const { name, filename } = at(profile.function, functionId);
    return `${text(name)} ${text(filename)}:${Number(line)}`;
  };
  return {
    types: profile.sampleType.map(({ type, unit }) => `${text(type)} ${text(unit)}`),
    samples: profile.sample.map(({ locationId, value, label }) => ({
      locations: locationId.map((id) => at(profile.location, id).line.map(line)),
      modules: locationId.map((id) => {
        const { mappingId } = at(profile.location, id);
        return Number(mappingId) === 0 ? null : text(at(profile.mapping, mappingId).filename);
      }),
      value: value.map(Number),
      labels: Object.fromEntries(label.map(({ key, str }) => [text(key), text(str)])),
    })),
  };
}

/** As `sampleSnapshot`, but the leaf was inlined into the next frame, and lines are known. */
function withLines(): Snapshot {
  const snapshot = sampleSnapshot(2);
  snapshot.mappings.length = 2;
  const [leaf, next, ...rest] = snapshot.stacks[1] as [SnapshotFrame, SnapshotFrame, ...SnapshotFrame[]];
  const { address } = next;
  snapshot.stacks[1] = [
    { ...leaf, function: 'inner', inlined: true, file: 'a.h', line: 3, address },
    { ...next, function: 'outer', file: 'a.c', line: 8 },
    ...rest.slice(0, 1).map((frame) => ({ ...frame, function: null })),
  ];
  return snapshot;
}

test('speedscope: root first, bytes as weights, the enclosing operation at the tip, file and line', () => {
  const [first, ...others] = speedscope(withLines());
  const { module, fileAddress } = withLines().stacks[1]![2]!;
  expect(first).toEqual({
    names: `${module}+${fileAddress};outer;inner;[mmap inside munmap]`,
    frames: [
      { name: `${module}+${fileAddress}`, file: module },
      { name: 'outer', file: 'a.c', line: 8 },
      { name: 'inner', file: 'a.h', line: 3 },
      { name: '[mmap inside munmap]' },
    ],
    weight: 2 * 151_552,
  });
  expect(others).toEqual([]);
});

test('speedscope: growth, the heap, one language, and what has no stack', () => {
  const grown = speedscope(sampleSnapshot(381), { since: sampleSnapshot(281) });
  expect(grown.map(({ weight }) => weight)).toEqual([100 * 151_552]);
  const heap = speedscope(sampleHeapSnapshot(), { what: 'heap' });
  expect(heap[0]).toMatchObject({
    names: 'main;cache_insert;operator new(unsigned long)',
    weight: 2_000_000,
  });
  expect(heap.at(-1)?.names).toBe('[no stack];no stack');
  const python = speedscope(sampleSnapshot(1), { only: 'python' });
  expect(python.map(({ names }) => names)).toContain('[no Python frames];libc.so.6');
});

test('pprof: inlined calls share a location; number and bytes; owner and kind as labels', () => {
  const { types, samples } = pprof(withLines());
  const { module, fileAddress } = withLines().stacks[1]![2]!;
  expect(types).toEqual(['mappings count', 'mapped_space bytes']);
  expect(samples).toEqual([
    {
      locations: [
        ['[mmap inside munmap] :0'],
        ['inner a.h:3', 'outer a.c:8'],
        [`${module}+${fileAddress} :0`],
      ],
      modules: [null, withLines().stacks[1]![0]!.module, module],
      value: [2, 2 * 151_552],
      labels: { owner: 'libucs.so.0', kind: 'library' },
    },
  ]);
});

test('pprof: the heap and growth', () => {
  const { types, samples } = pprof(sampleHeapSnapshot(20_003), {
    what: 'heap',
    since: sampleHeapSnapshot(20_000),
  });
  expect(types).toEqual(['inuse_objects count', 'inuse_space bytes']);
  expect(samples.map(({ value }) => value)).toEqual([[3, 300]]);
});
