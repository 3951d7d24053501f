// The demo: builds a library that leaks inside munmap and a program that uses it, runs the program under offheap,
// and reads the library's name off the snapshot.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const SECONDS = 15;
const REQUESTS_PER_SECOND = 20_000;
const LEAKING_LIBRARY = 'libnested.so';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..', '..');
const build = join(root, 'build', 'examples');
const flamegraph = join(build, 'nested-mmap.html');
const snapshotFile = join(build, 'nested-mmap.json');

/** Runs a command with our standard streams; ends the demo with its status if it fails. */
function run(command, args) {
  const done = spawnSync(command, args, { stdio: 'inherit' });
  if (done.error) fail(`${command} could not be started (${done.error.message})`);
  if (done.status !== 0) fail(`${command} ended with ${done.signal ?? `status ${done.status}`}`);
}

function fail(message) {
  console.error(`demo: ${message}`);
  process.exit(1);
}

function compile() {
  mkdirSync(build, { recursive: true });
  const compiler = process.env.CC ?? 'cc';
  // Real libraries are built like this: no frame pointers to walk. Tail calls are kept as calls for the picture's sake.
  const flags = ['-O2', '-g', '-Wall', '-Wextra', '-fomit-frame-pointer', '-fno-optimize-sibling-calls'];
  const library = join(build, LEAKING_LIBRARY);
  run(compiler, [
    ...flags,
    '-shared',
    '-fPIC',
    `-Wl,-soname,${LEAKING_LIBRARY}`,
    '-o',
    library,
    join(here, 'nested.c'),
  ]);
  const program = join(build, 'leaky');
  run(compiler, [
    ...flags,
    '-o',
    program,
    join(here, 'leaky.c'),
    `-L${build}`,
    '-lnested',
    '-Wl,-rpath,$ORIGIN',
  ]);
  return program;
}

/** Decimal, as in the report's table. */
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(0)} MB`;

/** The operation inside which most of the owner's bytes were mapped. */
function mainTrigger(owner) {
  const triggers = Object.entries(owner.triggers).sort(([, a], [, b]) => b - a);
  return triggers[0]?.[0] ?? 'none';
}

const program = compile();
console.log(
  `demo: ${relative(process.cwd(), program)} maps and unmaps memory for ${SECONDS} s and frees all of it.`,
);
run(process.execPath, [
  ...[join(root, 'bin', 'offheap.mjs'), 'run', '--flamegraph', flamegraph, '--snapshot', snapshotFile],
  ...['--', program, String(SECONDS), String(REQUESTS_PER_SECOND)],
]);

const snapshot = JSON.parse(readFileSync(snapshotFile, 'utf8'));
const [first] = [...snapshot.owners].sort((a, b) => b.growthBytesPerMinute - a.growthBytesPerMinute);
if (first?.owner !== LEAKING_LIBRARY) {
  fail(
    `the first owner by growth is ${first?.owner ?? 'missing'}, not ${LEAKING_LIBRARY}: see ${snapshotFile}`,
  );
}
console.log(
  `demo: ${first.owner} holds ${megabytes(first.residentBytes)}, mapped inside ${mainTrigger(first)}, ` +
    `and grows by ${megabytes(first.growthBytesPerMinute)} a minute.`,
);
console.log(`demo: flame graph: ${flamegraph}`);
