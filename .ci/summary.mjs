// Prints `N passed, N failed, N skipped` from vitest's JSON report; fails where a test failed, was skipped, or none ran.
import { existsSync, readFileSync } from 'node:fs';

const file = process.argv[2];
if (!existsSync(file)) {
  console.error(`summary: ${file} is not there: the tests did not run to their end`);
  process.exit(1);
}
const report = JSON.parse(readFileSync(file, 'utf8'));
const skipped = report.numPendingTests + report.numTodoTests;
for (const suite of report.testResults) {
  for (const test of suite.assertionResults) {
    if (test.status !== 'passed') console.error(`${test.status}: ${test.fullName}`);
  }
  // A file that does not even load has no tests to count.
  if (suite.status === 'failed' && suite.assertionResults.length === 0)
    console.error(`failed to run: ${suite.name}`);
}
console.log(`${report.numPassedTests} passed, ${report.numFailedTests} failed, ${skipped} skipped`);
process.exit(report.success && skipped === 0 && report.numPassedTests > 0 ? 0 : 1);
