import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { OffheapError } from '../wire/error.js';

/** Where the shim is, or would be once it is built: for LD_PRELOAD. */
export function shimPath(): string {
  // From src/session and from dist/session alike.
  const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
  return process.env.OFFHEAP_SHIM || join(root, 'build', 'preload', 'liboffheap.so');
}

/** @throws OffheapError `SHIM_MISSING` */
export function requireShim(): string {
  const path = shimPath();
  if (!existsSync(path)) {
    throw new OffheapError('SHIM_MISSING', `the shim ${path} is not there; build it with npm run build`);
  }
  return path;
}
