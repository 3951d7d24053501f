import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Snapshot, SnapshotOwner } from '../../src/report/schema.js';
import { shimPath } from '../../src/session/shim.js';
import { buildC } from './build.js';
import { ROOT } from './paths.js';
import { type Ended, finish, Running, type StartOptions } from './running.js';

const CLI = join(ROOT, 'bin', 'offheap.mjs');

/** A folder for channels, this user's alone, gone after the test. */
export function channelFolder(): string {
  return folderIn('/dev/shm');
}

/** A folder for files, gone after the test. */
export function scratchFolder(): string {
  return folderIn(tmpdir());
}

function folderIn(parent: string): string {
  const folder = mkdtempSync(join(parent, 'offheap-e2e-'));
  chmodSync(folder, 0o700);
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The real command line, run to its end. */
export function offheap(
  args: readonly string[],
  options: StartOptions & { input?: string } = {},
): Promise<Ended> {
  return finish(process.execPath, [CLI, ...args], options);
}

/** The real command line, running beside the test. */
export function startOffheap(args: readonly string[], options: StartOptions = {}): Running {
  return new Running(process.execPath, [CLI, ...args], options);
}

/** Environment of a target that is preloaded by hand. */
export function preloaded(directory: string): Record<string, string> {
  return { LD_PRELOAD: shimPath(), OFFHEAP_DIR: directory };
}

/** test/targets/holder.c, which does as it is told. */
export class Holder {
  private constructor(
    readonly running: Running,
    readonly pid: number,
  ) {}

  /** Started by itself, with the shim where the environment says so. */
  static alone(env: Record<string, string>): Promise<Holder> {
    return Holder.of(new Running(buildC('holder'), [], { env }));
  }

  /** Started by `offheap run`. */
  static async underRun(options: readonly string[], env: Record<string, string> = {}): Promise<Holder> {
    return Holder.of(startOffheap(['run', ...options, '--', buildC('holder')], { env }));
  }

  static async of(running: Running): Promise<Holder> {
    const [, pid] = await running.line(/^READY (\d+)$/);
    return new Holder(running, Number(pid));
  }

  /** Tells it anything but to map; resolves once that is done. */
  async tell(command: string): Promise<void> {
    this.running.write(`${command}\n`);
    await this.running.line(/^(unmapped|kept|churned)$/);
  }

  /** Tells it to map; resolves with the address. */
  async map(bytes: number): Promise<number> {
    this.running.write(`map ${bytes}\n`);
    const [, address] = await this.running.line(/^mapped (0x[0-9a-f]+)$/);
    return Number(address);
  }

  leave(status = 0): Promise<Ended> {
    return this.running.end(`exit ${status}\n`);
  }
}

/** A snapshot by the command line; fails with what it said instead. */
export async function snapshotOf(pid: number, directory: string): Promise<Snapshot> {
  const { status, stdout, stderr } = await offheap(['snapshot', String(pid), '--dir', directory]);
  if (status !== 0) throw new Error(`offheap snapshot ended with ${status}: ${stderr}`);
  return JSON.parse(stdout) as Snapshot;
}

export function readSnapshot(file: string): Snapshot {
  return JSON.parse(readFileSync(file, 'utf8')) as Snapshot;
}

export function ownerOf(snapshot: Snapshot, owner: string, kind: SnapshotOwner['kind']): SnapshotOwner {
  const found = snapshot.owners.find((each) => each.owner === owner && each.kind === kind);
  if (found === undefined) {
    const present = snapshot.owners.map((each) => `${each.owner} (${each.kind})`).join(', ');
    throw new Error(`no owner ${owner} (${kind}) among ${present}`);
  }
  return found;
}

/** Function names of a mapping's stack, leaf first. */
export function functionsOf(snapshot: Snapshot, stack: number): (string | null)[] {
  return (snapshot.stacks[stack] ?? []).map((frame) => frame.function);
}
