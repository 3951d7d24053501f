import { type ChannelEntry, defaultDirectory, listChannels } from '../drain/directory.js';
import { visibleParentId, whyUnseen } from '../drain/pid-namespaces.js';

/** A process that has a channel. */
export interface ProcessEntry {
  pid: number;
  parentPid: number;
  command: string[];
  /**
   * `exited` said goodbye, `killed` did not; after exec the old program's channel counts as exited. `unreadable`: see
   * `problem`.
   */
  state: 'running' | 'exited' | 'killed' | 'unreadable';
  /** RFC 3339; null where the channel does not say. */
  startedAt: string | null;
  /** Path of the channel. */
  channel: string;
  /** Who collects it now. */
  collectorPid: number | null;
  /** Why the channel can't be read, or who may live all the same can't be seen, else null. */
  problem: string | null;
}

/** The processes that have a channel in a folder, living and dead, oldest first. */
export function listProcesses(directory: string = defaultDirectory()): ProcessEntry[] {
  return listChannels(directory).map((entry) => ({
    pid: entry.pid,
    parentPid: parentOf(entry),
    command: entry.command,
    state: stateOf(entry),
    startedAt:
      entry.header === null ? null : new Date(Number(entry.header.startUnixNs / 1_000_000n)).toISOString(),
    channel: entry.path,
    collectorPid: entry.header?.collectorProcessId || null,
    problem: entry.error?.message ?? (entry.header === null ? null : whyUnseen(entry.header)),
  }));
}

function stateOf({ state, header }: ChannelEntry): ProcessEntry['state'] {
  if (state === 'unreadable') return state;
  if (state === 'running' || state === 'stopped') return 'running';
  return state === 'replaced' || header?.state === 'exited' ? 'exited' : 'killed';
}

function parentOf({ pid, header }: ChannelEntry): number {
  if (header === null) return 0;
  return (pid === header.processId ? undefined : visibleParentId(pid)) ?? header.parentProcessId;
}
