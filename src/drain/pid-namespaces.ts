import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { uptime } from 'node:os';
import type { ChannelHeader } from '../wire/header.js';
import { processStatus } from './process-identity.js';

/** The unit of start times in /proc/PID/stat, on x86. */
const TICKS_PER_SECOND = 100;

type Identity = Pick<ChannelHeader, 'processId' | 'processStartTicks' | 'pidNamespace'>;

/**
 * The number by which we know a process that, in a container, knows itself by another. Its own where there is none that we
 * can see: then it is gone, or in a pid namespace that is not below ours.
 */
export function visibleProcessId(identity: Identity): number {
  const { processId, processStartTicks, pidNamespace } = identity;
  if (!isElsewhere(identity)) return processId;
  const nested = nestedProcesses(processStartTicks);
  // Whose namespace we may not read is known by the time of its start alone.
  const inAny = nested.get(keyOf(0, processId, processStartTicks));
  return nested.get(keyOf(pidNamespace, processId, processStartTicks)) ?? inAny ?? processId;
}

/** Whether the process counts processes otherwise than we do. */
export function isElsewhere({ pidNamespace }: Pick<ChannelHeader, 'pidNamespace'>): boolean {
  return pidNamespace !== 0 && pidNamespace !== ownNamespace();
}

/** Why a process that is not to be found may live all the same, null where it can't. */
export function whyUnseen(identity: Identity & Pick<ChannelHeader, 'state'>): string | null {
  const isFound = processStatus(visibleProcessId(identity))?.startTicks === identity.processStartTicks;
  if (identity.state === 'exited' || isFound || !isElsewhere(identity)) return null;
  return `process ${identity.processId} has ended, or is in a pid namespace that can't be seen from here: run offheap on the host, or by nsenter -t PID -p -m`;
}

/** The number of its parent as we know it; undefined where it is gone. */
export function visibleParentId(pid: number): number | undefined {
  const parent = /^PPid:\s*(\d+)$/m.exec(statusText(pid))?.[1];
  return parent === undefined ? undefined : Number(parent);
}

let own: number | undefined;

/** The inode in "pid:[4026531836]", as the channels have it; 0 where it can't be known. */
function ownNamespace(): number {
  own ??= namespaceOf('self');
  return own;
}

function namespaceOf(process: string): number {
  return Number(/\d+/.exec(readLink(`/proc/${process}/ns/pid`))?.[0] ?? 0);
}

function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

let index: ReadonlyMap<string, number> = new Map();
let indexedAtTicks = -1;

/**
 * Processes in namespaces below ours, by what they know themselves by, as of a moment at which those that began at
 * `startTicks` were there. A look through all of /proc takes some ten milliseconds on a large machine.
 */
function nestedProcesses(startTicks: number): ReadonlyMap<string, number> {
  if (indexedAtTicks > startTicks + 1) return index;
  indexedAtTicks = Math.floor(uptime() * TICKS_PER_SECOND);
  const found = new Map<string, number>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const pid = Number(name);
    const inside = ownNumber(statusText(pid));
    const startTicks = inside === undefined ? undefined : processStatus(pid)?.startTicks;
    if (inside === undefined || startTicks === undefined) continue;
    const key = keyOf(namespaceOf(name), inside, startTicks);
    // Two whose namespaces we may not read, and which began within the same clock tick: neither is anybody's for certain.
    found.set(key, found.has(key) ? Number.NaN : pid);
  }
  for (const [key, pid] of found) if (Number.isNaN(pid)) found.delete(key);
  index = found;
  return index;
}

/** "NSpid: 4711 12 1": as we know it, then namespace by namespace, the last as it knows itself. */
function ownNumber(status: string): number | undefined {
  const numbers = /^NSpid:\s*(.+)$/m.exec(status)?.[1]?.split(/\s+/) ?? [];
  return numbers.length < 2 ? undefined : Number(numbers.at(-1));
}

function statusText(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'latin1');
  } catch {
    return '';
  }
}

function keyOf(namespace: number, processId: number, startTicks: number): string {
  return `${namespace} ${processId} ${startTicks}`;
}
