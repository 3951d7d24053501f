import { describe, expect, test } from 'vitest';
import { type AttributionFrame, attribute } from './attribution.js';
import { bareName, matches, PLUMBING_MODULES } from './plumbing.js';
import type { SiteFacts } from './site-table.js';

const LIBC = 'libc.so.6';

/** Frames as `function@module`, leaf first; `?` is a function without a name. */
function stack(...frames: string[]): AttributionFrame[] {
  return frames.map((text) => {
    const [name, module] = text.split('@') as [string, string];
    return {
      module,
      path: `/usr/lib/${module}`,
      isProgram: module === 'app' || module === 'python3.11',
      functionName: () => (name === '?' ? null : name),
    };
  });
}

function facts(fields: Partial<SiteFacts> = {}): SiteFacts {
  return {
    ...{ stack: 1, ancestor: 0, operation: 'mmap', enclosing: null, class: 'anonymous', stackArea: false },
    ...{ byProfiler: false, arenaBytes: 0, path: null, ...fields },
  };
}

const UCX_LEAK = [
  `syscall@${LIBC}`,
  'ucm_orig_mmap_syscall@libucm.so.0',
  'ucs_rcache_mp_chunk_alloc@libucs.so.0',
  'ucs_mpool_grow@libucs.so.0',
  'ucs_mpool_get_grow@libucs.so.0',
  'ucs_rcache_unmapped_callback@libucs.so.0',
  'ucm_event_dispatch@libucm.so.0',
  'ucm_munmap@libucm.so.0',
  'churn@app',
  `__libc_start_main@${LIBC}`,
];

describe('owner, caller and enclosing operation', () => {
  test('the UCX leak: mapped by libucs, called by libucm, inside a munmap', () => {
    expect(attribute(stack(...UCX_LEAK), facts())).toEqual({
      owner: 'libucs.so.0',
      path: '/usr/lib/libucs.so.0',
      kind: 'library',
      caller: 'libucm.so.0',
      enclosing: 'munmap',
    });
  });

  test('the same without names: the owner is known, the operation is not', () => {
    const nameless = UCX_LEAK.map((frame) => frame.replace(/^.*@/, '?@'));
    expect(attribute(stack(...nameless), facts())).toMatchObject({
      owner: 'libucs.so.0',
      caller: 'libucm.so.0',
      enclosing: null,
    });
  });

  test('the same from a wheel, whose libraries carry hashes, and out of malloc’s own munmap', () => {
    const frames = [
      ...UCX_LEAK.slice(0, 8).map((frame) => frame.replace(/@lib(uc.)\.so\.0$/, '@lib$1-f4d07dc2.so.0.0.0')),
      `munmap_chunk@${LIBC}`,
      `free@${LIBC}`,
      'churn@app',
    ];
    expect(attribute(stack(...frames), facts())).toMatchObject({
      owner: 'libucs-f4d07dc2.so.0.0.0',
      caller: 'libucm-f4d07dc2.so.0.0.0',
      enclosing: 'munmap',
    });
  });

  test("an application's mmap that libucm relays is the application's, inside nothing", () => {
    const frames = stack(
      `syscall@${LIBC}`,
      'ucm_orig_mmap_syscall@libucm.so.0',
      'ucm_mmap@libucm.so.0',
      'main@app',
    );
    expect(attribute(frames, facts())).toMatchObject({
      owner: 'app',
      kind: 'program',
      caller: 'libucm.so.0',
      enclosing: null,
    });
  });

  test('a library that maps inside its own munmap hook', () => {
    const frames = stack(`syscall@${LIBC}`, 'note@libnested.so', 'munmap@libnested.so', 'main@app');
    expect(attribute(frames, facts())).toMatchObject({ owner: 'libnested.so', enclosing: 'munmap' });
  });

  test.each([
    ['mmap64', 'mmap'],
    ['ucm_override_mremap', 'mremap'],
    ['__munmap@@GLIBC_2.2.5', 'munmap'],
    ['madvise', 'madvise'],
    ['ucm_shmdt', 'shmdt'],
    ['shmat', 'shmat'],
    ['ucm_brk', 'brk'],
    ['__sbrk', 'brk'],
    ['free', 'munmap'],
  ])('below %s the enclosing operation is %s', (name, operation) => {
    const frames = stack(`syscall@${LIBC}`, 'hook@libx.so', '?@libucm.so.0', 'main@app');
    frames[2]!.functionName = () => name;
    expect(attribute(frames, facts()).enclosing).toBe(operation);
  });

  test('outside plumbing only the exact name counts', () => {
    for (const name of ['_free', 'ucm_munmap', 'free_all', 'Munmap']) {
      expect(attribute(stack(`mmap@${LIBC}`, 'f@libx.so', `${name}@app`), facts()).enclosing).toBeNull();
    }
  });

  test("the event's own enclosing operation, of a signal handler, goes first", () => {
    expect(attribute(stack(...UCX_LEAK), facts({ enclosing: 'mremap' })).enclosing).toBe('mremap');
  });
});

