import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { layout } from '../wire/addon.js';
import { fieldOffset } from '../wire/layout.js';
import {
  checkDirectory,
  currentChannel,
  defaultDirectory,
  listChannels,
  removeChannel,
} from './directory.js';
import { liveness, processStatus } from './process-identity.js';

const golden = readFileSync(fileURLToPath(new URL('../../native/wire/golden/channel.bin', import.meta.url)));
const { Header } = layout.structures;

let folder: string;
const children: ChildProcess[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'offheap-directory-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

function writeChannel(channelId: bigint, pid: number, startTicks: number, startMonotonicNs: bigint): void {
  const bytes = Buffer.from(golden);
  bytes.writeBigUInt64LE(channelId, fieldOffset(Header, 'channel_id'));
  bytes.writeUInt32LE(pid, fieldOffset(Header, 'process_id'));
  bytes.writeBigUInt64LE(BigInt(startTicks), fieldOffset(Header, 'process_start_ticks'));
  bytes.writeBigUInt64LE(startMonotonicNs, fieldOffset(Header, 'start_monotonic_ns'));
  writeFileSync(join(folder, `${pid}-${channelId.toString(16)}.channel`), bytes, { mode: 0o600 });
}

async function sleeper(): Promise<ChildProcess & { pid: number }> {
  const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
  children.push(child);
  await once(child, 'spawn');
  return child as ChildProcess & { pid: number };
}

test('living, ended, replaced and unreadable channels, oldest first', async () => {
  const child = await sleeper();
  const { startTicks } = processStatus(child.pid)!;
  writeChannel(1n, child.pid, startTicks, 1000n);
  writeChannel(2n, child.pid, startTicks, 2000n);
  writeChannel(3n, 999_999_999, 5, 1500n);
  // The same pid, used by an earlier process.
  writeChannel(4n, child.pid, startTicks - 1, 500n);
  writeFileSync(join(folder, '77-5.channel'), 'garbage', { mode: 0o600 });
  writeFileSync(join(folder, '78-6.channel'), Buffer.alloc(8192), { mode: 0o600 });
  writeFileSync(join(folder, 'notes.txt'), 'no channel');

  const entries = listChannels(folder).map(({ channelId, state }) => [Number.parseInt(channelId, 16), state]);
  expect(entries).toEqual([
    [5, 'unreadable'],
    [4, 'gone'],
    [1, 'replaced'],
    [3, 'gone'],
    [2, 'running'],
  ]);
  const current = currentChannel(folder, child.pid);
  expect(current).toMatchObject({ channelId: '0000000000000002', command: ['sleep', '1000'], error: null });
  expect(currentChannel(folder, 77)?.error).toMatchObject({ code: 'CHANNEL_DAMAGED' });
  expect(currentChannel(folder, 79)).toBeUndefined();

  // Only what is written no more may be deleted.
  expect(listChannels(folder).map((entry) => removeChannel(entry))).toEqual([false, true, true, true, false]);
  expect(listChannels(folder).map(({ state }) => state)).toEqual(['unreadable', 'running']);
});

test('a stopped, a killed and a namesake process', async () => {
  const child = await sleeper();
  const { startTicks } = processStatus(child.pid)!;
  expect(liveness(child.pid, startTicks)).toBe('running');
  expect(liveness(child.pid, startTicks + 1)).toBe('gone');
  child.kill('SIGSTOP');
  await expect.poll(() => liveness(child.pid, startTicks)).toBe('stopped');
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(liveness(child.pid, startTicks)).toBe('gone');
});

test('a main thread that has ended leaves its process alive', async () => {
  const script = 'import ctypes, threading, time\nthreading.Thread(target=time.sleep, args=[1000]).start()\n';
  const child = spawn('python3', ['-c', `${script}ctypes.CDLL(None).pthread_exit(None)`], {
    stdio: 'ignore',
  });
  children.push(child);
  await expect.poll(() => processStatus(child.pid!)?.state).toBe('Z');
  expect(liveness(child.pid!, processStatus(child.pid!)!.startTicks)).toBe('running');
});

test('folders that others could plant files in are refused', () => {
  const refused = expect.objectContaining({ code: 'DIRECTORY_REFUSED' });
  expect(checkDirectory(join(folder, 'none'))).toBe(false);
  expect(checkDirectory(folder)).toBe(true);
  symlinkSync(folder, join(folder, 'link'));
  expect(() => checkDirectory(join(folder, 'link'))).toThrow(refused);
  for (const mode of [0o720, 0o702, 0o1777]) {
    chmodSync(folder, mode);
    expect(() => listChannels(folder)).toThrow(refused);
  }
  chmodSync(folder, 0o700);
  expect(listChannels(folder)).toEqual([]);
});

test('the folder is the environment’s, else the user’s own', () => {
  expect(defaultDirectory({ OFFHEAP_DIR: '/run/channels' })).toBe('/run/channels');
  expect(defaultDirectory({ OFFHEAP_DIR: '' })).toBe(`/dev/shm/offheap-${process.geteuid?.()}`);
});
