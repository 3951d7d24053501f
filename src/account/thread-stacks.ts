import { readdirSync } from 'node:fs';
import { readProcessFile } from './process-file.js';

/** A thread, and where its stack was when the kernel was asked. */
export interface ThreadStack {
  threadId: number;
  name: string;
  /** Null while it runs: the kernel tells it only of threads that sleep. */
  stackPointer: number | null;
}

/** Beyond so many threads, who sleeps on which stack is worth less than the time to ask. */
const MOST_THREADS = 512;

/** The threads of a process; none where they can't be asked for. */
export function readThreadStacks(pid: number): ThreadStack[] {
  let threads: string[];
  try {
    threads = readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
  return threads.slice(0, MOST_THREADS).map((thread) => ({
    threadId: Number(thread),
    name: readOrEmpty(pid, `task/${thread}/comm`).trimEnd(),
    stackPointer: stackPointerOf(readOrEmpty(pid, `task/${thread}/syscall`)),
  }));
}

/** For how long its threads have run, in nanoseconds; undefined where the kernel does not say. */
export function runNs(pid: number): number | undefined {
  let threads: string[];
  try {
    threads = readdirSync(`/proc/${pid}/task`);
  } catch {
    return undefined;
  }
  const each = threads.map((thread) => Number.parseInt(readOrEmpty(pid, `task/${thread}/schedstat`), 10));
  const sum = each.reduce((total, ns) => total + ns, 0);
  return Number.isNaN(sum) ? undefined : sum;
}

/** "NUMBER ARGUMENTS… SP IP", "-1 SP IP" outside of a call, or "running". */
function stackPointerOf(text: string): number | null {
  const fields = text.trim().split(' ');
  const pointer = fields.length < 3 ? Number.NaN : Number(fields.at(-2));
  return Number.isSafeInteger(pointer) && pointer > 0 ? pointer : null;
}

/** A thread may end, or be another user's after a set-uid call, while it is looked at. */
function readOrEmpty(pid: number, name: string): string {
  try {
    return readProcessFile(pid, name);
  } catch {
    return '';
  }
}
