// Builds and runs the native unit tests (test/native/CMakeLists.txt): plain, under sanitizers, and the fuzzers of the
// unwinder and of the channel's readers on their corpora. Quiet about what passes, the whole log of what fails. The totals go to
// build/native-tests/summary.json. With OFFHEAP_CI_NO_SKIPS=1 a skip is a failure.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const output = join(root, 'build', 'native-tests');
// Ends only what hangs: under sanitizers, and beside others, minutes are ordinary.
const PROGRAM_LIMIT_MS = 900_000;
const FUZZER_RUNS = 50_000;

/** Each has a corpus beside its source. */
const FUZZERS = [
  { target: 'unwind_fuzzer', folder: 'unwind' },
  { target: 'channel_fuzzer', folder: 'channel' },
];

const ALL_VARIANTS = [
  { name: 'plain', sanitize: '', targets: ['unit_tests', 'unwind_tests', 'addon_tests'] },
  {
    name: 'address,undefined',
    sanitize: 'address,undefined',
    targets: ['unit_tests', 'unwind_tests', 'addon_tests'],
  },
  { name: 'thread', sanitize: 'thread', targets: ['unit_tests', 'addon_tests'] },
  {
    name: 'fuzz',
    sanitize: 'address,undefined',
    targets: FUZZERS.map(({ target }) => target),
    compiler: 'clang++',
  },
];

// Under sanitizers the tests take minutes to build and run: for CI, and for who asks.
const everything = process.argv.includes('--all') || process.env.CI !== undefined;
const VARIANTS = everything ? ALL_VARIANTS : ALL_VARIANTS.slice(0, 1);

/** What the sanitizers need to know: a report ends the program, so that it fails the tests. */
const environment = {
  ...process.env,
  ASAN_OPTIONS: 'halt_on_error=1:abort_on_error=0:detect_stack_use_after_return=0',
  UBSAN_OPTIONS: 'halt_on_error=1:print_stacktrace=1',
  TSAN_OPTIONS: 'halt_on_error=1',
};

/** Runs a program to its end: its status (null when it was killed) and all that it printed. */
function run(program, args) {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: root,
      env: environment,
      timeout: PROGRAM_LIMIT_MS,
      killSignal: 'SIGKILL',
    });
    let log = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (log += chunk));
    child.on('error', (error) => resolve({ status: null, log: `${log}${error.message}\n` }));
    child.on('close', (status, signal) =>
      resolve({ status, log: signal ? `${log}ended by ${signal}\n` : log }),
    );
  });
}

const isInstalled = (program) => spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;

/** Configures and builds; the log when that fails, else null. */
async function build({ name, sanitize, targets, compiler }) {
  const folder = join(output, name.replace(',', '-'));
  const cxx = compiler ? [`-DCMAKE_CXX_COMPILER=${compiler}`] : [];
  const configured = await run('cmake', [
    ...[
      '-S',
      join(root, 'test', 'native'),
      '-B',
      folder,
      '-DCMAKE_BUILD_TYPE=',
      `-DOFFHEAP_SANITIZE=${sanitize}`,
    ],
    ...cxx,
  ]);
  if (configured.status !== 0) return { folder, failure: configured.log };
  const lacking = readFileSync(join(folder, 'lacking.txt'), 'utf8').split('\n').filter(Boolean);
  if (lacking.some((line) => line.includes('GoogleTest')) && !targets.includes(FUZZERS[0].target)) {
    return { folder, failure: null, lacking, programs: [] };
  }
  const built = await run('cmake', [
    '--build',
    folder,
    '--target',
    ...targets,
    '--',
    `-j${availableParallelism()}`,
  ]);
  if (built.status !== 0) return { folder, failure: built.log };
  const programs = targets.map((target) =>
    ['', 'unwind', 'unwind/test']
      .map((place) => join(folder, place, target))
      .find((path) => existsSync(path)),
  );
  return { folder, failure: null, lacking, programs };
}

/** Tests that passed in an earlier variant. */
const passedBefore = new Set();

/** The counts of one GoogleTest program. */
async function runTests(program, variant) {
  const report = `${program}.json`;
  rmSync(report, { force: true });
  const { status, log } = await run(program, [`--gtest_output=json:${report}`]);
  const result = { passed: 0, failed: 0, skips: [], failures: [], log: '' };
  if (!existsSync(report)) {
    return { ...result, failed: 1, failures: [`${variant}: ${program} did not reach its end`], log };
  }
  for (const suite of JSON.parse(readFileSync(report, 'utf8')).testsuites) {
    for (const test of suite.testsuite) {
      const name = `${suite.name}.${test.name}`;
      if (test.result === 'SKIPPED') {
        // Sanitizers can't host every test. It ran where it can: that is no hole.
        if (!passedBefore.has(name)) result.skips.push(`${variant}: ${name}: ${skipReason(log, name)}`);
      } else if (test.failures) {
        result.failures.push(`${variant}: ${name}`);
      } else {
        result.passed += 1;
        passedBefore.add(name);
      }
    }
  }
  if (status !== 0 && result.failures.length === 0)
    result.failures.push(`${variant}: ${program} ended with ${status}`);
  result.failed = result.failures.length;
  if (result.failed > 0) result.log = withoutPasses(log);
  return result;
}

