import { accessSync, constants } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { constants as os } from 'node:os';
import { dirname } from 'node:path';
import { onlyFrames } from '../report/frame-filter.js';
import type { LaunchedSession } from '../session/index.js';
import type { Session } from '../session/session.js';
import { OffheapError } from '../wire/error.js';
import type { HeapMode } from '../wire/heap-mode.js';
import { LocalCollector } from './collector.js';
import { serveOrSay } from './connect.js';
import type { ControlServer } from './control-server.js';
import { formatOfFile } from './flamegraph-file.js';
import { FlamegraphSignals } from './flamegraph-signals.js';
import { type FrameOptions, filterOf } from './frame-options.js';
import { PassedSignals } from './passed-signals.js';
import { complain, waiting } from './streams.js';

export interface RunOptions extends FrameOptions {
  dir?: string;
  heap: HeapMode;
  sampleBytes: number;
  label?: boolean;
  oracle?: boolean;
  witness?: boolean;
  interval: number;
  snapshot?: string;
  flamegraph?: string;
  fold?: boolean;
  quiet?: boolean;
}

/** Runs a command under the shim and collects until it ends. Resolves with the exit status to end with. */
export async function run(command: string, args: string[], options: RunOptions): Promise<number> {
  for (const file of [options.snapshot, options.flamegraph]) if (file !== undefined) checkFolder(file);
  const signals = new PassedSignals();
  const flamegraphs = new FlamegraphSignals(complain);
  try {
    const { launch } = await import('../session/index.js');
    const session = await launch(command, args, {
      heap: options.heap,
      sampleBytes: options.sampleBytes,
      label: options.label ?? false,
      oracle: options.oracle ?? false,
      witness: options.witness ?? false,
      intervalMs: options.interval,
      quiet: options.quiet ?? false,
      ...(options.dir === undefined ? {} : { dir: options.dir }),
    });
    signals.to((signal) => session.kill(signal));
    // Said now: whoever starts a server would learn it only when that ends.
    if (session.problem !== undefined && !options.quiet) complain(session.problem);
    flamegraphs.answerAll(session);
    return await collect(session, options);
  } finally {
    flamegraphs.stop();
    signals.stop();
  }
}

async function collect(session: LaunchedSession, options: RunOptions): Promise<number> {
  const control = serve(session, options.dir);
  let status: number;
  try {
    const { code, signal } = await session.exited;
    status = code ?? 128 + (signal === null ? 0 : os.signals[signal]);
  } finally {
    (await control)?.close();
  }
  try {
    const oracle = await session.oracle;
    await writeFiles(session, options);
    if (oracle !== undefined && !options.quiet) complain(`oracle: ${oracle.line}`);
    if (!options.quiet) await report(session, options);
  } catch (error) {
    // The command's own failure is the better news.
    if (status === 0) throw error;
    complain(error instanceof Error ? error.message : String(error));
  } finally {
    await session.close();
  }
  return status;
}

/** Answers questions about the command and its children while they run. */
async function serve(session: LaunchedSession, dir: string | undefined): Promise<ControlServer | undefined> {
  const { defaultDirectory } = await import('../session/index.js');
  const sessions = () => [session, ...session.children()];
  const collectors = new WeakMap<Session, LocalCollector>();
  return serveOrSay(dir ?? defaultDirectory(), (pid) => {
    const asked = sessions().findLast((each) => each.pid === pid);
    if (asked === undefined) return undefined;
    const collector = collectors.get(asked) ?? new LocalCollector(asked, sessions);
    collectors.set(asked, collector);
    return collector;
  });
}

async function report(session: LaunchedSession, options: RunOptions): Promise<void> {
  const { runReport } = await import('./run-report.js');
  process.stderr.write(await runReport(session, filterOf(options)));
}

async function writeFiles(session: Session, options: RunOptions): Promise<void> {
  const { snapshot, flamegraph, fold: foldPlumbing } = options;
  const only = filterOf(options);
  if (snapshot !== undefined) {
    const work = session.withLines(session.snapshot());
    const described = onlyFrames(await waiting('looking up lines', work), only);
    await writeFile(snapshot, `${JSON.stringify(described)}\n`);
  }
  if (flamegraph === undefined) return;
  const work = session.flamegraph({ format: formatOfFile(flamegraph), only, foldPlumbing });
  await writeFile(flamegraph, await waiting('drawing the flame graph', work));
}

/** Said before an hour of recording, not after it. */
function checkFolder(file: string): void {
  try {
    accessSync(dirname(file), constants.W_OK);
  } catch {
    throw new OffheapError(
      'NOT_WRITABLE',
      `can't write ${file}; name a file in a folder that is there and writable`,
    );
  }
}
