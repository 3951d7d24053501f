// Holds the C++ files against .clang-format where clang-format is installed; it says so where it is not.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const FOLDERS = ['native', 'preload', join('test', 'native')];

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const files = FOLDERS.filter((folder) => existsSync(join(root, folder))).flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true })
    .filter((path) => /\.(h|cc)$/.test(path))
    .map((path) => join(folder, path)),
);

const { error, status } = spawnSync('clang-format', ['--dry-run', '-Werror', ...files], {
  cwd: root,
  stdio: 'inherit',
});
if (error?.code === 'ENOENT') console.log('clang-format: not installed, C++ formatting unchecked');
else if (error) throw error;
else process.exitCode = status ?? 1;
