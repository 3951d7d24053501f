import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Snapshot, SnapshotFrame } from '../src/report/schema.js';
import { buildCxx, buildRust } from './support/build.js';
import { needs } from './support/needs.js';
import { channelFolder, offheap, scratchFolder, snapshotOf, startOffheap } from './support/offheap.js';
import { TARGET_SOURCES } from './support/paths.js';
import { type Any, expectWhole, PROGRAM_ROOT } from './support/whole-stack.js';

const MAPPED_BYTES = 3 << 20;

/** A snapshot by the command line of a program that waits for a line behind its READY. */
async function snapshotWhileReady(program: string): Promise<Snapshot> {
  const directory = channelFolder();
  const running = startOffheap(['run', '--quiet', '--dir', directory, '--', program]);
  await running.line(/^READY$/);
  const { stdout } = await offheap(['ps', '--json', '--dir', directory]);
  const [{ pid }] = JSON.parse(stdout) as [{ pid: number }];
  const snapshot = await snapshotOf(pid, directory);
  expect((await running.end('\n')).status).toBe(0);
  return snapshot;
}

/** The one stack that mapped 3 MiB. */
function stackOf({ mappings, stacks }: Snapshot): SnapshotFrame[] {
  const [mapping] = mappings.filter(({ bytes }) => bytes === MAPPED_BYTES);
  return stacks[mapping!.stack]!;
}

const brief = ({ function: name, file, line, inlined }: SnapshotFrame) => ({ name, file, line, inlined });

const placed = ({ function: name, file, line, inlined }: SnapshotFrame) =>
  `${inlined ? 'inlined ' : ''}${name} ${file}:${line}`;

/** What frames of a source should say; its lines are those that end in "at: NAME". */
function expectedFrames(file: string, rows: [name: string, place: string, inlined: boolean][]) {
  const lines = readFileSync(file, 'utf8').split('\n');
  const lineOf = (place: string) => 1 + lines.findIndex((line) => line.endsWith(` at: ${place}`));
  return rows.map(([name, place, inlined]) => ({ name, file, line: lineOf(place), inlined }));
}

test('C++: templates that were inlined, a lambda among them, leaf to root', async (context) => {
  needs(context, 'libbacktrace');
  const snapshot = await snapshotWhileReady(buildCxx('inlined_templates'));
  const stack = stackOf(snapshot);
  const own = stack.filter(({ module }) => module === 'inlined_templates');
  const source = join(TARGET_SOURCES, 'inlined_templates.cc');
  expect(own.map(brief)).toEqual([
    ...expectedFrames(source, [
      ['shop::Pool<long>::grow', 'grow', true],
      ['shop::fill<long, 3145728ul>', 'fill', true],
      ['shop::Shop::open::{lambda(auto:1)#1}::operator()<void (*)(shop::Pool<long>&)>', 'open', true],
      ['shop::Shop::open', 'open', false],
      ['main', 'main', false],
    ]),
    { name: '_start', file: null, line: null, inlined: false },
  ]);
  expectWhole(stack, ['mmap libc.so.6', ...own.slice(0, -1).map(placed), ...PROGRAM_ROOT]);
  // One address, four functions: they stand together.
  expect(new Set(own.slice(0, 4).map(({ address }) => address)).size).toBe(1);
  expect(snapshot.completeness.degraded).toEqual([]);
});

/** What the standard library's functions call each other by, inlined or not, differs from release to release. */
const RUST_INLINED: Any = { any: /inlined .+ \/rustc\/\w+\/library\/(core|std)\/src\/\S+\.rs:\d+/ };
const rust = (name: RegExp, file: string) =>
  new RegExp(`${name.source} /rustc/\\w+/library/std/src/${file}\\.rs:\\d+`);