describe('caller', () => {
  test.each([
    [['?@libc.so.6', 'f@libx.so'], 'libx.so'],
    [['mmap64@libc.so.6', 'f@libx.so'], 'libx.so'],
    [['brk@libc.so.6', 'sbrk@libc.so.6', 'f@libx.so'], 'libx.so'],
    [['mmap64@libc.so.6', 'sysmalloc@libc.so.6', 'malloc@libc.so.6', 'f@libx.so'], LIBC],
    [['?@libc.so.6', '?@libc.so.6', 'f@libx.so'], LIBC],
    [['sysmalloc@libc.so.6', 'f@libx.so'], LIBC],
    [['mmap@ld-linux-x86-64.so.2', '_dl_map_segments@ld-linux-x86-64.so.2', 'f@app'], 'ld-linux-x86-64.so.2'],
    [['inline@libucm.so.0', 'f@app'], 'libucm.so.0'],
    [['mmap64@libc.so.6'], LIBC],
  ])('of %j is %s', (frames, caller) => {
    expect(attribute(stack(...frames), facts()).caller).toBe(caller);
  });
});

describe('plumbing', () => {
  test.each([
    ['libc.so.6', true],
    ['libc-2.31.so', true],
    ['ld-linux-x86-64.so.2', true],
    ['libpthread-2.31.so', true],
    ['libdl.so.2', true],
    ['libgcc_s.so.1', true],
    ['libstdc++.so.6', true],
    ['libucm.so.0', true],
    ['libucm_cuda.so.0', true],
    ['linux-vdso.so.1', true],
    ['[vdso]', true],
    ['liboffheap.so', true],
    ['libucs.so.0', false],
    ['libcuda.so.1', false],
    ['libcrypto.so.3', false],
    ['libcap.so.2', false],
    ['app', false],
  ])('%s: %s', (module, expected) => {
    expect(matches(PLUMBING_MODULES, module)).toBe(expected);
  });

  test('alone on the stack makes the caller the owner', () => {
    const frames = stack(
      'mmap@ld-linux-x86-64.so.2',
      '_dl_map_object@ld-linux-x86-64.so.2',
      '_dl_start@ld-linux-x86-64.so.2',
    );
    expect(attribute(frames, facts())).toMatchObject({ owner: 'ld-linux-x86-64.so.2', kind: 'library' });
  });

  test('dlopen is whoever called it', () => {
    const frames = stack(
      'mmap@ld-linux-x86-64.so.2',
      '_dl_open@ld-linux-x86-64.so.2',
      `dlopen@${LIBC}`,
      'load@libplug.so',
      'main@app',
    );
    expect(attribute(frames, facts())).toMatchObject({ owner: 'libplug.so', kind: 'library' });
  });

  test('names lose version, underscores and relay prefix', () => {
    expect(
      ['__munmap@@GLIBC_2.2.5', 'ucm_override_munmap', '__libc_malloc', '_int_free'].map(bareName),
    ).toEqual(['munmap', 'munmap', 'libc_malloc', 'int_free']);
  });
});

describe('allocators own what they map', () => {
  test.each([
    [['mmap64@libc.so.6', 'sysmalloc@libc.so.6', '_int_malloc@libc.so.6', 'malloc@libc.so.6', 'f@libx.so']],
    [['?@libc.so.6', '?@libc.so.6', '?@libc.so.6', 'malloc@libc.so.6', 'f@libx.so']],
    [['brk@libc.so.6', 'sbrk@libc.so.6', '__glibc_morecore@libc.so.6', 'calloc@libc.so.6', 'f@libx.so']],
    [
      [
        'mmap64@libc.so.6',
        'new_heap@libc.so.6',
        'arena_get2@libc.so.6',
        'tcache_init@libc.so.6',
        'f@libx.so',
      ],
    ],
    [['mremap@libc.so.6', 'mremap_chunk@libc.so.6', 'realloc@libc.so.6', 'f@libx.so']],
    [['mmap64@libc.so.6', 'posix_memalign@libc.so.6', 'f@libx.so']],
    [['syscall@libc.so.6', 'ucm_mmap@libucm.so.0', '?@libc.so.6', 'malloc@libc.so.6', 'f@libx.so']],
    [['mmap64@libc.so.6', '__libc_malloc@libc.so.6', '_Znwm@libstdc++.so.6', 'f@libx.so']],
  ])('libc: %j', (frames) => {
    expect(attribute(stack(...frames), facts())).toMatchObject({
      owner: LIBC,
      kind: 'allocator',
      enclosing: null,
    });
  });

  test('libc without names cannot be told from the application that called it', () => {
    const frames = stack('?@libc.so.6', '?@libc.so.6', '?@libc.so.6', 'f@libx.so');
    expect(attribute(frames, facts())).toMatchObject({ owner: 'libx.so', kind: 'library' });
  });

  test.each(['libjemalloc.so.2', 'libtcmalloc_minimal.so.4', 'libmimalloc.so.2.0', 'libhoard.so'])(
    '%s',
    (module) => {
      const frames = stack(
        `mmap64@${LIBC}`,
        `pages_map@${module}`,
        `malloc@${module}`,
        `free@${module}`,
        'main@app',
      );
      expect(attribute(frames, facts())).toMatchObject({ owner: module, kind: 'allocator', enclosing: null });
    },
  );

  test.each(['python3.11', 'libpython3.12.so.1.0'])(
    'CPython arenas by name and, stripped, by size: %s',
    (module) => {
      const named = stack(`mmap64@${LIBC}`, `_PyObject_ArenaMmap@${module}`, `new_arena@${module}`);
      expect(attribute(named, facts())).toMatchObject({ owner: module, kind: 'allocator' });
      const renamed = stack(`mmap64@${LIBC}`, `_PyMem_ArenaAlloc@${module}`);
      expect(attribute(renamed, facts())).toMatchObject({ kind: 'allocator' });
      const stripped = stack('?@libc.so.6', `?@${module}`, `?@${module}`);
      expect(attribute(stripped, facts({ arenaBytes: 1_048_576 }))).toMatchObject({
        owner: module,
        kind: 'allocator',
      });
      expect(attribute(stripped, facts()).kind).not.toBe('allocator');
      const relayed = stack('syscall@libc.so.6', '?@libucm.so.0', `?@${module}`);
      expect(attribute(relayed, facts({ arenaBytes: 262_144 }))).toMatchObject({
        owner: module,
        kind: 'allocator',
      });
      const throughLibc = stack('?@libc.so.6', '?@libc.so.6', `?@${module}`);
      expect(attribute(throughLibc, facts({ arenaBytes: 262_144 })).kind).not.toBe('allocator');
      const shared = facts({ arenaBytes: 262_144, class: 'shared' });
      expect(attribute(stripped, shared).kind).not.toBe('allocator');
    },
  );
});

