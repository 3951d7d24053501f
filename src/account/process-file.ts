import { readFileSync, statSync } from 'node:fs';
import { OffheapError } from '../wire/error.js';

/** Reads /proc/PID/name. Throws `PROCESS_MISSING` or `PROCESS_REFUSED`. */
export function readProcessFile(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'EACCES' || code === 'EPERM') throw new OffheapError('PROCESS_REFUSED', refusal(pid));
    throw new OffheapError('PROCESS_MISSING', `there is no process ${pid} any more`);
  }
}

/** Asks the kernel by the addon; a refusal says what is missing. */
export function asked<T>(pid: number, ask: () => T): T {
  try {
    return ask();
  } catch (error) {
    if (!(error instanceof OffheapError) || error.code !== 'PROCESS_REFUSED') throw error;
    throw new OffheapError(error.code, refusal(pid));
  }
}

/** What is missing to examine a process's memory: the kernel asks for the same user, or for a capability. */
function refusal(pid: number): string {
  const owner = statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid;
  const own = process.getuid?.();
  // A program with set-uid or file capabilities, or one that asked for it (PR_SET_DUMPABLE), belongs to root in /proc.
  const whose =
    owner === own ? 'it is yours, but has capabilities that you lack' : `it belongs to user ${owner}`;
  return `process ${pid} may not be examined by you: ${whose}; run as that user, or with CAP_SYS_PTRACE`;
}
