import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { MappingEvent } from '../wire/event.js';
import { Drain, type DrainHandler } from './drain.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
let folder: string;
let producer: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'offheap-stress-'));
  producer = join(folder, 'produce');
  const source = join(root, 'native/addon/stress/produce.cc');
  execFileSync('g++', ['-std=c++20', '-O2', '-pthread', '-I', root, '-o', producer, source]);
});

const producers: ChildProcess[] = [];

afterAll(() => {
  for (const child of producers) child.kill('SIGKILL');
  rmSync(folder, { recursive: true });
});

async function start(path: string, ringEvents: number, threads: number, records: number) {
  const child = spawn(producer, [path, ringEvents, threads, records].map(String), {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  producers.push(child);
  await once(child.stdout, 'data');
  return child;
}

const MASK = (1n << 47n) - 1n;
const WORD = (1n << 64n) - 1n;

/** What the producer derives from a record's position. */
function mix(position: number, salt: number): number {
  const value = ((BigInt(position) + BigInt(salt)) * 0x9e3779b97f4a7c15n) & WORD;
  return Number((value ^ (value >> 29n)) & MASK);
}

/** Checks each record against what its position, thread and number demand. */
class Checker implements DrainHandler {
  readonly nextNumber = new Map<number, number>();
  events = 0;
  uncommitted = 0;
  faults: string[] = [];
  #lastPosition = -1;

  constructor(readonly drain: Drain) {}

  event(event: MappingEvent): void {
    this.events++;
    if (event.position <= this.#lastPosition) this.#fault(event, 'out of order');
    this.#lastPosition = event.position;
    const number = this.nextNumber.get(event.threadId) ?? 0;
    if (event.refersTo !== number) this.#fault(event, `number ${event.refersTo} instead of ${number}`);
    this.nextNumber.set(event.threadId, event.refersTo + 1);
    if (event.generation !== event.threadId) this.#fault(event, 'thread and generation differ');
    // BigInt arithmetic is slow: the first and last fields written are looked at always, all in every 16th record.
    const salts = event.position % 16 === 0 ? [0, 1, 2, 3, 4, 5] : [event.position % 6];
    for (const salt of salts) {
      if (event.args[salt] !== mix(event.position, salt)) this.#fault(event, `argument ${salt} is torn`);
    }
    if (event.extra !== mix(event.position, 7)) this.#fault(event, 'extra is torn');
    this.#checkStack(event);
  }

  gap(reason: string, events: number): void {
    if (reason === 'uncommitted') this.uncommitted += events;
    else this.faults.push(`${events} events lost: ${reason}`);
  }

  checkpoint(position: number): void {
    this.drain.confirm(position);
  }

  #checkStack(event: MappingEvent): void {
    const variant = (event.refersTo * 7919) % 4096;
    const expected = [4, 3, 2, 1, 0].map((depth) => 0x1000000 * (depth + 1) + (variant >> (2 * (4 - depth))));
    const frames = this.drain.stacks.frames(event.stack);
    const same =
      frames.length === 5 &&
      frames.every((frame, i) => frame.address === expected[i] && frame.generation === event.threadId);
    if (!same) this.#fault(event, `stack ${event.stack} is wrong`);
  }

  #fault(event: MappingEvent, what: string): void {
    if (this.faults.length < 10) this.faults.push(`position ${event.position}: ${what}`);
  }
}

/** Polls without a pause until the target is gone and its ring is empty. */
async function drainAll(drain: Drain, checker: Checker): Promise<void> {
  while (!drain.ended) {
    drain.poll(checker);
    await new Promise(setImmediate);
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}

test('records written at full speed by several threads arrive once, whole and in order', async () => {
  const path = join(folder, 'full-speed');
  const child = await start(path, 4096, 3, 200_000);
  const drain = new Drain(path);
  const checker = new Checker(drain);
  await drainAll(drain, checker);
  await ended(child);
  expect(checker.faults).toEqual([]);
  expect(checker.events).toBe(600_000);
  expect(checker.uncommitted).toBe(0);
  expect([...checker.nextNumber.values()]).toEqual([200_000, 200_000, 200_000]);
  drain.close();
});

test('a producer killed at any moment loses nothing but what it had not committed', async () => {
  let events = 0;
  for (let round = 0; round < 12; round++) {
    const path = join(folder, `killed-${round}`);
    const child = await start(path, 1024, 3, 1e9);
    const drain = new Drain(path);
    const checker = new Checker(drain);
    setTimeout(() => child.kill('SIGKILL'), Math.random() * 60);
    await drainAll(drain, checker);
    await ended(child);
    expect(checker.faults).toEqual([]);
    expect(checker.uncommitted).toBeLessThanOrEqual(3);
    expect(checker.events + checker.uncommitted).toBe(drain.header.ringHead);
    events += checker.events;
    drain.close();
  }
  // One round may end before its threads have begun.
  expect(events).toBeGreaterThan(0);
});

test('a collector that ends hands over what it had not confirmed', async () => {
  const path = join(folder, 'hand-over');
  const child = await start(path, 1024, 2, 20_000);
  const first = new Drain(path);
  const checker = new Checker(first);
  for (let polls = 0; polls < 20; polls++) {
    first.poll(checker);
    await new Promise(setImmediate);
  }
  const confirmed = first.header.ringTail;
  expect(() => new Drain(path)).toThrow(/already collects/);
  first.close();

  const second = new Drain(path);
  const all = new Checker(second);
  const from = second.position;
  expect(from).toBeGreaterThanOrEqual(confirmed);
  // Numbers don't start at 0 here: take the first of each thread as it comes.
  const numbers = new Map<number, number[]>();
  await drainAll(second, {
    event: (event: MappingEvent) => {
      const seen = numbers.get(event.threadId) ?? [];
      seen.push(event.refersTo);
      numbers.set(event.threadId, seen);
    },
    gap: (reason: string, events: number) => all.gap(reason, events),
    checkpoint: (position: number) => all.checkpoint(position),
  } as unknown as Checker);
  await ended(child);
  expect(all.faults).toEqual([]);
  expect([...numbers.values()].reduce((sum, seen) => sum + seen.length, 0)).toBe(40_000 - from);
  for (const seen of numbers.values()) {
    expect(seen.at(-1)).toBe(19_999);
    expect(seen.every((number, i) => i === 0 || number === seen[i - 1]! + 1)).toBe(true);
  }
  second.close();
});
