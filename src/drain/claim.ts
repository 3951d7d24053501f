import { clock } from '../wire/addon.js';
import type { Channel } from '../wire/channel.js';
import { OffheapError } from '../wire/error.js';
import { isElsewhere, visibleProcessId } from './pid-namespaces.js';
import { liveness, processStatus } from './process-identity.js';

/** A collector beats many times a second; one that was silent for so long is stuck, or its pid is another's now. */
const SILENT_NS = 10e9;
/** The lock is held for as long as a copy takes, or the target's tidying up: some milliseconds. */
const LOCK_TRIES = 1000;
const LOCK_WAIT_MS = 2;

/** Channels that this very process collects: its own pid in a lock may be left from a namesake. */
const claimed = new Set<string>();

/**
 * Becomes the only collector of a channel, in place of one that is gone. Throws `CHANNEL_BUSY` where another works.
 * Returns the way to give it back, which closes the channel.
 */
export function claimChannel(channel: Channel): () => void {
  const { channelId } = channel.opened;
  const holder = channel.claim(0);
  if (holder !== 0) {
    if (!isGone(holder, channel)) {
      throw new OffheapError(
        'CHANNEL_BUSY',
        `process ${holder} already collects ${channel.path}; ask that one`,
      );
    }
    const found = channel.claim(holder);
    if (found !== holder) {
      throw new OffheapError('CHANNEL_BUSY', `process ${found} has just begun to collect ${channel.path}`);
    }
  }
  claimed.add(channelId);
  channel.beat();
  return () => {
    claimed.delete(channelId);
    channel.close();
  };
}

function isGone(holder: number, channel: Channel): boolean {
  if (holder === process.pid) return !claimed.has(channel.opened.channelId);
  // Beside a process in a container, its collector may have a number of that namespace: only its silence tells.
  if (!isElsewhere(channel.opened) && !processStatus(holder)) return true;
  return clock().monotonicNs - channel.header().collectorBeatNs > SILENT_NS;
}

/**
 * Runs `use` while the target keeps its hands off. Undefined where that can't be had now: the target was stopped while
 * it was tidying up. Throws `CHANNEL_BUSY` where the lock is never free.
 */
export function whileLocked<T>(channel: Channel, use: () => T): T | undefined {
  if (!takeLock(channel)) return undefined;
  try {
    return use();
  } finally {
    channel.unlock();
  }
}

function takeLock(channel: Channel): boolean {
  const { processId, processStartTicks } = channel.opened;
  for (let tries = 0; tries < LOCK_TRIES; tries++) {
    const holder = channel.lock(0);
    if (holder === 0) return true;
    const state =
      holder === processId ? liveness(visibleProcessId(channel.opened), processStartTicks) : undefined;
    if (state === 'stopped') return false;
    // Whoever was killed while holding it left the channel as it was before or after each of its steps.
    const isDead = state === undefined ? !processStatus(holder) : state === 'gone';
    if (isDead && channel.lock(holder) === holder) return true;
    Atomics.wait(pause, 0, 0, LOCK_WAIT_MS);
  }
  throw new OffheapError(
    'CHANNEL_BUSY',
    `the lock of ${channel.path} is never free; is it another pid namespace?`,
  );
}

const pause = new Int32Array(new SharedArrayBuffer(4));
