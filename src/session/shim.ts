import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { OffheapError } from '../wire/error.js';
import { packageRoot } from '../wire/package-root.js';

/** Where the shim is, or would be once it is built: for LD_PRELOAD. */
export function shimPath(): string {
  return process.env.OFFHEAP_SHIM || join(packageRoot, 'build', 'preload', 'liboffheap.so');
}

/** @throws OffheapError `SHIM_MISSING` */
export function requireShim(): string {
  const path = shimPath();
  if (!existsSync(path)) {
    throw new OffheapError('SHIM_MISSING', `the shim ${path} is not there; build it with npm run build`);
  }
  return path;
}
