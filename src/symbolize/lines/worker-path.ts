import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../wire/package-root.js';

/** The program that reads debug information; null where it could not be built. */
export function workerPath(): string | null {
  const path = join(packageRoot, 'build', 'lines', 'offheap-lines');
  return existsSync(path) ? path : null;
}
