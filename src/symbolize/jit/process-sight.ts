import { readFileSync, readlinkSync, statSync } from 'node:fs';
import { liveness } from '../../drain/process-identity.js';

export interface ProcessSightOptions {
  pid: number;
  /** The pid that the process knows itself by: that of its own pid namespace. */
  ownPid: number;
  startTicks: number;
  /** Of the process's channel: a file that it made. */
  channelPath: string;
}

/** How files look from within a process, as long as it lives and, where it shares our file systems, beyond. */
export class ProcessSight {
  readonly ownPid: number;
  readonly #users: ReadonlySet<number>;
  readonly #isApart: boolean;
  /** It doesn't come back. */
  #isGone = false;

  constructor(private readonly options: ProcessSightOptions) {
    const { pid, ownPid, channelPath } = options;
    this.ownPid = ownPid;
    const users = this.#lives() ? usersOf(pid) : [];
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
    this.#isGone ||= liveness(this.options.pid, this.options.startTicks) === 'gone';
    return !this.#isGone;
  }
}

/** Its real, effective and saved user, and that of the file system. */
function usersOf(pid: number): number[] {
  try {
    const [, users = ''] = /^Uid:\s*(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1')) ?? [];
    return users.split(/\s+/).filter(Boolean).map(Number);
  } catch {
    return [];
  }
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
