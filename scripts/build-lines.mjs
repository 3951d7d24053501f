// Builds native/lines into build/lines/offheap-lines, the process that reads debug information. It needs libbacktrace,
// which is a part of gcc's own files: where that is absent nothing is built, and said once.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const sources = join(root, 'native', 'lines');
const output = join(root, 'build', 'lines', 'offheap-lines');
const compiler = process.env.CXX || 'g++';

const inputs = readdirSync(sources)
  .filter((name) => /\.(h|cc)$/.test(name) && !name.endsWith('_test.cc'))
  .map((name) => join(sources, name));
const newestMs = Math.max(
  ...[...inputs, fileURLToPath(import.meta.url)].map((path) => statSync(path).mtimeMs),
);
if (existsSync(output) && statSync(output).mtimeMs >= newestMs) process.exit(0);

/** Where gcc keeps a file of its own, or null. */
function ownFile(name) {
  for (const gcc of [compiler, 'gcc']) {
    const asked = spawnSync(gcc, [`-print-file-name=${name}`], { encoding: 'utf8' });
    const path = asked.stdout?.trim() ?? '';
    if (asked.status === 0 && isAbsolute(path) && existsSync(path)) return path;
  }
  return null;
}

const library = ownFile('libbacktrace.a');
const header = ownFile('include/backtrace.h');
if (library === null || header === null) {
  rmSync(output, { force: true });
  process.stderr.write(
    'offheap: no libbacktrace here (Debian: libgcc-12-dev has it): lines of source come from llvm-symbolizer or addr2line where installed\n',
  );
  process.exit(0);
}

mkdirSync(dirname(output), { recursive: true });
const scratch = `${output}.${process.pid}`;
const build = spawnSync(
  compiler,
  [
    ...['-std=c++20', '-O2', '-Wall', '-Wextra', '-Wundef', '-Werror', '-I', root],
    // Its folder holds gcc's other headers too, which another compiler than gcc can't read: behind that one's own.
    ...['-idirafter', dirname(header)],
    ...['-o', scratch, ...inputs.filter((path) => path.endsWith('.cc'))],
    ...[library, '-Wl,--wrap=backtrace_open,--wrap=dl_iterate_phdr'],
  ],
  { cwd: root, encoding: 'utf8' },
);
if (build.status !== 0) {
  rmSync(scratch, { force: true });
  process.stderr.write(`${build.stdout ?? ''}${build.stderr ?? ''}${build.error?.message ?? ''}\n`);
  process.stderr.write('offheap: building native/lines failed; it needs a C++20 compiler\n');
  process.exit(1);
}
// Whoever runs the old one keeps it.
renameSync(scratch, output);
