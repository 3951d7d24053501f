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
