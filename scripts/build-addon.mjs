// Builds native/addon into build/Release/offheap.node. Says nothing when all is well; the whole log when not.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const output = join(root, 'build/Release/offheap.node');
const modifiedMs = (path) => statSync(path).mtimeMs;

const inputs = [join(root, 'binding.gyp'), fileURLToPath(import.meta.url)];
for (const folder of ['native/addon', 'native/wire']) {
  for (const name of readdirSync(join(root, folder))) {
    if (/\.(h|cc)$/.test(name) && !name.endsWith('_test.cc')) inputs.push(join(root, folder, name));
  }
}
if (existsSync(output) && inputs.every((path) => modifiedMs(path) <= modifiedMs(output))) process.exit(0);

// Node's own headers, where they lie beside the binary, spare a download. Without --nodedir node-gyp looks in its
// cache, then fetches them.
const prefix = join(dirname(process.execPath), '..');
const nodedir = existsSync(join(prefix, 'include/node/node_api.h')) ? [`--nodedir=${prefix}`] : [];

// `configure build`, not `rebuild`: that would delete the whole build folder, with what others built there.
const nodeGyp = createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js');
const build = spawnSync(process.execPath, [nodeGyp, 'configure', 'build', '--jobs=max', ...nodedir], {
  cwd: root,
  encoding: 'utf8',
  maxBuffer: 1 << 28,
});
if (build.status !== 0 || !existsSync(output)) {
  process.stderr.write(`${build.stdout ?? ''}${build.stderr ?? ''}${build.error?.message ?? ''}\n`);
  process.stderr.write('offheap: building the addon failed; it needs a C++20 compiler, make and python3\n');
  process.exit(1);
}