/** GoogleTest prints the reason above the line that names the skipped test, and keeps it out of its report. */
function skipReason(log, name) {
  const lines = log.split('\n');
  const at = lines.findIndex((line) => line.startsWith(`[  SKIPPED ] ${name} (`));
  return lines[at - 1]?.trim() || 'no reason given';
}

function withoutPasses(log) {
  return log.replaceAll(/^\[( RUN {6}| {7}OK |-{10})\].*\n/gm, '');
}

/** One pass over the corpus and a fixed number of mutations from a fixed seed. */
async function runFuzzer(program, variant) {
  const { folder } = FUZZERS.find(({ target }) => program.endsWith(target));
  const corpus = join(root, 'test', 'native', folder, 'corpus');
  const scratch = mkdtempSync(join(tmpdir(), 'offheap-fuzz-'));
  const { status, log } = await run(program, [
    ...[`-runs=${FUZZER_RUNS}`, '-seed=1', '-timeout=20', `-artifact_prefix=${scratch}/`, scratch, corpus],
  ]);
  if (status === 0) {
    rmSync(scratch, { recursive: true });
    return { passed: 1, failed: 0, skips: [], failures: [], log: '' };
  }
  return {
    passed: 0,
    failed: 1,
    skips: [],
    failures: [`${variant}: the fuzzer; its input lies in ${scratch}`],
    log,
  };
}

const total = { passed: 0, failed: 0, skipped: 0, failures: [], skips: [] };

function count(variant, results, seconds) {
  const sum = (key) => results.reduce((all, result) => all + result[key], 0);
  const skips = results.flatMap((result) => result.skips);
  for (const { log } of results) process.stderr.write(log);
  for (const skip of skips) console.log(`skipped: ${skip}`);
  console.log(
    `${variant}: ${sum('passed')} passed, ${sum('failed')} failed, ${skips.length} skipped (${seconds.toFixed(0)} s)`,
  );
  total.passed += sum('passed');
  total.failed += sum('failed');
  total.skipped += skips.length;
  total.skips.push(...skips);
  total.failures.push(...results.flatMap((result) => result.failures));
}

const nothing = { passed: 0, failed: 0, skips: [], failures: [], log: '' };
const reasonsSeen = new Set();

/** Builds and runs one variant. */
async function test(variant) {
  if (variant.compiler && !isInstalled(variant.compiler)) {
    return [
      {
        ...nothing,
        skips: [`${variant.name}: needs ${variant.compiler} (apt-get install clang libclang-rt-14-dev)`],
      },
    ];
  }
  const { failure, lacking, programs } = await build(variant);
  if (failure !== null) {
    return [{ ...nothing, failed: 1, failures: [`${variant.name}: did not build`], log: failure }];
  }
  // What one variant lacks all lack: said and counted once.
  const skips = lacking.filter((line) => !reasonsSeen.has(line));
  for (const line of skips) reasonsSeen.add(line);
  const runner = variant.compiler ? runFuzzer : runTests;
  return [
    { ...nothing, skips },
    ...(await Promise.all(programs.map((program) => runner(program, variant.name)))),
  ];
}

mkdirSync(output, { recursive: true });
const summary = join(output, 'summary.json');
rmSync(summary, { force: true });
if (isInstalled('cmake')) {
  for (const variant of VARIANTS) {
    const start = performance.now();
    const results = await test(variant);
    count(variant.name, results, (performance.now() - start) / 1000);
  }
} else {
  count('all variants', [{ ...nothing, skips: ['needs cmake (apt-get install cmake)'] }], 0);
}
writeFileSync(summary, `${JSON.stringify(total, null, 2)}\n`);
for (const failure of total.failures) console.error(`failed: ${failure}`);
console.log(`native: ${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
if (!everything)
  console.log('native: sanitizers and fuzzer are for CI; run them with: npm run test:native -- --all');
const skipsFail = process.env.OFFHEAP_CI_NO_SKIPS === '1' && total.skipped > 0;
process.exitCode = total.failed > 0 || skipsFail ? 1 : 0;