describe('stacks of threads', () => {
  const created = (names: boolean) =>
    stack(
      names ? 'mmap64@libc.so.6' : '?@libc.so.6',
      names ? 'pthread_create@@GLIBC_2.34' : '?@libc.so.6',
      '_ZNSt6thread15_M_start_threadE@libstdc++.so.6',
      'spawn@libpool.so',
      'main@app',
    );

  test.each([true, false])("belong to the thread's creator, names known: %s", (names) => {
    const frames = created(names);
    if (names) frames[1] = { ...frames[1]!, module: LIBC, functionName: () => 'pthread_create@@GLIBC_2.34' };
    expect(attribute(frames, facts({ stackArea: true }))).toMatchObject({
      owner: 'libpool.so',
      kind: 'stack',
    });
  });

  test('are relayed by libucm like everything', () => {
    const frames = stack('syscall@libc.so.6', 'ucm_mmap@libucm.so.0', '?@libc.so.6', 'main@app');
    expect(attribute(frames, facts({ stackArea: true }))).toMatchObject({ owner: 'app', kind: 'stack' });
  });

  test('are told from coroutine stacks, which a library maps itself', () => {
    const frames = stack('mmap64@libc.so.6', 'coro_new@libcoro.so', 'main@app');
    expect(attribute(frames, facts({ stackArea: true }))).toMatchObject({
      owner: 'libcoro.so',
      kind: 'library',
    });
  });
});

describe('seeds and events without a stack', () => {
  const seed = (path: string | null, more: Partial<SiteFacts> = {}, forked = false) =>
    attribute([], facts({ operation: 'seed', stack: 0, path, ...more }), { programPath: '/opt/app', forked });

  test.each([
    ['[stack]', 'main stack', 'stack'],
    ['[heap]', 'libc.so.6', 'allocator'],
    ['[vdso]', '[vdso]', 'kernel'],
    ['[vvar]', '[vvar]', 'kernel'],
    ['/usr/lib/libx.so.1', 'libx.so.1', 'library'],
    ['/opt/app', 'app', 'program'],
    ['/opt/lib/liboffheap.so', 'offheap', 'profiler'],
    [null, 'ld.so', 'library'],
    ['[anon: x]', 'ld.so', 'library'],
  ])('%s belongs to %s, %s', (path, owner, kind) => {
    expect(seed(path)).toMatchObject({ owner, kind, caller: null, enclosing: null });
  });

  test('nameless memory that a fork inherited unseen may be anybody’s', () => {
    expect(seed(null, {}, true)).toMatchObject({ owner: 'before start', kind: 'unexplained' });
  });

  test('shared memory from before the start has no known owner, whatever maps calls it', () => {
    expect(seed('/SYSV00000000 (deleted)', { class: 'shared' })).toMatchObject({ owner: 'before start' });
  });

  test("the shim's own memory is the profiler's, seed or not", () => {
    for (const operation of ['mmap', 'seed'] as const) {
      const found = attribute(stack('?@libx.so'), facts({ operation, byProfiler: true }));
      expect(found).toMatchObject({ owner: 'offheap', kind: 'profiler' });
    }
  });

  test('an event without a stack is unexplained', () => {
    expect(attribute([], facts())).toEqual({
      owner: 'no stack',
      path: null,
      kind: 'unexplained',
      caller: null,
      enclosing: null,
    });
  });
});
