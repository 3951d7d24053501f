import { dirname } from 'node:path';
import type { ProcessEntry } from '../session/index.js';
import { OffheapError } from '../wire/error.js';
import { type Collector, LocalCollector } from './collector.js';
import { connectControl } from './control-client.js';
import { controlSocketPath } from './control-protocol.js';
import { type ControlServer, type FindCollector, serveControl } from './control-server.js';
import { FlamegraphSignals } from './flamegraph-signals.js';
import { complain } from './streams.js';

export interface ConnectOptions {
  dir?: string | undefined;
  intervalMs?: number | undefined;
  /** Whether a collector that starts here answers others: for commands that stay. */
  serve?: boolean;
}

/** Asks the running collector of a process; where there is none, this process becomes it. */
export async function connectOrAttach(pid: number, options: ConnectOptions = {}): Promise<Collector> {
  const { attach } = await import('../session/index.js');
  const { dir, intervalMs, serve = false } = options;
  const entry = await entryOf(pid, dir);
  const directory = entry === undefined ? undefined : dirname(entry.channel);
  if (directory !== undefined && entry?.collectorPid) {
    const running = await connectControl(controlSocketPath(directory, entry.collectorPid), pid);
    if (running !== undefined) return running;
  }
  const session = await attach(pid, {
    ...(dir === undefined ? {} : { dir }),
    ...(intervalMs === undefined ? {} : { intervalMs }),
  });
  const collector = new LocalCollector(session);
  if (!serve || directory === undefined) return collector;
  const control = await serveOrSay(directory, (asked) => (asked === pid ? collector : undefined));
  const flamegraphs = new FlamegraphSignals(complain);
  flamegraphs.answer(session);
  const close = collector.close.bind(collector);
  collector.close = async () => {
    flamegraphs.stop();
    control?.close();
    await close();
  };
  return collector;
}

/** Without a control socket a collector still collects; it can't be asked, and says so. */
export async function serveOrSay(directory: string, find: FindCollector): Promise<ControlServer | undefined> {
  try {
    return await serveControl(controlSocketPath(directory, process.pid), find);
  } catch (error) {
    complain(error instanceof Error ? error.message : String(error));
    return undefined;
  }
}

/** The channel of a process; where its number was used before, the living one's. */
async function entryOf(pid: number, dir?: string): Promise<ProcessEntry | undefined> {
  const { listProcesses } = await import('../session/index.js');
  const entries = listProcesses(dir).filter((entry) => entry.pid === pid);
  return entries.find(({ state }) => state === 'running') ?? entries.at(-1);
}

/** The process that a command without a PID means: the only one there is. */
export async function onlyProcess(dir?: string): Promise<number> {
  const { listProcesses } = await import('../session/index.js');
  const running = listProcesses(dir).filter(({ state }) => state === 'running');
  const [only] = running;
  if (only !== undefined && running.length === 1) return only.pid;
  throw new OffheapError(
    'WHICH_PROCESS',
    only === undefined
      ? 'no process has a channel; start one with offheap run -- COMMAND'
      : `${running.length} processes have a channel (${running.map(({ pid }) => pid).join(', ')}); name one`,
  );
}
