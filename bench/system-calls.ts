/** What one memory system call costs with a live collector, and what the others don't. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildTarget, OFFHEAP } from './support/builds.js';
import { ChannelFolder } from './support/channels.js';
import { Conversation } from './support/conversation.js';
import { sleep } from './support/processes.js';
import { pairedRow, plainRow, type Row } from './support/row.js';
import { added, interleave, median } from './support/statistics.js';

const GROUP = 'system calls, 30 frames without frame pointers, a collector draining, ring wrapped';
const FRAMES = '30';
const ROUNDS = 41;
/** Each block fits in half of the ring (65,536 events), so that what is measured is never the collector's pace. */
const COUNTS = { pair: 4_000, madvise: 12_000, varied: 12_000, syscall_getppid: 20_000, getppid: 20_000 };
const DRAIN_PAUSE_MS = 25;
const LAP_EVENTS = 65_536;
const FIRST_LAPS = 5;
const LAP_BLOCK = 10_000;

type Call = keyof typeof COUNTS;

export async function systemCalls(): Promise<Row[]> {
  const program = buildTarget('mapping_cost');
  const folder = new ChannelFolder();
  const snapshots = [join(folder.path, 'off.json'), join(folder.path, 'on.json')] as const;
  const collected = (snapshot: string) =>
    [process.execPath, OFFHEAP, 'run', '--quiet', '--dir', folder.path, '--snapshot', snapshot, '--'].concat(
      program,
      FRAMES,
    );
  const bare = new Conversation([program, FRAMES]);
  const off = new Conversation(collected(snapshots[0]), { OFFHEAP_STACKS: 'off' });
  const on = new Conversation(collected(snapshots[1]));
  try {
    for (const each of [off, on]) await wrapRing(each);
    const rows = [...(await perCall(bare, off, on)), ...(await floors(bare))];
    for (const each of [bare, off, on]) await each.end();
    for (const snapshot of snapshots) checkRecorded(snapshot);
    rows.push(await firstLap(() => new Conversation(collected(snapshots[1]))));
    return rows;
  } finally {
    await Promise.all([bare, off, on].map((each) => each.end()));
    folder.remove();
  }
}

async function perCall(bare: Conversation, off: Conversation, on: Conversation): Promise<Row[]> {
  const times: Partial<Record<Call, Record<'bare' | 'off' | 'on', number[]>>> = {};
  for (const call of Object.keys(COUNTS) as Call[]) {
    const block = (process: Conversation) => () => timed(process, call, COUNTS[call]);
    times[call] = await interleave(ROUNDS, { bare: block(bare), off: block(off), on: block(on) });
  }
  const { pair, madvise, varied, syscall_getppid, getppid } = times as Required<typeof times>;
  const row = (what: string, target: number | undefined, from: number[], to: number[], note = '') =>
    pairedRow(
      { group: GROUP, what, unit: 'ns', note, ...(target === undefined ? {} : { target }) },
      from,
      to,
    );
  const percent = (tool: number[]) => {
    const { median: ns, low, high, rounds } = added(pair.bare, tool);
    const whole = median(pair.bare) / 100;
    return { median: ns / whole, low: low / whole, high: high / whole, rounds };
  };
  const share = percent(pair.on);
  return [
    row('madvise, no stack', 30, madvise.bare, madvise.off),
    row('madvise, stack', 100, madvise.bare, madvise.on, 'the same stack again'),
    row('madvise, two leaf frames vary', 100, varied.bare, varied.on, 'one of 8 callers'),
    row('mmap+munmap of 64 KiB, no stack', 60, pair.bare, pair.off, 'two calls'),
    row('mmap+munmap of 64 KiB, stack', 200, pair.bare, pair.on, 'two calls'),
    {
      ...row('the same, share of the bare pair', undefined, pair.bare, pair.on),
      unit: '%',
      bare: null,
      tool: null,
      figure: share,
      target: 5,
      met: share.median <= 5,
    },
    row('getppid()', undefined, getppid.bare, getppid.on, 'not rewritten: must be nothing but noise'),
    row('syscall(SYS_getppid)', 10, syscall_getppid.bare, syscall_getppid.on, 'passes the number filter'),
  ];
}

/** What no recorder gets below: the counter that stamps an event, and the exchange that takes its place in the ring. */
async function floors(bare: Conversation): Promise<Row[]> {
  const block = (call: string) => () => timed(bare, call, 100_000);
  const { rdtsc, exchange } = await interleave(9, { rdtsc: block('rdtsc'), exchange: block('exchange') });
  return [
    plainRow({ group: GROUP, what: 'floor: rdtsc', unit: 'ns', note: 'one per event' }, rdtsc),
    plainRow(
      { group: GROUP, what: 'floor: locked add, uncontended', unit: 'ns', note: 'one per event' },
      exchange,
    ),
  ];
}

/** The ring's pages are first touched in the first lap: more per event there, once. */
async function firstLap(start: () => Conversation): Promise<Row> {
  const differences: number[] = [];
  for (let round = 0; round < FIRST_LAPS; round++) {
    const fresh = start();
    const first: number[] = [];
    for (let done = 0; done + LAP_BLOCK <= LAP_EVENTS - LAP_BLOCK; done += LAP_BLOCK) {
      first.push(await timed(fresh, 'madvise', LAP_BLOCK));
    }
    await wrapRing(fresh);
    const later: number[] = [];
    for (const _ of first) later.push(await timed(fresh, 'madvise', LAP_BLOCK));
    differences.push(median(first) - median(later));
    await fresh.end();
  }
  const note = `more per event in the ring's first ${LAP_EVENTS.toLocaleString('en-US')}, than later`;
  return plainRow({ group: GROUP, what: 'first lap, once per process', unit: 'ns', note }, differences);
}

async function wrapRing(process: Conversation): Promise<void> {
  for (let events = 0; events < 1.2 * LAP_EVENTS; events += LAP_BLOCK)
    await timed(process, 'madvise', LAP_BLOCK);
}

async function timed(process: Conversation, call: string, count: number): Promise<number> {
  // The processor's time, not the clock's: others may use the machine at the same time.
  const answer = Number((await process.ask(`${call} ${count}`)).split(' ')[0]);
  await sleep(DRAIN_PAUSE_MS);
  return answer;
}

/** Calls that nobody recorded are cheap: such figures must not be printed. */
function checkRecorded(snapshot: string): void {
  const { completeness } = JSON.parse(readFileSync(snapshot, 'utf8'));
  const least = ROUNDS * (COUNTS.madvise + COUNTS.varied + 2 * COUNTS.pair);
  if (completeness.mappingEvents >= least && completeness.mappingEventsLost === 0) return;
  throw new Error(
    `the collector saw ${completeness.mappingEvents} of at least ${least} events and lost ` +
      `${completeness.mappingEventsLost}: these calls were not all recorded`,
  );
}
