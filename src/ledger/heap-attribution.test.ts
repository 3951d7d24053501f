import { expect, test } from 'vitest';
import type { AttributionFrame } from './attribution.js';
import { attributeAllocation } from './heap-attribution.js';

function* stack(...modules: string[]): Generator<AttributionFrame> {
  for (const module of modules) {
    const path = module.startsWith('[') ? null : `/usr/lib/${module}`;
    yield { module, path, isProgram: module === 'app', functionName: () => null };
  }
}

test.each([
  ['the caller of malloc', ['libfoo.so.1', 'app', 'libc.so.6'], 'libfoo.so.1', 'library', 'libfoo.so.1'],
  ['behind operator new', ['libstdc++.so.6', 'app', 'libc.so.6'], 'app', 'program', 'libstdc++.so.6'],
  [
    'behind libc: strdup, getline',
    ['libc.so.6', 'libfoo.so.1', 'app'],
    'libfoo.so.1',
    'library',
    'libc.so.6',
  ],
  [
    'behind an allocator',
    ['libjemalloc.so.2', 'libstdc++.so.6', 'app'],
    'app',
    'program',
    'libjemalloc.so.2',
  ],
  ['the loader alone', ['ld-linux-x86-64.so.2'], 'ld-linux-x86-64.so.2', 'library', 'ld-linux-x86-64.so.2'],
  ['code made at run time', ['[anon]', 'app'], '[anon]', 'library', '[anon]'],
  ['no stack', [], 'no stack', 'unexplained', null],
])('%s', (_, modules, owner, kind, caller) => {
  expect(attributeAllocation(stack(...modules))).toMatchObject({ owner, kind, caller });
});

test('no frame is asked for beyond the owner', () => {
  const frames = stack('libc.so.6', 'app', 'libdeep.so');
  attributeAllocation(frames);
  expect(frames.next().done).toBe(true);
  const asked: string[] = [];
  attributeAllocation(
    (function* () {
      for (const frame of stack('libc.so.6', 'app', 'libdeep.so')) {
        asked.push(frame.module);
        yield frame;
      }
    })(),
  );
  expect(asked).toEqual(['libc.so.6', 'app']);
});
