import { expect, test } from 'vitest';
import type { SnapshotMapping } from '../src/report/schema.js';
import { buildC } from './support/build.js';
import { needs, pythonPath } from './support/needs.js';
import { record } from './support/recorded.js';
import type { RecordedProcess } from './support/recorded-process.js';

const MIB = 1 << 20;

/** The target's own mappings of a size, each with the functions on its stack, leaf first. */
function mappingsOf(process: RecordedProcess, bytes: number): (SnapshotMapping & { functions: string[] })[] {
  const { mappings, stacks } = process.snapshot();
  return mappings
    .filter((mapping) => mapping.bytes === bytes && mapping.kind !== 'profiler')
    .map((mapping) => ({
      ...mapping,
      functions: (stacks[mapping.stack] ?? []).flatMap((frame) => frame.function ?? []),
    }));
}

test('fork: a child starts from what its parent held, with the parent’s stacks; exec starts anew', async () => {
  const { recorder, run } = await record(buildC('fork_tree'));
  using _ = recorder;
  expect(run.status).toBe(0);
  const pids = new Map(
    [...run.stdout.toString().matchAll(/^(\w+) pid=(\d+)/gm)].map(([, name, pid]) => [name!, Number(pid)]),
  );
  const held = (name: string, program = 0) => {
    const process = recorder.of(pids.get(name)!)[program]!;
    expect(process.recording.drain.lost).toEqual({ ringFull: 0, uncommitted: 0, overwritten: 0, damaged: 0 });
    expect(process.snapshot().completeness.degraded).toEqual([]);
    return mappingsOf(process, MIB);
  };

  // Four of the parent's, of which it has given one back; ten of the child's less five; the grandchild gave one of its
  // grandparent's back and mapped three.
  expect(held('parent')).toHaveLength(3);
  expect(held('child')).toHaveLength(4 + 5);
  expect(held('grandchild')).toHaveLength(4 + 5 - 1 + 3);
  expect(held('execing')).toHaveLength(4 + 1);
  expect(held('execed', 1)).toHaveLength(1);

  for (const name of ['parent', 'child', 'grandchild', 'execing']) {
    for (const mapping of held(name)) {
      expect(mapping).toMatchObject({ owner: 'fork_tree', kind: 'program', operation: 'mmap' });
      expect(mapping.functions).toEqual(expect.arrayContaining(['mmap', 'main']));
    }
  }
  // Each is still known by who mapped it.
  const mappers = held('grandchild').map(({ threadId }) => threadId);
  for (const [name, count] of [
    ['parent', 3],
    ['child', 5],
    ['grandchild', 3],
  ] as const) {
    expect(mappers.filter((pid) => pid === pids.get(name))).toHaveLength(count);
  }

  const header = (name: string, program = 0) => recorder.of(pids.get(name)!)[program]!.recording.header;
  expect(header('child').parentChannelId).toBe(header('parent').channelId);
  expect(header('grandchild').parentChannelId).toBe(header('child').channelId);
  expect(header('execing')).toMatchObject({ beginning: 'fork' });
  expect(header('execed', 1)).toMatchObject({ parentChannelId: null, beginning: 'exec' });
});

test('many forks at once: every child starts from its parent', async (context) => {
  needs(context, 'python');
  const program = `
import mmap, os, time
block = mmap.mmap(-1, 3 << 20)
children = []
for _ in range(20):
    pid = os.fork()
    if pid == 0:
        mmap.mmap(-1, 5 << 20)
        time.sleep(0.1)
        os._exit(0)
    children.append(pid)
for pid in children: os.waitpid(pid, 0)
`;
  const { recorder, run, main } = await record(pythonPath(), ['-c', program]);
  using _ = recorder;
  expect(run.status, run.stderr.toString()).toBe(0);
  const children = recorder.processes.filter((process) => process !== main);
  expect(children).toHaveLength(20);
  for (const child of children) {
    const [inherited] = mappingsOf(child, 3 * MIB);
    expect(inherited).toMatchObject({ operation: 'mmap', threadId: main.pid });
    expect(inherited!.stack).not.toBe(0);
  }
});

test('vfork and posix_spawn: what a borrower maps is its parent’s, which keeps it', async () => {
  const { recorder, run, main } = await record(buildC('vfork_spawn'), ['5']);
  using _ = recorder;
  expect(run.status).toBe(0);
  const [, address, bytes] = /^kept (0x[0-9a-f]+) (\d+)$/m.exec(run.stdout.toString())!;
  const kept = mappingsOf(main, Number(bytes));
  expect(kept.map(({ start }) => start)).toEqual([address]);
  expect(kept[0]!.functions).toContain('main');
  expect(main.calls.munmap).toMatchObject({ failed: 0 });
  // The rest are programs of their own: five by vfork, five by posix_spawn, and the shell that system() starts.
  const others = recorder.processes.filter((process) => process !== main);
  expect(others.length).toBeGreaterThanOrEqual(11);
  for (const { recording } of others) {
    expect(recording.header).toMatchObject({ parentChannelId: null, beginning: 'exec' });
  }
});

test('raw clone: a child that no fork() announced says that its inheritance has no stacks', async () => {
  const { recorder, run, main } = await record(buildC('raw_clone'));
  using _ = recorder;
  expect(run.status).toBe(0);
  // What shared the parent's memory recorded in the parent's channel; what didn't has its own.
  const children = recorder.processes.filter((process) => process !== main);
  expect(children).toHaveLength(2);
  expect(main.calls).toMatchObject({ mmap: { ok: 151, failed: 0 }, munmap: { ok: 150, failed: 0 } });
  for (const child of children) {
    expect(child.calls).toEqual({ mmap: { ok: 50, failed: 0 }, munmap: { ok: 50, failed: 0 } });
    expect(child.snapshot().completeness.degraded).toEqual([
      expect.stringMatching(/^forked without fork\(\)/),
    ]);
  }
});
