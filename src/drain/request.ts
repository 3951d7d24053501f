import { setTimeout as sleep } from 'node:timers/promises';
import type { Channel, RequestKind } from '../wire/channel.js';
import { OffheapError } from '../wire/error.js';
import type { ChannelHeader } from '../wire/header.js';

export interface RequestLimits {
  /** How long a thread of the target is waited for. */
  limitMs?: number;
}

const THREAD_LIMIT_MS = 5000;
/** A thread that has begun is waited for longer: to give back a large heap takes its time. */
const ANSWER_LIMIT_MS = 60_000;
const SHORTEST_PAUSE_MS = 1;
const LONGEST_PAUSE_MS = 20;

export type RequestAnswer = Pick<ChannelHeader, 'answer' | 'answerSource' | 'answerValues'>;

/**
 * Has a thread of the target do something, and resolves with its answer. Throws `REQUEST_UNANSWERED` where none came by
 * at a place where it may, and `REQUEST_BUSY`.
 */
export async function askTarget(
  channel: Channel,
  kind: RequestKind,
  { limitMs = THREAD_LIMIT_MS }: RequestLimits = {},
): Promise<RequestAnswer> {
  const { requestPasses } = channel.header();
  const request = channel.ask(kind);
  const isAnswered = () => channel.header().requestAnswered === request;
  if (!(await comesTrue(isAnswered, limitMs))) {
    if (channel.withdraw()) throw unanswered(limitMs, channel.header().requestPasses - requestPasses);
    if (!(await comesTrue(isAnswered, ANSWER_LIMIT_MS))) {
      throw new OffheapError(
        'REQUEST_UNANSWERED',
        `a thread of the process has begun and is not done after ${ANSWER_LIMIT_MS / 1000} s; look again later`,
      );
    }
  }
  const { answer, answerSource, answerValues } = channel.header();
  return { answer, answerSource, answerValues };
}

/**
 * The same at once, for who can't wait: what calls its allocator all the time answers within microseconds. The request is
 * taken back if nobody does within `limitMs`; undefined then, and while another request is under way.
 */
export function askTargetAtOnce(
  channel: Channel,
  kind: RequestKind,
  limitMs: number,
  argument?: number,
): RequestAnswer | undefined {
  let request: number;
  try {
    request = channel.ask(kind, argument);
  } catch (error) {
    if (error instanceof OffheapError && error.code === 'REQUEST_BUSY') return undefined;
    throw error;
  }
  const endMs = performance.now() + limitMs;
  let header = channel.header();
  // Once a thread has begun it's about to be done.
  while (header.requestAnswered !== request && (performance.now() < endMs || !channel.withdraw())) {
    if (performance.now() > endMs + limitMs) return undefined;
    Atomics.wait(NOTHING_HAPPENS, 0, 0, SHORTEST_PAUSE_MS);
    header = channel.header();
  }
  if (header.requestAnswered !== request) return undefined;
  const { answer, answerSource, answerValues } = header;
  return { answer, answerSource, answerValues };
}

const NOTHING_HAPPENS = new Int32Array(new SharedArrayBuffer(4));

function unanswered(limitMs: number, passes: number): OffheapError {
  const seconds = `${limitMs / 1000} s`;
  return new OffheapError(
    'REQUEST_UNANSWERED',
    passes === 0
      ? `no thread of the process has called its allocator within ${seconds}; try again when it works`
      : `no thread of the process was outside of signal handlers and its allocator within ${seconds}, ${passes} looks in all; try again`,
  );
}

async function comesTrue(condition: () => boolean, limitMs: number): Promise<boolean> {
  const endMs = performance.now() + limitMs;
  for (let pauseMs = SHORTEST_PAUSE_MS; ; pauseMs = Math.min(LONGEST_PAUSE_MS, 2 * pauseMs)) {
    if (condition()) return true;
    if (performance.now() >= endMs) return false;
    await sleep(pauseMs);
  }
}
