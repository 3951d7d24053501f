import { describe, expect, test } from 'vitest';
import { buildC } from './build.js';
import { needs } from './needs.js';
import { straceRun } from './strace.js';
import { countCalls, parseStrace } from './strace-parse.js';

describe('parseStrace', () => {
  const text = [
    '10 execve("/bin/x", ["x"], 0x7ffd /* 3 vars */) = 0',
    '10 mmap(NULL, 8192, 0x3, 0x22, -1, 0) = 0x7f0000000000',
    '10 madvise(NULL, 0, 0x6f6666)        = -1 EINVAL (Invalid argument)',
    '10 munmap(0x1, 4096)                 = -1 EINVAL (Invalid argument)',
    '10 clone3({flags=0x3d0f00, stack=0x7f, stack_size=0x3ff80} <unfinished ...>',
    '11 munmap(0x7f0000000000, 8192 <unfinished ...>',
    '10 <... clone3 resumed> => {parent_tid=[11]}, 88) = 11',
    '11 <... munmap resumed>)              = 0',
    '10 clone(child_stack=NULL, flags=0x1200000|17, child_tidptr=0x7f8f23eeca10) = 12',
    '12 mmap(NULL, 4096, 0x3, 0x22, -1, 0) = 0x7f0000001000',
    '12 execve("/bin/y", ["y"], 0x7ffd /* 3 vars */) = 0',
    '12 brk(NULL)                          = 0x555500000000',
    '11 mmap(NULL, 4096, 0x3, 0x22, -1, 0 <unfinished ...>',
    '10 vfork( <unfinished ...>',
    '13 madvise(0x1000, 4096, 0x4)         = 0',
    '13 +++ exited with 0 +++',
    '10 <... vfork resumed>)               = 13',
    '11 <... mmap resumed>)                = ?',
    '10 +++ killed by SIGKILL +++',
  ].join('\n');

  test('joins the halves of calls, gives threads to their process, counts from the marker on', () => {
    const [main] = parseStrace(text);
    expect(main).toMatchObject({ processId: 10, execs: 1, marked: true, parentProcessId: null });
    expect(countCalls(main!.calls)).toEqual({
      munmap: { ok: 1, failed: 1, unfinished: 0 },
      mmap: { ok: 0, failed: 0, unfinished: 1 },
    });
    expect(countCalls(main!.callsBeforeMarker)).toEqual({ mmap: { ok: 1, failed: 0, unfinished: 0 } });
    expect(main!.calls[1]).toMatchObject({ threadId: 11, args: '0x7f0000000000, 8192', result: '0' });
  });

  test('keeps forked, exec’ed and memory-sharing images apart', () => {
    const [, forked, execed, borrowed] = parseStrace(text);
    expect(forked).toMatchObject({ processId: 12, execs: 0, marked: true, sharesParentMemory: false });
    expect(countCalls(forked!.calls).mmap?.ok).toBe(1);
    expect(execed).toMatchObject({ processId: 12, execs: 1, marked: false, calls: [] });
    expect(countCalls(execed!.callsBeforeMarker).brk?.ok).toBe(1);
    expect(borrowed).toMatchObject({ processId: 13, parentProcessId: 10, sharesParentMemory: true });
  });

  test('follows an exec by a thread that is not the first', () => {
    const images = parseStrace(
      [
        '10 execve("/bin/x", ["x"], 0x7ffd /* 3 vars */) = 0',
        '10 clone3({flags=0x3d0f00} => {parent_tid=[11]}, 88) = 11',
        '11 execve("/bin/y", ["y"], 0x7ffd /* 3 vars */ <unfinished ...>',
        '10 +++ superseded by execve in pid 11 +++',
        '10 <... execve resumed>)              = 0',
        '10 brk(NULL)                          = 0x555500000000',
      ].join('\n'),
      null,
    );
    expect(images.map(({ processId, execs, calls }) => [processId, execs, calls.length])).toEqual([
      [10, 1, 0],
      [10, 2, 1],
    ]);
  });

  test('refuses a line that it does not understand', () => {
    expect(() => parseStrace('10 mmap(NULL, 4096')).toThrow(/not understood/);
    expect(() => parseStrace('10 <... mmap resumed>) = 0')).toThrow(/without its beginning/);
  });
});

test('a real program: as many calls of each kind as it says itself', async (context) => {
  needs(context, 'strace');
  const run = await straceRun(buildC('every_path'), [], { marker: null });
  expect(run.status).toBe(0);
  expect(run.images).toHaveLength(1);
  const counts = countCalls(run.images[0]!.calls);
  const own = [...run.stdout.matchAll(/^count (\w+) (\d+)$/gm)].map(
    ([, name, n]) => [name!, Number(n)] as const,
  );
  expect(own).toHaveLength(11);
  for (const [name, times] of own) {
    // The loader and libc's start-up make some of their own before main.
    const beyond = (counts[name]?.ok ?? 0) + (counts[name]?.failed ?? 0) - times;
    expect(beyond, name).toBeGreaterThanOrEqual(0);
    if (!['mmap', 'munmap', 'brk', 'mprotect'].includes(name)) expect(beyond, name).toBe(0);
  }
});

test('a real tree of processes: each with the calls that it says it made', async (context) => {
  needs(context, 'strace');
  const run = await straceRun(buildC('fork_tree'), [], { marker: null });
  for (const [, name, pid, maps, unmaps] of run.stdout.matchAll(
    /^(\w+) pid=(\d+) maps=(\d+) unmaps=(\d+)$/gm,
  )) {
    if (name === 'parent' || name === 'execed') continue; // a loader's calls are among theirs
    const image = run.images.find((image) => image.processId === Number(pid) && image.execs === 0);
    expect(countCalls(image!.calls).mmap?.ok ?? 0, name).toBe(Number(maps));
    expect(countCalls(image!.calls).munmap?.ok ?? 0, name).toBe(Number(unmaps));
  }
  expect(run.images.map((image) => image.execs)).toEqual([1, 0, 0, 0, 1]);
});
