import { readFileSync, readlinkSync, statSync } from 'node:fs';
import { liveness } from '../../drain/process-identity.js';

export interface ProcessSightOptions {
  pid: number;
  startTicks: number;
  /** Of the process's channel: a file that it made. */
  channelPath: string;
}

/** How files look from within a process, as long as it lives and, where it shares our file systems, beyond. */
export class ProcessSight {
  /** The pid that the process knows itself by: that of its innermost pid namespace. */
  readonly ownPid: number;
  readonly #users: ReadonlySet<number>;
  readonly #isApart: boolean;

  constructor(private readonly options: ProcessSightOptions) {
    const { pid, channelPath } = options;
    const status = this.#lives() ? readStatus(pid) : '';
    this.ownPid = Number(field(status, 'NSpid').at(-1) ?? pid);
    const users = field(status, 'Uid').map(Number);
    // Root may write anything anyway.
    this.#users = new Set([0, ...(users.length > 0 ? users : ownerOf(channelPath))]);
    this.#isApart = this.#lives() && mountNamespace(pid) !== mountNamespace('self');
  }

  isOwner(uid: number): boolean {
    return this.#users.has(uid);
  }

  /** The path by which we reach what the process sees at an absolute path; null where we no longer can. */
  pathOf(path: string): string | null {
    if (this.#lives()) return `/proc/${this.options.pid}/root${path}`;
    return this.#isApart ? null : path;
  }

  #lives(): boolean {
    return liveness(this.options.pid, this.options.startTicks) !== 'gone';
  }
}

function readStatus(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'latin1');
  } catch {
    return '';
  }
}

function field(status: string, name: string): string[] {
  const line = status.split('\n').find((each) => each.startsWith(`${name}:`));
  return line === undefined
    ? []
    : line
        .slice(name.length + 1)
        .trim()
        .split(/\s+/);
}

function ownerOf(path: string): number[] {
  try {
    return [statSync(path).uid];
  } catch {
    return [];
  }
}

function mountNamespace(pid: number | 'self'): string | null {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`);
  } catch {
    return null;
  }
}
