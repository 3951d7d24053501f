import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { checkDirectory, defaultDirectory } from '../drain/directory.js';
import { OffheapError } from '../wire/error.js';
import type { HeapMode } from '../wire/heap-mode.js';
import { Family } from './family.js';
import { compareCounts, Oracle, type OracleFinding } from './oracle.js';
import { whyUnrecorded } from './preload-refusal.js';
import { ProcessFacts } from './process-facts.js';
import type { Session } from './session.js';
import { requireShim } from './shim.js';
import type { WatchedProcess } from './watched-process.js';

export interface LaunchOptions {
  /** Which allocations are recorded; mappings always are. Default `sampled`. */
  heap?: HeapMode;
  /** Mean of the sampling in bytes. */
  sampleBytes?: number;
  /** Names the command's memory in the kernel by its owner; that splits areas, of which a process may have so many. */
  label?: boolean;
  /** Holds what is recorded of the command against the kernel's own count of its calls; for the superuser. */
  oracle?: boolean;
  /** Holds what is recorded against the kernel's perf records of what is mapped, all the time; the command pays for them. */
  witness?: boolean;
  /** Where channels lie; they stay there afterwards. By default they lie in a folder of this user and are removed. */
  dir?: string;
  /** How often growth is sampled, in milliseconds. */
  intervalMs?: number;
  quiet?: boolean;
  followChildren?: boolean;
}

export interface LaunchedSession extends Session {
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** Why nothing is recorded of the command, where nothing is: one line. */
  readonly problem: string | undefined;
  /** What the oracle found once the command had ended, where it was asked. */
  readonly oracle: Promise<OracleFinding | undefined>;
  kill(signal: NodeJS.Signals): void;
  /** The processes that this one and its children have started, oldest first. Of hundreds of ended ones those stay that held most. */
  children(): Session[];
  /** How many ended children `children()` leaves out. */
  forgottenChildren(): number;
}

/** A shim starts recording before the command's own first instruction: so late, there is none. */
const HANDSHAKE_MS = 2000;

/**
 * Starts a command under the shim with this process's standard streams.
 * @throws OffheapError `SHIM_MISSING`, `COMMAND_NOT_FOUND`, `COMMAND_REFUSED`, `DIRECTORY_REFUSED`, `ORACLE_MISSING`.
 */
export async function launch(
  command: string,
  args: readonly string[] = [],
  options: LaunchOptions = {},
): Promise<LaunchedSession> {
  const shim = requireShim();
  const directory = options.dir ?? defaultDirectory();
  makeDirectory(directory);
  const oracle = options.oracle === true ? await Oracle.start() : undefined;
  let isAwaited = true;
  const family = new Family(directory, {
    followChildren: options.followChildren ?? true,
    countsCalls: oracle !== undefined,
    hasWitness: options.witness ?? false,
    removeChannels: options.dir === undefined,
    onChild: (child) => {
      // Who still awaits this function can't listen yet: of what is there at once they are told right after.
      if (isAwaited) setImmediate(() => member.emit('child', child));
      else member.emit('child', child);
    },
    ...(options.intervalMs === undefined ? {} : { intervalMs: options.intervalMs }),
  });
  let child: ChildProcess;
  let member: WatchedProcess;
  try {
    child = await start(command, args, {
      ...process.env,
      LD_PRELOAD: [shim, process.env.LD_PRELOAD].filter(Boolean).join(':'),
      OFFHEAP_DIR: directory,
      // What it records before we have found its channel is waited for.
      OFFHEAP_COLLECTOR: String(process.pid),
      ...(options.heap === undefined ? {} : { OFFHEAP_HEAP: options.heap }),
      ...(oracle === undefined ? {} : { OFFHEAP_MARK: '1' }),
      ...(options.label === true ? { OFFHEAP_LABEL: '1' } : {}),
      ...(options.sampleBytes === undefined ? {} : { OFFHEAP_SAMPLE_BYTES: String(options.sampleBytes) }),
    });
  } catch (error) {
    oracle?.stop();
    await family.close();
    throw error;
  }
  member = family.create(new ProcessFacts(child.pid!, true, [command, ...args]));
  family.adopt(member);
  const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once('exit', (code, signal) => {
      // What was created in the last moment is found, and the children that ended with it are read to their end.
      family.scan();
      if (member.recording === undefined) member.problem = whyUnrecorded(command);
      for (const each of family.members) if (each !== member) each.endIfGone();
      member.end({ state: signal === null ? 'exited' : 'killed', exit: code });
      resolve({ code, signal });
    });
  });
  await handshake(family, member, child);
  if (member.recording === undefined && child.exitCode === null) member.problem = whyUnrecorded(command);

  isAwaited = false;
  const finding = exited.then(async () => {
    const kernel = await oracle?.finish(child.pid!);
    const { recording } = member;
    if (kernel === undefined || recording === undefined) return undefined;
    const found = compareCounts(kernel, recording);
    if (!found.agrees) member.addGap(found.line);
    return found;
  });
  return Object.assign(member, {
    exited,
    oracle: finding,
    kill: (signal: NodeJS.Signals) => void child.kill(signal),
    children: () => {
      // Those of this very moment as well.
      family.scan();
      return [...family.members].filter((each) => each !== member);
    },
    forgottenChildren: () => family.forgotten,
    close: () => {
      oracle?.stop();
      return family.close();
    },
  });
}

function makeDirectory(directory: string): void {
  try {
    mkdirSync(directory, { mode: 0o700, recursive: true });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new OffheapError(
      'DIRECTORY_REFUSED',
      `can't make ${directory}: ${reason}; give another with --dir`,
    );
  }
  checkDirectory(directory);
}

function start(command: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<ChildProcess> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'inherit', env });
    child.once('spawn', () => resolve(child));
    child.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        error.code === 'ENOENT'
          ? new OffheapError(
              'COMMAND_NOT_FOUND',
              `there is no command ${command}; name one that is in PATH, or its path`,
            )
          : new OffheapError(
              'COMMAND_REFUSED',
              `can't start ${command}: ${error.message}; check its permissions`,
            ),
      );
    });
  });
}

/** Waits until the command's channel is there, or it is clear that none will be. */
async function handshake(family: Family, member: WatchedProcess, child: ChildProcess): Promise<void> {
  const until = performance.now() + HANDSHAKE_MS;
  while (member.recording === undefined && child.exitCode === null && child.signalCode === null) {
    family.scan();
    if (member.recording !== undefined || performance.now() > until) return;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
