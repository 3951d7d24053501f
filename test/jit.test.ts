// The names of code that an engine makes while it runs, in the stacks of real engines.
import { rmSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import type { Snapshot, SnapshotFrame } from '../src/report/schema.js';
import { attach } from '../src/session/attach.js';
import type { Session } from '../src/session/session.js';
import { channelFolder, preloaded } from './support/offheap.js';
import { TARGET_SOURCES } from './support/paths.js';
import { Running } from './support/running.js';

const MIB = 1 << 20;

interface Engine {
  running: Running;
  session: Session;
}

/** Runs an engine under the shim until it says READY, and attaches to it. Its perf map is gone after the test. */
async function engine(command: string, args: readonly string[]): Promise<Engine> {
  const dir = channelFolder();
  const running = new Running(command, args, { env: preloaded(dir) });
  const [, pid] = await running.line(/^READY (\d+)$/);
  onTestFinished(() => rmSync(`/tmp/perf-${pid}.map`, { force: true }));
  const session = await attach(Number(pid), { dir });
  onTestFinished(() => session.close());
  return { running, session };
}

/** The stack by which a mapping of just over `bytes` was made, leaf first. */
function stackOf(snapshot: Snapshot, bytes: number): SnapshotFrame[] {
  const mapping = snapshot.mappings.find((each) => each.bytes >= bytes && each.bytes < bytes + MIB);
  if (mapping === undefined) throw new Error(`nothing of ${bytes} bytes was mapped`);
  return snapshot.stacks[mapping.stack] ?? [];
}

/** "function file:line" of the frames of a language. */
function said(stack: readonly SnapshotFrame[], language: SnapshotFrame['language']): string[] {
  return stack
    .filter((frame) => frame.language === language)
    .map(({ function: name, file, line }) => `${name} ${file}:${line}`);
}

const NODE_TARGET = `${TARGET_SOURCES}/jit_node.js`;

test.each([
  ['interpreted', []],
  ['compiled', ['20000']],
])(
  'Node: %s JavaScript functions by name, file and line, between the frames of Node’s own',
  async (_, args) => {
    const flags = ['--perf-basic-prof', '--interpreted-frames-native-stack', '--no-turbo-inlining'];
    const { session } = await engine(process.execPath, [...flags, NODE_TARGET, ...args]);
    const stack = stackOf(session.snapshot(), 64 * MIB);
    expect(said(stack, 'javascript').filter((each) => !each.includes(' node:'))).toEqual([
      `grow ${NODE_TARGET}:6`,
      `fill ${NODE_TARGET}:11`,
      `handle ${NODE_TARGET}:17`,
      `main ${NODE_TARGET}:24`,
      `(top level) ${NODE_TARGET}:1`,
    ]);
    // Leaf, root, and nothing without a name between but what a stripped libc doesn't tell.
    expect(stack.at(0)?.function).toBe('mmap');
    expect(stack.at(-1)?.function).toBe('_start');
    const nameless = stack.filter((frame) => frame.function === null && frame.module !== 'libc.so.6');
    expect(nameless).toEqual([]);
    const folded = await session.flamegraph({ format: 'folded' });
    expect(folded).toMatch(/;main;handle;fill;grow;[^\n]*;mmap 6[78]\d{6}$/m);
  },
);
