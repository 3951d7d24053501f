// Holds the shim against preload/RULES.md: what it needs, what it exports, how it is linked. One line for each violation.
import { execFileSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const library =
  process.argv[2] ??
  join(dirname(dirname(fileURLToPath(import.meta.url))), 'build', 'preload', 'liboffheap.so');

/** Each is async-signal-safe or called at start-up only; what it is for stands in RULES.md. */
const ALLOWED_UNDEFINED = new Set([
  '__cxa_finalize',
  '__errno_location',
  '__register_atfork',
  '_dl_find_object',
  'getauxval',
  'pthread_key_create',
  'pthread_getspecific',
  'pthread_setspecific',
  'sigaction',
  '_ITM_deregisterTMCloneTable',
  '_ITM_registerTMCloneTable',
  '__gmon_start__',
]);
/** malloc and its like: the functions that allocators export to be found before libc's. */
const ALLOWED_EXPORTS = new Set([
  ...['malloc', 'calloc', 'realloc', 'reallocarray', 'posix_memalign', 'aligned_alloc', 'memalign'],
  ...['valloc', 'pvalloc', 'free', 'cfree', 'free_sized', 'free_aligned_sized'],
]);
const ALLOWED_NEEDED = new Set(['libc.so.6']);

const readelf = (...args) => execFileSync('readelf', ['-W', ...args, library], { encoding: 'utf8' });
const violations = [];

const symbols = readelf('--dyn-syms')
  .split('\n')
  .slice(4)
  .map((line) => line.trim().split(/\s+/))
  .filter((row) => row.length >= 8);
for (const row of symbols) {
  const name = row[7].split('@')[0];
  if (row[6] === 'UND' && !ALLOWED_UNDEFINED.has(name))
    violations.push(`undefined symbol ${name} is not on the list (rule 2)`);
  if (row[6] !== 'UND' && row[4] !== 'LOCAL' && !ALLOWED_EXPORTS.has(name))
    violations.push(`exports ${name}: the target could bind to it (rule 3)`);
}

for (const name of ALLOWED_EXPORTS) {
  if (!symbols.some((row) => row[7] === name && row[6] !== 'UND'))
    violations.push(`does not export ${name}: its blocks would not be seen (rule 3)`);
}

const dynamic = readelf('-d');
for (const [, needed] of dynamic.matchAll(/\(NEEDED\).*\[(.*)\]/g)) {
  if (!ALLOWED_NEEDED.has(needed)) violations.push(`needs ${needed}: libc alone is allowed (rule 2)`);
}
if (!/FLAGS_1.*INITFIRST/.test(dynamic)) violations.push('is not linked with -z initfirst (rule 4)');
if (!/FLAGS.*(BIND_NOW|NOW)/.test(dynamic))
  violations.push('binds lazily: the loader would be entered from a hook (rule 5)');
if (/TEXTREL/.test(dynamic)) violations.push('has text relocations (rule 6)');

const relocations = readelf('-r');
for (const type of relocations.matchAll(/R_X86_64_(\w+)/g)) {
  if (['TLSDESC', 'DTPMOD64', 'DTPOFF64'].includes(type[1]))
    violations.push(`relocation ${type[0]}: thread-local storage must be initial-exec (rule 7)`);
  if (['IRELATIVE', 'COPY'].includes(type[1]))
    violations.push(`relocation ${type[0]} is not allowed (rule 6)`);
}
const tls = /^\s+TLS\s+\S+\s+\S+\s+\S+\s+\S+\s+(0x[0-9a-f]+)/m.exec(readelf('-l'));
if (tls === null || Number(tls[1]) > 8)
  violations.push(`static TLS is ${tls?.[1] ?? 'absent'}; one pointer is allowed (rule 7)`);
if (!/GNU_STACK.*RW /.test(readelf('-l'))) violations.push('asks for an executable stack (rule 6)');

// Outside the one function that saves them, no instruction may touch a vector register: the code around a site may hold live values.
let inside = '';
for (const line of execFileSync('objdump', ['-d', '--no-show-raw-insn', library], {
  encoding: 'utf8',
  maxBuffer: 1 << 28,
}).split('\n')) {
  inside = /^[0-9a-f]+ <(.*)>:/.exec(line)?.[1] ?? inside;
  if (/%[xyz]mm/.test(line) && inside !== 'offheap_keep_vectors')
    violations.push(`vector register in ${inside}: ${line.trim()} (rule 8)`);
}

for (const violation of new Set(violations)) console.error(`check:preload: ${violation}`);
if (violations.length > 0) process.exit(1);
console.log(`check:preload: ${symbols.length} dynamic symbols, all rules hold`);
