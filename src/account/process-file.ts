import { readFileSync } from 'node:fs';
import { OffheapError } from '../wire/error.js';

/** Reads /proc/PID/name. Throws `PROCESS_MISSING` or `PROCESS_REFUSED`. */
export function readProcessFile(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'EACCES' || code === 'EPERM') {
      throw new OffheapError(
        'PROCESS_REFUSED',
        `process ${pid} may not be examined by you; run as its user or as root`,
      );
    }
    throw new OffheapError('PROCESS_MISSING', `there is no process ${pid} any more`);
  }
}
