/** What the collector takes while the target sleeps, and while it leaks. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildTarget, OFFHEAP } from './support/builds.js';
import { ChannelFolder } from './support/channels.js';
import { Conversation } from './support/conversation.js';
import { cpuNs, residentBytes, sleep } from './support/processes.js';
import { type Described, plainRow, type Row, skippedRow } from './support/row.js';

const GROUP = 'collector (offheap run)';
const SETTLE_MS = 5_000;
const WINDOW_MS = 4_000;
const WINDOWS = 5;
/** A vLLM worker that loses 400 MB a minute to UCX unmaps so often: 144 bytes stay behind each time. */
const LEAK_PAIRS_PER_SECOND = 46_000;

export async function collector(): Promise<Row[]> {
  // Both sleep at the same time: CPU time is measured, not the clock.
  const [few, many] = await Promise.all([watch(100), watch(100_000)]);
  return [
    ...idleRows('idle, 100 live mappings', few!),
    ...idleRows('idle, 100,000 live mappings', many!),
    ...busyRows(await watch(100, LEAK_PAIRS_PER_SECOND)),
  ];
}

interface Watched {
  cpuPercent: number[];
  residentMB: number[];
  /** What the target says that it did, and what the collector says that it saw. */
  eventsMade: number;
  eventsSeen: number;
  eventsLost: number;
}

async function watch(mappings: number, pairsPerSecond?: number): Promise<Watched> {
  const folder = new ChannelFolder();
  const snapshot = join(folder.path, 'snapshot.json');
  const command = [process.execPath, OFFHEAP, 'run', '--quiet', '--dir', folder.path, '--snapshot', snapshot];
  const target = new Conversation([...command, '--', buildTarget('live_mappings'), String(mappings)]);
  try {
    await target.next();
    await sleep(SETTLE_MS);
    const watched: Watched = {
      cpuPercent: [],
      residentMB: [],
      eventsMade: mappings,
      eventsSeen: 0,
      eventsLost: 0,
    };
    for (let window = 0; window < WINDOWS; window++) {
      const before = cpuNs(target.pid);
      const started = performance.now();
      if (pairsPerSecond === undefined) await sleep(WINDOW_MS);
      else watched.eventsMade += 2 * Number(await target.ask(`${WINDOW_MS / 1000} ${pairsPerSecond}`));
      watched.cpuPercent.push((cpuNs(target.pid) - before) / (performance.now() - started) / 1e4);
      watched.residentMB.push(residentBytes(target.pid) / 1e6);
    }
    await target.end();
    const { completeness } = JSON.parse(readFileSync(snapshot, 'utf8'));
    watched.eventsSeen = completeness.mappingEvents;
    watched.eventsLost = completeness.mappingEventsLost;
    return watched;
  } finally {
    await target.end();
    folder.remove();
  }
}

function idleRows(what: string, watched: Watched): Row[] {
  return [
    valid(
      watched,
      { group: GROUP, what: `${what}: CPU`, unit: '%', target: 1, note: 'of one core' },
      'cpuPercent',
    ),
    valid(watched, { group: GROUP, what: `${what}: RSS`, unit: 'MB', target: 100 }, 'residentMB'),
  ];
}

function busyRows(watched: Watched): Row[] {
  const what = `busy, ${LEAK_PAIRS_PER_SECOND.toLocaleString('en-US')} pairs/s`;
  const note = `of one core; ${watched.eventsSeen.toLocaleString('en-US')} events seen, ${watched.eventsLost} lost`;
  return [
    valid(watched, { group: GROUP, what: `${what}: CPU`, unit: '%', note }, 'cpuPercent'),
    valid(watched, { group: GROUP, what: `${what}: RSS`, unit: 'MB' }, 'residentMB'),
  ];
}

/** A collector that reads nothing is cheap, and loses nothing that it knows of: its figures must not be printed. */
function valid(watched: Watched, about: Described, of: 'cpuPercent' | 'residentMB'): Row {
  const { eventsMade, eventsSeen } = watched;
  if (eventsSeen >= eventsMade) return plainRow(about, watched[of]);
  const reason = `the collector saw ${eventsSeen} of at least ${eventsMade} events, so this is no figure`;
  return skippedRow(about.group, about.what, reason);
}
