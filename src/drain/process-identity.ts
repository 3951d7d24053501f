import { readFileSync } from 'node:fs';
import { readOptional } from './optional-file.js';

/** What /proc/PID/stat says of a process. */
export interface ProcessStatus {
  /** R, S, D, T (stopped), t (traced), Z (ended, not yet waited for) … */
  state: string;
  threads: number;
  /** Clock ticks after boot: with the pid it names the process uniquely. */
  startTicks: number;
}

/** Undefined where there is no such process. */
export function processStatus(pid: number): ProcessStatus | undefined {
  const text = readOptional(`/proc/${pid}/stat`, (path) => readFileSync(path, 'latin1'));
  if (text === undefined) return undefined;
  // The command's name, in brackets, may hold brackets and spaces: fields count from behind the last bracket.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0] ?? '?', threads: Number(fields[17]), startTicks: Number(fields[19]) };
}

export type Liveness = 'running' | 'stopped' | 'gone';

/** Whether the process that started at `startTicks` under this pid still runs code. */
export function liveness(pid: number, startTicks: number): Liveness {
  const status = processStatus(pid);
  if (status?.startTicks !== startTicks) return 'gone';
  // A main thread that has ended shows as Z while its other threads run on.
  if (status.state === 'X' || (status.state === 'Z' && status.threads <= 1)) return 'gone';
  return status.state === 'T' || status.state === 't' ? 'stopped' : 'running';
}
