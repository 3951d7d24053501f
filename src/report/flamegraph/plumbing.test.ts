import { expect, test } from 'vitest';
import { onlyFrames } from '../frame-filter.js';
import { sampleSnapshot } from '../sample.js';
import type { Snapshot, SnapshotFrame } from '../schema.js';
import { renderFlamegraph } from './flamegraph.js';

type Language = SnapshotFrame['language'];

/** Frames from lines such as `grow python app.py:3` and `PyEval native libpython3.12.so.1.0`, root first. */
function framesOf(lines: readonly string[]): SnapshotFrame[] {
  return lines
    .map((line): SnapshotFrame => {
      const [name = '', language, place = ''] = line.split(' ');
      const isNative = language === 'native';
      const [, file = null, number] = /^(.*):(\d+)$/.exec(place) ?? [];
      return {
        module: isNative ? place : '[anon]',
        function: name === '?' ? null : name,
        file: isNative ? null : file,
        line: isNative ? null : Number(number),
        ...{ inlined: false, language: language as Language, address: '0x10', fileAddress: '0x10' },
      };
    })
    .reverse();
}

/** A snapshot whose mappings, of 1000 bytes each, were made by these stacks. */
function snapshotOf(owner: string, ...stacks: string[][]): Snapshot {
  const snapshot = sampleSnapshot(1);
  const [like] = snapshot.mappings;
  snapshot.stacks = Object.fromEntries(stacks.map((lines, index) => [index + 1, framesOf(lines)]));
  snapshot.mappings = stacks.map((_, index) => ({
    ...like!,
    ...{ stack: index + 1, owner, kind: 'library', enclosing: null, bytes: 1000 },
  }));
  return snapshot;
}

const folded = (snapshot: Snapshot, options = {}) =>
  renderFlamegraph(snapshot, { format: 'folded', foldPlumbing: true, ...options })
    .trim()
    .split('\n')
    .map((line) => line.slice(line.indexOf(';') + 1));

const PYTHON = [
  '_start native python3.12',
  '__libc_start_main native libc.so.6',
  '? native libc.so.6',
  'Py_RunMain native libpython3.12.so.1.0',
  'main python app.py:9',
];

test('Python: C frames between its functions fold, what a function calls in the end does not', () => {
  const direct = [...PYTHON, '_PyEval_EvalFrameDefault native libpython3.12.so.1.0', 'grow python app.py:3'];
  const byMethod = [...PYTHON, 'method_vectorcall native libpython3.12.so.1.0', 'grow python app.py:3'];
  const end = ['list_resize native libpython3.12.so.1.0', 'realloc native libc.so.6', '? native libc.so.6'];
  expect(folded(snapshotOf('libpython3.12.so.1.0', [...direct, ...end], [...byMethod, ...end]))).toEqual([
    '⋯ libc.so.6, libpython3.12.so.1.0, python3.12;main;⋯ libpython3.12.so.1.0;grow;list_resize;⋯ libc.so.6 2000',
  ]);
});

test('Node: V8’s builtins and Node’s own modules fold between a script’s functions', () => {
  const stack = [
    'node::Start native node',
    'v8::Invoke native node',
    'Builtins_JSEntry native node',
    'load javascript node:internal/modules:12',
    'main javascript /srv/app.mjs:9',
    'Builtins_InterpreterEntryTrampoline native node',
    'grow javascript /srv/app.mjs:3',
    'Builtins_ConstructHandler native node',
    'alloc javascript node:buffer:4',
    'v8::AllocateBackingStore native node',
    'operator_new native libstdc++.so.6',
  ];
  expect(folded(snapshotOf('node', stack))).toEqual([
    '⋯ node;main;⋯ node;grow;⋯ node;alloc;v8::AllocateBackingStore;operator_new 1000',
  ]);
});

test('Java: the virtual machine and its stubs fold around compiled functions', () => {
  const stack = [
    'JavaMain native libjli.so',
    'JavaCalls::call native libjvm.so',
    'StubRoutines native [anon]',
    'J.main java J.java:9',
    'Interpreter native [anon]',
    'J.grow java J.java:3',
    'Unsafe_AllocateMemory0 native libjvm.so',
  ];
  expect(folded(snapshotOf('libjvm.so', stack))).toEqual([
    '⋯ libjli.so, libjvm.so;J.main;⋯ made at run time;J.grow;Unsafe_AllocateMemory0 1000',
  ]);
});

test('native code: runs of the C library fold; an allocator’s own frames, and a lone one, stay', () => {
  const start = [
    '_start native app',
    '__libc_start_main native libc.so.6',
    '? native libc.so.6',
    'main native app',
  ];
  const snapshot = snapshotOf('libc.so.6', [...start, 'malloc native libc.so.6', 'mmap native libc.so.6']);
  snapshot.mappings[0]!.kind = 'allocator';
  expect(folded(snapshot)).toEqual(['_start;⋯ libc.so.6;main;malloc;mmap 1000']);
  expect(folded(snapshotOf('libx.so', [...start, 'grow native libx.so', 'mmap native libc.so.6']))).toEqual([
    '_start;⋯ libc.so.6;main;grow;mmap 1000',
  ]);
  // UCX's relays are plumbing too, but how a mapping came about.
  const ucx = [...start, 'ucm_munmap native libucm.so.0', 'ucm_event_dispatch native libucm.so.0'];
  expect(folded(snapshotOf('libx.so', ucx))).toEqual([
    '_start;⋯ libc.so.6;main;ucm_munmap;ucm_event_dispatch 1000',
  ]);
});

test('the page has both pictures and begins folded; other formats fold when asked', () => {
  const snapshot = snapshotOf('libx.so', [...PYTHON, 'grow native libx.so']);
  const page = renderFlamegraph(snapshot, { format: 'html' });
  const [first = '', second = ''] = page.split('<svg class="flame"').slice(1);
  expect(first).toContain('⋯ libc.so.6, libpython3.12.so.1.0, python3.12');
  expect(first).toContain('folded: _start, __libc_start_main, libc.so.6+0x10, Py_RunMain');
  expect(second).toContain('style="display:none"');
  expect(second).toContain('>Py_RunMain<');
  expect(page).toContain('id="flame-fold"');
  const flat = renderFlamegraph(snapshot, { format: 'html', foldPlumbing: false });
  expect(flat).not.toContain('⋯');
  expect(renderFlamegraph(snapshot, { format: 'svg' })).not.toContain('⋯');
  expect(renderFlamegraph(snapshot, { format: 'svg', foldPlumbing: true })).toContain('⋯');
});

test('one language alone: the others’ frames are gone, the bytes are not', () => {
  const mixed = [...PYTHON, 'grow python app.py:3', 'list_resize native libpython3.12.so.1.0'];
  const snapshot = snapshotOf('libx.so', mixed, ['main native app']);
  expect(folded(snapshot, { only: 'python', foldPlumbing: false })).toEqual([
    '[no Python frames];libx.so 1000',
    'main;grow 1000',
  ]);
  expect(folded(snapshot, { only: 'native', foldPlumbing: false })).toEqual([
    '_start;__libc_start_main;libc.so.6+0x10;Py_RunMain;list_resize 1000',
    'main 1000',
  ]);
  expect(onlyFrames(snapshot, 'python').stacks).toEqual({
    1: framesOf(['main python app.py:9', 'grow python app.py:3']),
    2: [],
  });
  expect(onlyFrames(snapshot, undefined)).toBe(snapshot);
});
