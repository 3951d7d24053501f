import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The program that reads debug information; null where it could not be built. */
export function workerPath(): string | null {
  // From src/symbolize/lines and from dist/symbolize/lines alike.
  const root = join(dirname(fileURLToPath(import.meta.url)), '../../..');
  const path = join(root, 'build', 'lines', 'offheap-lines');
  return existsSync(path) ? path : null;
}
