/** What the collector takes for the blocks that live, and how fast it reads and accounts for events. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Channel } from '../../src/wire/channel.js';
import { HeapChannel } from '../../src/wire/heap.js';
import { buildTarget } from '../support/builds.js';
import { ChannelFolder } from '../support/channels.js';
import { Conversation } from '../support/conversation.js';
import { residentBytes, sleep } from '../support/processes.js';
import type { Choice } from './choice.js';
import { type Comparison, compare } from './comparison.js';
import { type OfSides, type Side, under } from './side.js';

const GROUP = 'collector (offheap run) and helper (heaptrack_interpret)';
const MEMORY_ROUNDS = 5;
const MANY_LIVE = 5_000_000;
const SETTLE_MS = 2_500;
const MOST_MEGABYTES = (MANY_LIVE * 16) / 1e6 + 100;

const THROUGHPUT_ROUNDS = 5;
const LIVE = 1_000_000;
/** Freed and allocated again, two events each; with the first allocations they fit in the chunks. */
const CHURN = 5_000_000;
const CHUNKS = 24_000;
const LEAST_MILLIONS_PER_SECOND = 20;

export async function collector(choice: Choice): Promise<Comparison[]> {
  return [...(await memory(choice)), ...(await throughput(choice))];
}

async function memory(choice: Choice): Promise<Comparison[]> {
  const idle: OfSides<number[]> = {};
  const busy: OfSides<number[]> = {};
  const perBlock: OfSides<number[]> = {};
  const sides = choice.sides.filter((side) => side === 'exact' || side === 'heaptrack');
  for (const figures of [idle, busy, perBlock]) for (const side of sides) figures[side] = [];
  for (let left = choice.rounds ?? MEMORY_ROUNDS; left > 0; left--) {
    for (const side of sides) {
      const { none, many } = await residents(side);
      idle[side]?.push(none / 1e6);
      busy[side]?.push(many / 1e6);
      perBlock[side]?.push((many - none) / MANY_LIVE);
    }
  }
  const live = MANY_LIVE.toLocaleString('en-US');
  const row = { group: GROUP, relation: 'value' } as const;
  const reach = { side: 'exact', most: MOST_MEGABYTES } as const;
  const note = '16 B for each and 100 MB';
  return [
    compare({ ...row, what: 'RSS with nothing live', unit: 'MB' }, idle),
    compare({ ...row, what: `RSS with ${live} live`, unit: 'MB', reach, note }, busy),
    compare({ ...row, what: '  the difference, per block', unit: 'B' }, perBlock),
  ];
}

/** Resident bytes of what accounts for a target's blocks, with none and with many of them. */
async function residents(side: Side): Promise<{ none: number; many: number }> {
  const folder = new ChannelFolder();
  const target = new Conversation(under(side, [buildTarget('heap_live')], folder.path));
  try {
    await target.ask('grow 1');
    await sleep(SETTLE_MS);
    const accountant = side === 'heaptrack' ? descendant(target.pid, 'heaptrack_inter') : target.pid;
    const none = residentBytes(accountant);
    await target.ask(`grow ${MANY_LIVE}`);
    await sleep(SETTLE_MS);
    return { none, many: residentBytes(accountant) };
  } finally {
    await target.end();
    folder.remove();
  }
}

/** The process of this name (15 characters of it) below another. */
function descendant(pid: number, name: string): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .trim()
    .split(' ')
    .filter(Boolean);
  for (const child of children.map(Number)) {
    if (readFileSync(`/proc/${child}/comm`, 'utf8').trim() === name) return child;
    const found = descendant(child, name);
    if (found > 0) return found;
  }
  return 0;
}

async function throughput(choice: Choice): Promise<Comparison[]> {
  if (!choice.sides.includes('exact')) return [];
  const exact: number[] = [];
  for (let round = 0; round < (choice.rounds ?? THROUGHPUT_ROUNDS); round++)
    exact.push(await drainRecorded());
  const about = {
    group: GROUP,
    what: `drain and ledger, ${LIVE.toLocaleString('en-US')} live`,
    unit: 'M/s',
    relation: 'value',
    reach: { side: 'exact', least: LEAST_MILLIONS_PER_SECOND },
    note: 'events per second of CPU, read from a channel that nobody read before',
  } as const;
  return [compare(about, { exact })];
}

/** Records with no collector, then reads it all. Millions of events per second of CPU. */
async function drainRecorded(): Promise<number> {
  const folder = new ChannelFolder();
  const env = { ...folder.preload(), OFFHEAP_HEAP: 'exact', OFFHEAP_HEAP_CHUNKS: String(CHUNKS) };
  const target = new Conversation([buildTarget('heap_live')], env);
  try {
    await target.ask(`grow ${LIVE}`);
    await target.ask(`churn ${CHURN}`);
    const name = readdirSync(folder.path).find((each) => each.endsWith('.channel'));
    if (name === undefined) throw new Error('the shim made no channel');
    const channel = new Channel(join(folder.path, name));
    channel.claim(0);
    const heap = new HeapChannel(channel.path);
    const started = process.cpuUsage();
    while (heap.drain() > 0);
    const { user, system } = process.cpuUsage(started);
    const { events, lost, liveAllocations } = heap.totals();
    heap.close();
    channel.close();
    if (lost > 0 || liveAllocations < LIVE) {
      throw new Error(`${lost} events were lost, ${liveAllocations} of at least ${LIVE} blocks are live`);
    }
    return events / (user + system);
  } finally {
    await target.end();
    folder.remove();
  }
}
