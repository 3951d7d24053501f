import { closeSync, openSync, readFileSync, statSync } from 'node:fs';
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
    // Who may examine a process may not always read its memory.
    throw new OffheapError(error.code, examinationRefusal(pid) ?? memoryRefusal(pid) ?? refusal(pid));
  }
}

/** What is missing to examine a process, null where nothing is or it has ended. */
export function examinationRefusal(pid: number): string | null {
  return isRefused(pid, 'maps') ? refusal(pid) : null;
}

const YAMA_SCOPE = '/proc/sys/kernel/yama/ptrace_scope';
/** Neither a capability nor another value helps any more. */
const YAMA_NOBODY = 3;

/**
 * What is missing to read a process's memory, null where nothing is or it has ended. The kernel asks for more than to examine
 * it: where Yama is on, only parents may.
 */
export function memoryRefusal(pid: number, yamaScope = YAMA_SCOPE): string | null {
  if (!isRefused(pid, 'mem')) return null;
  const scope = scopeIn(yamaScope);
  if (scope === 0) return refusal(pid);
  if (scope >= YAMA_NOBODY) {
    return `memory of process ${pid} may not be read: kernel.yama.ptrace_scope is ${scope}, for everybody and until the next boot; start the machine with a lower one`;
  }
  return `memory of process ${pid} may not be read: kernel.yama.ptrace_scope is ${scope}; set it to 0, or run with CAP_SYS_PTRACE`;
}

function isRefused(pid: number, name: string): boolean {
  try {
    closeSync(openSync(`/proc/${pid}/${name}`, 'r'));
    return false;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    return code === 'EACCES' || code === 'EPERM';
  }
}

function scopeIn(file: string): number {
  try {
    return Number.parseInt(readFileSync(file, 'utf8'), 10) || 0;
  } catch {
    return 0;
  }
}

/** What is missing to examine a process's memory: the kernel asks for the same user, or for a capability. */
function refusal(pid: number): string {
  const owner = statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid;
  const own = process.geteuid?.();
  const whose =
    owner === own
      ? 'it is yours, but guarded (capabilities, set-uid, PR_SET_DUMPABLE 0)'
      : `it belongs to user ${owner}`;
  return `process ${pid} may not be examined by you: ${whose}; run as that user, or with CAP_SYS_PTRACE`;
}
