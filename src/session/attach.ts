import { checkDirectory, currentChannel, defaultDirectory } from '../drain/directory.js';
import { whyUnseen } from '../drain/pid-namespaces.js';
import { processStatus } from '../drain/process-identity.js';
import { OffheapError } from '../wire/error.js';
import { Family } from './family.js';
import { ProcessFacts } from './process-facts.js';
import type { Session } from './session.js';
import { WatchedProcess } from './watched-process.js';

export interface AttachOptions {
  /** Where channels lie. */
  dir?: string;
  /** How often growth is sampled, in milliseconds. */
  intervalMs?: number;
  /** Holds what is recorded against the kernel's perf records of what is mapped, all the time; the process pays for them. */
  witness?: boolean;
  /** Share of this process's time that may go into accounts for histories and verdicts; 0.04 at first, then 0.002. */
  accountTimeShare?: number;
}

/**
 * Watches a process that runs, or ran, under the shim.
 * @throws OffheapError `PROCESS_MISSING`, `NO_CHANNEL`, and what opening a channel throws.
 */
export async function attach(pid: number, options: AttachOptions = {}): Promise<Session> {
  const directory = options.dir ?? defaultDirectory();
  checkDirectory(directory);
  const entry = currentChannel(directory, pid);
  if (entry === undefined) {
    if (processStatus(pid) === undefined) {
      throw new OffheapError(
        'PROCESS_MISSING',
        `there is no process ${pid}; offheap ps lists those with a channel`,
      );
    }
    throw new OffheapError(
      'NO_CHANNEL',
      `process ${pid} has no channel in ${directory}; start it with offheap run, or LD_PRELOAD="$(offheap preload)"`,
    );
  }
  if (entry.error !== null) throw entry.error;
  const watched = new WatchedProcess(new ProcessFacts(pid, false, entry.command), {
    ...options,
    hasWitness: options.witness ?? false,
  });
  const family = new Family(directory, { followChildren: false });
  try {
    watched.follow(entry.path);
  } catch (error) {
    watched.release();
    await family.close();
    throw error;
  }
  family.adopt(watched);
  const unseen = entry.header === null ? null : whyUnseen(entry.header);
  if (unseen !== null) watched.problem = unseen;
  // Whoever attached to a dead process reads what it left, and is told that it is over once they listen.
  watched.endIfGone();
  if (watched.ended) setImmediate(() => watched.announceEnd());
  return Object.assign(watched, { close: () => family.close() });
}
