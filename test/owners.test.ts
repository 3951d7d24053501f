import { expect, test } from 'vitest';
import type { OwnerKind } from '../src/report/schema.js';
import { buildC, buildGo, buildJava, buildRust, buildSharedC } from './support/build.js';
import { libraryPath, type Need, needs, pythonPath } from './support/needs.js';
import { TARGET_SOURCES } from './support/paths.js';
import { record } from './support/recorded.js';

/** Whose memory a program's is: an owner that must hold most of what the program says it kept, and some beside it. */
interface Case {
  needs?: Need[];
  command: () => string[];
  preload?: () => string[];
  /** Rows that must be there. */
  owners: { kind: OwnerKind; name: RegExp }[];
}

const churn = (): string[] => [buildC('malloc_churn')];
const threadStacks = { kind: 'stack', name: /^malloc_churn$/ } as const;

const cases: Record<string, Case> = {
  'glibc’s malloc, and thread stacks by who made the threads': {
    command: churn,
    owners: [{ kind: 'allocator', name: /^libc\.so\.6$/ }, threadStacks],
  },
  jemalloc: {
    needs: ['jemalloc'],
    command: churn,
    preload: () => [libraryPath('libjemalloc.so.2')!],
    owners: [{ kind: 'allocator', name: /^libjemalloc\.so\.2$/ }, threadStacks],
  },
  tcmalloc: {
    needs: ['tcmalloc'],
    command: churn,
    preload: () => [libraryPath('libtcmalloc_minimal.so.4')!],
    owners: [{ kind: 'allocator', name: /^libtcmalloc_minimal\.so\.4$/ }, threadStacks],
  },
  mimalloc: {
    needs: ['mimalloc'],
    command: churn,
    preload: () => [libraryPath('libmimalloc.so.2')!],
    owners: [{ kind: 'allocator', name: /^libmimalloc\.so\.2$/ }, threadStacks],
  },
  'CPython’s arenas': {
    needs: ['python'],
    command: () => [pythonPath(), `${TARGET_SOURCES}/python_churn.py`],
    owners: [
      { kind: 'allocator', name: /^(lib)?python3/ },
      { kind: 'allocator', name: /^libc\.so\.6$/ },
      { kind: 'stack', name: /^(lib)?python3/ },
    ],
  },
  'a library’s own system calls': {
    command: () => [buildC('inline_syscall'), buildSharedC('libinline')],
    owners: [{ kind: 'library', name: /^libinline\.so$/ }],
  },
  'Go’s heap': {
    needs: ['go'],
    command: () => [buildGo()],
    owners: [{ kind: 'program', name: /^go-churn$/ }],
  },
  'Rust’s vectors': {
    needs: ['rust'],
    command: () => [buildRust()],
    owners: [{ kind: 'allocator', name: /^libc\.so\.6$/ }],
  },
  'Java’s heap': {
    needs: ['java'],
    command: () => ['java', '-Xmx128m', '-cp', buildJava(), 'Churn'],
    owners: [
      { kind: 'library', name: /^libjvm\.so$/ },
      { kind: 'stack', name: /^libjvm\.so$/ },
    ],
  },
  Node: {
    command: () => [process.execPath, `${TARGET_SOURCES}/node_churn.mjs`],
    owners: [
      { kind: 'allocator', name: /^libc\.so\.6$/ },
      { kind: 'stack', name: /^node$/ },
    ],
  },
};

test.for(Object.entries(cases))('%s', async ([, { needs: needed = [], ...each }], context) => {
  needs(context, ...needed);
  const [command, ...args] = each.command();
  const env = { OFFHEAP_SCAN: 'libinline' };
  const { recorder, run, main } = await record(command!, args, { env, preload: each.preload?.() ?? [] });
  using _ = recorder;
  expect(run.status, run.stderr.toString()).toBe(0);
  const { owners, completeness } = main.snapshot();
  expect(completeness.unexplainedBytes).toBe(0);
  expect(owners.filter(({ kind }) => kind === 'unexplained')).toEqual([]);
  for (const { kind, name } of each.owners) {
    const rows = owners.filter((owner) => owner.kind === kind && name.test(owner.owner));
    expect(rows, `${kind} ${name} among ${owners.map((row) => `${row.kind} ${row.owner}`)}`).toHaveLength(1);
    expect(rows[0]!.bytes).toBeGreaterThan(0);
  }
});

test('what a program keeps stands under its name, to the byte', async () => {
  const { recorder, run, main } = await record(buildC('inline_syscall'), [buildSharedC('libinline'), '100'], {
    env: { OFFHEAP_SCAN: 'libinline' },
  });
  using _ = recorder;
  const keptBytes = Number(/kept_bytes (\d+)/.exec(run.stdout.toString())![1]);
  const { mappings } = main.snapshot();
  const own = mappings.filter(({ owner, operation }) => owner === 'libinline.so' && operation === 'mmap');
  // Beside the library's own bss, which ld.so maps for it.
  const kept = own.filter(({ bytes }) => bytes === 64 << 10);
  expect(kept.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(keptBytes);
  expect(keptBytes).toBeGreaterThan(0);
});