test('Rust: generic functions that were inlined, leaf to root', async (context) => {
  needs(context, 'libbacktrace', 'rust');
  const snapshot = await snapshotWhileReady(buildRust('inlined', { flags: ['-g'] }));
  const stack = stackOf(snapshot);
  const own = stack.filter(({ module }) => module === 'rust-inlined');
  const source = join(TARGET_SOURCES, 'rust', 'inlined.rs');
  expect(own.slice(0, 4).map(brief)).toEqual(
    expectedFrames(source, [
      ['inlined::Pool<T>::grow', 'grow', true],
      ['inlined::fill', 'fill', true],
      ['inlined::open', 'open', false],
      ['inlined::main', 'main', false],
    ]),
  );
  // The standard library's own frames have lines too.
  expectWhole(stack, [
    'mmap libc.so.6',
    ...own.slice(0, 4).map(placed),
    RUST_INLINED,
    rust(/std::sys(_common)?::backtrace::__rust_begin_short_backtrace/, 'sys(_common)?/backtrace'),
    RUST_INLINED,
    rust(/std::rt::lang_start::\{\{closure\}\}/, 'rt'),
    RUST_INLINED,
    rust(/std::rt::lang_start_internal/, 'rt'),
    'main rust-inlined',
    ...PROGRAM_ROOT,
  ]);
});

test('the report at the end, a flame graph and the prompt tell lines too', async (context) => {
  needs(context, 'libbacktrace');
  const directory = channelFolder();
  const graph = join(scratchFolder(), 'live.html');
  const program = buildCxx('inlined_templates');
  const running = startOffheap(['run', '--dir', directory, '--flamegraph', graph, '--', program]);
  await running.line(/^READY$/);
  const [{ pid }] = JSON.parse((await offheap(['ps', '--json', '--dir', directory])).stdout) as [
    { pid: number },
  ];
  const expression = `(await lines()).stacks`;
  const answer = await offheap(['eval', String(pid), expression, '--json', '--dir', directory]);
  const stacks = Object.values(JSON.parse(answer.stdout) as Snapshot['stacks']);
  expect(stacks.flat()).toContainEqual(expect.objectContaining({ function: 'main', line: 39 }));
  const { status, stderr } = await running.end('\n');
  expect(status).toBe(0);
  expect(stderr).toMatch(/^ {4}shop::Pool<long>::grow \(inlined_templates, inlined_templates\.cc:13\)$/m);
  expect(stderr).toMatch(/^ {4}main \(inlined_templates, inlined_templates\.cc:39\)$/m);
  expect(readFileSync(graph, 'utf8')).toMatch(/inlined_templates\.cc:22, inlined/);
});

test('a library of the distribution, without debug information: names by its symbols, and nothing to say', async () => {
  const snapshot = await snapshotWhileReady(buildCxx('inlined_templates'));
  const names = stackOf(snapshot).filter(({ module }) => module === 'libc.so.6');
  expect(names[0]).toMatchObject({ function: 'mmap', inlined: false });
  expect(snapshot.completeness.degraded).toEqual([]);
});

test('one table has its lines, though nobody has asked for them before', async (context) => {
  needs(context, 'libbacktrace');
  const directory = channelFolder();
  const program = buildCxx('inlined_templates');
  const running = startOffheap(['run', '--quiet', '--dir', directory, '--', program]);
  await running.line(/^READY$/);
  const { stdout } = await offheap(['top', '-n', '1', '--dir', directory]);
  expect(stdout).toMatch(/shop::Pool<long>::grow \(inlined_templates, inlined_templates\.cc:13\)$/m);
  expect((await running.end('\n')).status).toBe(0);
});

test('a cache folder that is refused is told of', async () => {
  const directory = channelFolder();
  const cache = scratchFolder();
  writeFileSync(join(cache, 'offheap'), 'in the folder’s place');
  const env = { XDG_CACHE_HOME: cache };
  const program = buildCxx('inlined_templates');
  const running = startOffheap(['run', '--quiet', '--dir', directory, '--', program], { env });
  await running.line(/^READY$/);
  const { stdout } = await offheap(['ps', '--json', '--dir', directory]);
  const [{ pid }] = JSON.parse(stdout) as [{ pid: number }];
  const { completeness, stacks } = await snapshotOf(pid, directory);
  expect(completeness.degraded).toEqual([expect.stringMatching(/^symbol tables are not kept: .*offheap/)]);
  expect(Object.values(stacks).flat()).toContainEqual(expect.objectContaining({ function: 'main' }));
  expect((await running.end('\n')).status).toBe(0);
});
