// Prints `N passed, N failed, N skipped` of the native tests and vitest's together, from their JSON reports; fails where
// a test failed, was skipped, or none ran. Usage: node .ci/summary.mjs VITEST.json NATIVE.json
import { existsSync, readFileSync } from 'node:fs';

const total = { passed: 0, failed: 0, skipped: 0 };

/** The report, or null and a failure where its tests did not run to their end. */
function read(file) {
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8'));
  console.error(`summary: ${file} is not there: the tests did not run to their end`);
  total.failed += 1;
  return null;
}

const [vitestFile, nativeFile = 'build/native-tests/summary.json'] = process.argv.slice(2);

const native = read(nativeFile);
if (native) {
  for (const failure of native.failures) console.error(`failed: ${failure}`);
  for (const skip of native.skips) console.error(`skipped: ${skip}`);
  for (const key of Object.keys(total)) total[key] += native[key];
}

const vitest = read(vitestFile);
if (vitest) {
  total.passed += vitest.numPassedTests;
  total.failed += vitest.numFailedTests;
  total.skipped += vitest.numPendingTests + vitest.numTodoTests;
  for (const suite of vitest.testResults) {
    for (const test of suite.assertionResults) {
      if (test.status !== 'passed') console.error(`${test.status}: ${test.fullName}`);
    }
    // A file that does not even load has no tests to count.
    if (suite.status === 'failed' && suite.assertionResults.length === 0) {
      console.error(`failed to run: ${suite.name}`);
      total.failed += 1;
    }
  }
  if (!vitest.success && total.failed === 0) total.failed += 1;
}

console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exit(total.failed === 0 && total.skipped === 0 && total.passed > 0 ? 0 : 1);
