import { readFileSync, readlinkSync } from 'node:fs';
import { visibleParentId } from '../drain/pid-namespaces.js';
import { liveness, processStatus } from '../drain/process-identity.js';
import type { ChannelHeader } from '../wire/header.js';

/** How a process ended. */
export interface Ended {
  state: 'exited' | 'killed';
  /** Exit status, where the collector started the process. */
  exit: number | null;
}

/** Who a process is, as /proc and its channel tell. */
export class ProcessFacts {
  parentPid: number;
  command: string[];
  startedAt = new Date();
  #startTicks: number;
  #programPath: string | null = null;

  constructor(
    readonly pid: number,
    /** We started it, so its exit status comes to us. */
    readonly isOurChild: boolean,
    command: string[] = [],
  ) {
    this.command = command;
    this.parentPid = isOurChild ? process.pid : 0;
    this.#startTicks = processStatus(pid)?.startTicks ?? 0;
  }

  /** Takes over what the process's own channel says. */
  describe(header: ChannelHeader, command: string[]): void {
    const isNested = this.pid !== header.processId;
    this.parentPid = (isNested ? visibleParentId(this.pid) : undefined) ?? header.parentProcessId;
    if (command.length > 0) this.command = command;
    this.startedAt = new Date(Number(header.startUnixNs / 1_000_000n));
    this.#startTicks = header.processStartTicks;
    this.#programPath = readProgramPath(this.pid) ?? this.#programPath;
  }

  isRunning(): boolean {
    return liveness(this.pid, this.#startTicks) !== 'gone';
  }

  programPath(): string | null {
    return this.#programPath;
  }
}

/** The program's file, or null where it is not ours to know or the process is gone. */
function readProgramPath(pid: number): string | null {
  try {
    return readlinkSync(`/proc/${pid}/exe`).replace(/ \(deleted\)$/, '');
  } catch {
    return null;
  }
}

/** The command line of any process, empty where it is not ours to know. */
export function readCommand(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replace(/\0$/, '').split('\0');
  } catch {
    return [];
  }
}
