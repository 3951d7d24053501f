// Builds build/preload/liboffheap.so with cmake-js. Node's headers are not needed, so nothing is downloaded.
import { spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const output = join(root, 'build', 'preload');
const library = join(output, 'liboffheap.so');

/** Newest modification time of the files below `folder`, in milliseconds. */
function newestMs(folder) {
  let newest = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (entry.isFile())
      newest = Math.max(newest, statSync(join(entry.parentPath ?? entry.path, entry.name)).mtimeMs);
  }
  return newest;
}

const sources = Math.max(newestMs(join(root, 'preload')), newestMs(join(root, 'native', 'wire')));
const built = statSync(library, { throwIfNoEntry: false })?.mtimeMs ?? 0;
if (built < sources || process.argv.includes('--force')) {
  const cmakeJs = join(
    dirname(createRequire(import.meta.url).resolve('cmake-js/package.json')),
    'bin',
    'cmake-js',
  );
  const args = [
    cmakeJs,
    'compile',
    '-d',
    join(root, 'preload'),
    '-O',
    output,
    '--CDOFFHEAP_WERROR=ON',
    `--CDCMAKE_LIBRARY_OUTPUT_DIRECTORY=${output}`,
  ];
  const run = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
  if (run.status !== 0) {
    process.stderr.write(
      `${run.stdout}${run.stderr}\noffheap: the shim did not build; a C++20 compiler, make and cmake are needed\n`,
    );
    process.exit(1);
  }
}
