import { lstatSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Channel } from '../wire/channel.js';
import { OffheapError } from '../wire/error.js';
import type { ChannelHeader } from '../wire/header.js';
import { visibleProcessId } from './pid-namespaces.js';
import { type Liveness, liveness } from './process-identity.js';

/** A channel file by its name alone: the process's number is the one by which it knows itself. */
export interface ChannelFile {
  path: string;
  pid: number;
  /** 16 hexadecimal digits. */
  channelId: string;
}

/** A channel that could be read, with the process's number as we know it, or why not. */
export interface ChannelEntry extends ChannelFile {
  header: ChannelHeader | null;
  command: string[];
  /** `replaced`: the process runs on, with another program (exec) that has a channel of its own. */
  state: Liveness | 'replaced' | 'unreadable';
  error: OffheapError | null;
}

/** Where channels lie unless told otherwise: `OFFHEAP_DIR`, else this user's folder in shared memory. */
export function defaultDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  return environment.OFFHEAP_DIR || `/dev/shm/offheap-${process.geteuid?.() ?? 0}`;
}

/**
 * Refuses a folder that others could plant files in. False where there is none: nothing was recorded yet. The
 * superuser may look into other users' folders.
 */
export function checkDirectory(directory: string): boolean {
  let status: ReturnType<typeof lstatSync>;
  try {
    status = lstatSync(directory);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw refused(directory, 'cannot be examined');
  }
  if (!status.isDirectory()) throw refused(directory, 'is not a folder');
  const user = process.geteuid?.() ?? 0;
  if (user !== 0 && status.uid !== user) throw refused(directory, `belongs to user ${status.uid}`);
  if ((status.mode & 0o022) !== 0) throw refused(directory, 'can be written by other users');
  return true;
}

function refused(directory: string, reason: string): OffheapError {
  return new OffheapError(
    'DIRECTORY_REFUSED',
    `${directory} ${reason}; give another folder with --dir or OFFHEAP_DIR`,
  );
}

const FILE_NAME = /^([1-9][0-9]{0,9})-([0-9a-f]{1,16})\.channel$/;

/** The channel files of a folder, without opening them. */
export function channelFiles(directory: string): ChannelFile[] {
  if (!checkDirectory(directory)) return [];
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch {
    throw refused(directory, 'cannot be read');
  }
  return names.flatMap((name) => {
    const match = FILE_NAME.exec(name);
    if (!match) return [];
    return [{ path: join(directory, name), pid: Number(match[1]), channelId: match[2]!.padStart(16, '0') }];
  });
}

/** All channels of a folder, oldest first, with what their headers say. Unfinished ones are left out. */
export function listChannels(directory: string): ChannelEntry[] {
  const entries = channelFiles(directory).flatMap((file) => examine(file));
  entries.sort((a, b) => startOf(a) - startOf(b));
  const newest = new Map<number, ChannelEntry>();
  for (const entry of entries) if (entry.header) newest.set(entry.pid, entry);
  for (const entry of entries) {
    const replaced = entry.header && entry.state !== 'gone' && newest.get(entry.pid) !== entry;
    if (replaced) entry.state = 'replaced';
  }
  return entries;
}

/** The channel that a process writes now, or wrote last; undefined where it has none. */
export function currentChannel(directory: string, pid: number): ChannelEntry | undefined {
  const entries = listChannels(directory).filter((entry) => entry.pid === pid);
  return entries.findLast((entry) => entry.header !== null) ?? entries.at(-1);
}

/**
 * Deletes a channel that is written no more. It holds shared memory until then, a megabyte or more, and nothing else
 * deletes it. False, and the file stays, where the target may still write.
 */
export function removeChannel(entry: ChannelEntry): boolean {
  if (entry.state !== 'gone' && entry.state !== 'replaced') return false;
  rmSync(entry.path, { force: true });
  return true;
}

function startOf(entry: ChannelEntry): number {
  return entry.header?.startMonotonicNs ?? 0;
}

function examine(file: ChannelFile): ChannelEntry[] {
  try {
    const channel = new Channel(file.path);
    try {
      const header = channel.opened;
      const pid = visibleProcessId(header);
      const state = liveness(pid, header.processStartTicks);
      return [{ ...file, pid, header, command: command(channel), state, error: null }];
    } finally {
      channel.close();
    }
  } catch (error) {
    if (!(error instanceof OffheapError)) throw error;
    // Not there any more, or not there yet: neither is a channel.
    if (error.code === 'CHANNEL_MISSING' || error.code === 'CHANNEL_STARTING') return [];
    return [{ ...file, header: null, command: [], state: 'unreadable', error }];
  }
}

function command(channel: Channel): string[] {
  try {
    return channel.command();
  } catch {
    return [];
  }
}
