/** How many mapping events per second of CPU the collector takes with 100,000 live mappings. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ProcessRecording } from '../src/session/recording.js';
import { benchLedger } from './ledger.js';
import { buildTarget } from './support/builds.js';
import { ChannelFolder } from './support/channels.js';
import { Conversation } from './support/conversation.js';
import { atLeast, plainRow, type Row } from './support/row.js';

const GROUP = 'events per second of one core, 100,000 live mappings';
const LIVE = 100_000;
const ROUNDS = 5;
const RING_EVENTS = 1 << 19;
/** Holds the seeds, the live mappings, and then as many events as still fit. */
const CHURN_PER_SECOND = 50_000;
const CHURN_SECONDS = 4;
const TARGET = 1;

export async function throughput(): Promise<Row[]> {
  const { eventsPerSecond, eventsPerSecondWithSites } = benchLedger();
  const backlog: number[] = [];
  for (let round = 0; round < ROUNDS; round++) backlog.push(await drainBacklog());
  const row = (what: string, note: string, values: number[]) =>
    atLeast(plainRow({ group: GROUP, what, unit: 'M/s', note }, values), TARGET);
  return [
    row('ledger alone', 'median of 5 rounds', [eventsPerSecond / 1e6]),
    row('site table and ledger', 'median of 5 rounds', [eventsPerSecondWithSites / 1e6]),
    row('channel, decode, modules, sites, ledger', 'a recorded backlog, checkpoints included', backlog),
  ];
}

/** Records with no collector, then reads it all. Millions of events per second of CPU. */
async function drainBacklog(): Promise<number> {
  const folder = new ChannelFolder();
  const target = new Conversation([buildTarget('live_mappings'), String(LIVE)], {
    ...folder.preload(),
    OFFHEAP_RING_EVENTS: String(RING_EVENTS),
  });
  try {
    await target.next();
    const made = LIVE + 2 * Number(await target.ask(`${CHURN_SECONDS} ${CHURN_PER_SECOND}`));
    const channel = readdirSync(folder.path).find((name) => name.endsWith('.channel'));
    if (channel === undefined) throw new Error('the shim made no channel');
    const recording = new ProcessRecording(join(folder.path, channel));
    const started = process.cpuUsage();
    let events = 0;
    for (let last = 1; last > 0; events += last) last = recording.drain.poll(recording).events;
    const { user, system } = process.cpuUsage(started);
    recording.close();
    // The ring may have been too small for all; what was read must still be the most of it.
    if (events < made / 2) throw new Error(`only ${events} of ${made} events were read`);
    return events / (user + system);
  } finally {
    await target.end();
    folder.remove();
  }
}
