import { accessSync, constants } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { constants as os } from 'node:os';
import { dirname } from 'node:path';
import { formatBytes } from '../report/bytes.js';
import { overviewOf } from '../report/overview.js';
import { byGrowth, reportTable } from '../report/table.js';
import { printable } from '../report/text.js';
import type { LaunchedSession } from '../session/index.js';
import type { Session } from '../session/session.js';
import { OffheapError } from '../wire/error.js';
import { LocalCollector } from './collector.js';
import { channelOf, serveOrSay } from './connect.js';
import type { ControlServer } from './control-server.js';
import { answerFlamegraphSignal, formatOfFile } from './flamegraph-file.js';
import { PassedSignals } from './passed-signals.js';
import { columnsOf, complain, waiting, wantsColors } from './streams.js';

export interface RunOptions {
  dir?: string;
  sampleBytes: number;
  interval: number;
  snapshot?: string;
  flamegraph?: string;
  quiet?: boolean;
}

/** Runs a command under the shim and collects until it ends. Resolves with the exit status to end with. */
export async function run(command: string, args: string[], options: RunOptions): Promise<number> {
  for (const file of [options.snapshot, options.flamegraph]) if (file !== undefined) checkFolder(file);
  const signals = new PassedSignals();
  try {
    const { launch } = await import('../session/index.js');
    const session = await launch(command, args, {
      heap: 'off',
      sampleBytes: options.sampleBytes,
      intervalMs: options.interval,
      quiet: options.quiet ?? false,
      ...(options.dir === undefined ? {} : { dir: options.dir }),
    });
    signals.to((signal) => session.kill(signal));
    return await collect(session, options);
  } finally {
    signals.stop();
  }
}

async function collect(session: LaunchedSession, options: RunOptions): Promise<number> {
  const sessions = () => [session, ...session.children()];
  const doors = new ControlDoors(sessions, options.dir);
  const silence = answerFlamegraphSignal(sessions, complain);
  let status: number;
  try {
    const { code, signal } = await session.exited;
    status = code ?? 128 + (signal === null ? 0 : os.signals[signal]);
  } finally {
    silence();
    doors.close();
  }
  try {
    await writeFiles(session, options);
    if (!options.quiet) report(session);
  } catch (error) {
    // The command's own failure is the better news.
    if (status === 0) throw error;
    complain(error instanceof Error ? error.message : String(error));
  } finally {
    await Promise.all(sessions().map((each) => each.close()));
  }
  return status;
}

async function writeFiles(session: Session, { snapshot, flamegraph }: RunOptions): Promise<void> {
  if (snapshot !== undefined) await writeFile(snapshot, `${JSON.stringify(session.snapshot())}\n`);
  if (flamegraph === undefined) return;
  const work = session.flamegraph({ format: formatOfFile(flamegraph) });
  await writeFile(flamegraph, await waiting('drawing the flame graph', work));
}

function report(session: LaunchedSession): void {
  const columns = columnsOf(process.stderr);
  const colors = wantsColors(process.stderr);
  const lines = [reportTable(overviewOf(session.snapshot()), { columns, colors })];
  for (const child of session.children()) {
    const { process: about, owners } = child.snapshot();
    const largest = [...owners].sort(byGrowth)[0];
    const holder = largest === undefined ? '' : `; ${printable(largest.owner)} ${formatBytes(largest.bytes)}`;
    lines.push(`child ${about.pid} ${printable(about.command.join(' '))}: ${about.state}${holder}`);
  }
  process.stderr.write(`${lines.join('\n')}\n`);
}

/** Said before an hour of recording, not after it. */
function checkFolder(file: string): void {
  try {
    accessSync(dirname(file), constants.W_OK);
  } catch {
    throw new OffheapError(
      'not-writable',
      `can't write ${file}; name a file in a folder that is there and writable`,
    );
  }
}

/** A control socket for each watched process, children included, as they come. */
class ControlDoors {
  private readonly open = new Map<Session, Promise<ControlServer | undefined>>();
  private readonly timer: NodeJS.Timeout;

  constructor(
    private readonly sessions: () => Session[],
    private readonly dir: string | undefined,
  ) {
    this.openNew();
    this.timer = setInterval(() => this.openNew(), 500);
  }

  close(): void {
    clearInterval(this.timer);
    for (const server of this.open.values()) void server.then((each) => each?.close());
  }

  private openNew(): void {
    for (const session of this.sessions()) {
      if (!this.open.has(session)) this.open.set(session, this.serve(session));
    }
  }

  private async serve(session: Session): Promise<ControlServer | undefined> {
    const entry = await channelOf(session.pid, this.dir);
    return entry && serveOrSay(entry.channel, new LocalCollector(session, this.sessions));
  }
}
