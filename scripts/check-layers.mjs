// Holds imports and includes against the folder order of ARCHITECTURE.md: data goes one way, and so does knowledge.
// One line for each violation. Usage: node scripts/check-layers.mjs [ROOT]
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

/** Each folder of src/ may use itself and those before it, types included. */
const TYPESCRIPT_ORDER = [
  'wire',
  'drain',
  'modules',
  'ledger',
  'account',
  'symbolize',
  'diagnose',
  'report',
  'session',
  'app',
];

/** What the package's entry may use. */
const ENTRY = 'src/index.ts';
const ENTRY_USES = ['session', 'app'];

/** What each C++ folder may include beside itself. */
const NATIVE_USES = {
  'native/wire': [],
  'native/addon': ['native/wire'],
  'native/lines': [],
  'preload/unwind': ['native/wire'],
  'preload/python': ['native/wire', 'preload/unwind'],
  'preload/runtime': ['native/wire'],
  'preload/record': ['native/wire', 'preload/runtime'],
  'preload/hook': ['native/wire', 'preload/unwind', 'preload/python', 'preload/record', 'preload/runtime'],
};

/** Folders of ours that nothing but a test may reach into, and of these a test only into the first. */
const OUTSIDE_SOURCE = ['test', 'bench', 'examples', 'scripts', 'native', 'preload'];

const root = process.argv[2] ?? dirname(dirname(fileURLToPath(import.meta.url)));
const violations = [...checkTypescript(), ...checkNative()];
for (const violation of violations) console.error(violation);
if (violations.length > 0) process.exitCode = 1;

function* checkTypescript() {
  for (const file of filesUnder('src', /\.[mc]?tsx?$/)) {
    const isTest = /\.test\.ts$/.test(file);
    const text = readFileSync(join(root, file), 'utf8');
    for (const { fileName: specifier, pos } of ts.preProcessFile(text, true, true).importedFiles) {
      if (!specifier.startsWith('.')) continue;
      const reason = refusedImport(file, normalize(join(dirname(file), specifier)), isTest);
      if (reason) yield `${file}:${lineAt(text, pos)}: imports ${specifier}: ${reason}`;
    }
  }
}

/** Why `file` may not import `target`; both relative to the root. */
function refusedImport(file, target, isTest) {
  const [top, toFolder] = folders(target);
  if (top === 'test' && isTest) return null;
  if (top !== 'src') return OUTSIDE_SOURCE.includes(top) ? `src/ doesn't use ${top}/` : null;
  if (file === ENTRY) {
    return ENTRY_USES.includes(toFolder) ? null : `the entry uses only ${ENTRY_USES.join(' and ')}`;
  }
  const [, fromFolder] = folders(file);
  const from = TYPESCRIPT_ORDER.indexOf(fromFolder);
  const to = TYPESCRIPT_ORDER.indexOf(toFolder);
  if (from < 0) return `${file} stands in no folder of ARCHITECTURE.md's list`;
  if (to < 0) return `${target} stands in no folder of ARCHITECTURE.md's list`;
  return to <= from ? null : `src/${toFolder} stands below src/${fromFolder} in ARCHITECTURE.md`;
}

function* checkNative() {
  for (const file of [...filesUnder('native', /\.(h|cc)$/), ...filesUnder('preload', /\.(h|cc)$/)]) {
    const text = readFileSync(join(root, file), 'utf8');
    for (const match of text.matchAll(/^[ \t]*#[ \t]*include[ \t]*[<"]([^>"\n]+)[>"]/gm)) {
      const target = [join(dirname(file), match[1]), match[1]]
        .map(normalize)
        .find((path) => existsSync(join(root, path)));
      const reason = target && refusedInclude(file, target);
      if (reason) yield `${file}:${lineAt(text, match.index)}: includes ${match[1]}: ${reason}`;
    }
  }
}

function refusedInclude(file, target) {
  const from = folders(file).join('/');
  const to = folders(target).join('/');
  const uses = NATIVE_USES[from];
  if (uses === undefined) return `${file} stands in no folder of ARCHITECTURE.md's list`;
  if (from === to || uses.includes(to)) return null;
  if (/_test\.cc$/.test(file) && target.startsWith('test/')) return null;
  return `${from} may use ${uses.join(', ') || 'nothing of ours'}`;
}

/** The first two folders of a path; fewer where it has fewer. */
function folders(path) {
  return path.split('/').slice(0, -1).slice(0, 2);
}

function lineAt(text, position) {
  return text.slice(0, position).split('\n').length;
}

function filesUnder(folder, pattern) {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && pattern.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath ?? entry.path, entry.name)))
    .sort();
}
