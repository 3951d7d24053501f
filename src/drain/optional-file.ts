import { existsSync } from 'node:fs';

/**
 * What `read` makes of a file; undefined where there is none, or it can't be read. For files that are mostly not there: an
 * exception costs more than asking twice.
 */
export function readOptional<T>(path: string, read: (path: string) => T): T | undefined {
  if (!existsSync(path)) return undefined;
  try {
    return read(path);
  } catch {
    return undefined;
  }
}
