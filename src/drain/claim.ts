import { clock } from '../wire/addon.js';
import type { Channel } from '../wire/channel.js';
import { OffheapError } from '../wire/error.js';
import { processStatus } from './process-identity.js';

/** A collector beats many times a second; one that was silent for so long is stuck, or its pid is another's now. */
const SILENT_NS = 10e9;
const TARGET_TRIES = 100;
const TARGET_WAIT_MS = 2;

/** Channels that this very process collects: its own pid in a lock may be left from a namesake. */
const claimed = new Set<string>();

/**
 * Becomes the only collector of a channel, in place of one that is gone. Throws `CHANNEL_BUSY` where another works.
 * Returns the way to give it back, which closes the channel.
 */
export function claimChannel(channel: Channel): () => void {
  const { channelId } = channel.opened;
  let holder = channel.claim(0);
  // The target holds its own channel for a moment now and then, to tidy it up while nobody reads.
  for (let tries = 0; tries < TARGET_TRIES && holder === channel.opened.processId; tries++) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, TARGET_WAIT_MS);
    holder = channel.claim(0);
  }
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
  if (!processStatus(holder)) return true;
  return clock().monotonicNs - channel.header().collectorBeatNs > SILENT_NS;
}
