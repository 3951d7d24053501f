/** How many mapping events per second the ledger takes with 100,000 live mappings, on one core. */
import { pathToFileURL } from 'node:url';
import { MappingLedger } from '../src/ledger/mapping-ledger.js';
import { SiteTable } from '../src/ledger/site-table.js';
import type { MappingEvent } from '../src/wire/event.js';

const LIVE = 100_000;
const PAIRS = 1_000_000;
const ROUNDS = 5;
const SLOT_BYTES = 64 * 1024;
const BASE = 0x7f00_0000_0000;
const STACKS = 1_000;

export interface LedgerFigures {
  liveMappings: number;
  /** Medians over the rounds. */
  eventsPerSecond: number;
  eventsPerSecondWithSites: number;
  heapBytesPerMapping: number;
  checkpointBytes: number;
  checkpointMs: number;
  restoreMs: number;
  cloneMs: number;
}

/** Random munmap + mmap pairs among `LIVE` mappings: the ledger alone, and with the interning of sites before it. */
export function benchLedger(): LedgerFigures {
  const memoryBefore = memoryBytes();
  const ledger = new MappingLedger();
  const sites = new SiteTable();
  const event = emptyEvent();
  const order = shuffled(LIVE);
  for (const slot of order) map(event, slot, (each) => ledger.apply(each, sites.intern(each)));
  const heapBytesPerMapping = (memoryBytes() - memoryBefore) / LIVE;

  const alone: number[] = [];
  const withSites: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    alone.push(rate(event, order, (each) => ledger.apply(each, 1 + (each.position % STACKS))));
    withSites.push(rate(event, order, (each) => ledger.apply(each, sites.intern(each))));
  }
  const [checkpoint, checkpointMs] = timed(() => ledger.serialize());
  const [, restoreMs] = timed(() => MappingLedger.restore(checkpoint));
  const [, cloneMs] = timed(() => ledger.clone());
  return {
    liveMappings: ledger.liveRanges,
    eventsPerSecond: median(alone),
    eventsPerSecondWithSites: median(withSites),
    heapBytesPerMapping,
    checkpointBytes: checkpoint.length,
    checkpointMs,
    restoreMs,
    cloneMs,
  };
}

function rate(event: MappingEvent, order: readonly number[], apply: (event: MappingEvent) => void): number {
  const started = process.cpuUsage();
  for (let pair = 0; pair < PAIRS; pair++) {
    const slot = order[(pair * 7919) % LIVE]!;
    event.operation = 'munmap';
    event.phase = 'begin';
    event.position++;
    setArgs(event, BASE + slot * SLOT_BYTES, SLOT_BYTES / 2, 0, 0);
    event.result = 0;
    apply(event);
    map(event, slot, apply);
  }
  // Time of the processor, garbage collection included: others may use the machine at the same time.
  const { user, system } = process.cpuUsage(started);
  return (2 * PAIRS) / ((user + system) / 1e6);
}

function map(event: MappingEvent, slot: number, apply: (event: MappingEvent) => void): void {
  event.operation = 'mmap';
  event.phase = 'complete';
  event.position++;
  event.timeNs += 100;
  event.threadId = 1 + (slot & 3);
  event.stack = 1 + (slot % STACKS);
  setArgs(event, 0, SLOT_BYTES / 2, 3, 0x22);
  event.result = BASE + slot * SLOT_BYTES;
  apply(event);
}

function setArgs(event: MappingEvent, first: number, second: number, third: number, fourth: number): void {
  const args = event.args as [number, number, number, number, number, number];
  args[0] = first;
  args[1] = second;
  args[2] = third;
  args[3] = fourth;
}

function emptyEvent(): MappingEvent {
  return {
    position: 0,
    operation: 'mmap',
    phase: 'complete',
    timeNs: 0,
    args: [0, 0, 0, 0, 0, 0],
    result: 0,
    refersTo: 0,
    extra: 0,
    threadId: 1,
    stack: 0,
    path: null,
    generation: 0,
    stackTruncated: false,
    byProfiler: false,
    enclosing: null,
  };
}

function shuffled(length: number): number[] {
  const order = Array.from({ length }, (_, index) => index);
  for (let index = length - 1; index > 0; index--) {
    const other = Math.floor(Math.random() * (index + 1));
    [order[index], order[other]] = [order[other]!, order[index]!];
  }
  return order;
}

function memoryBytes(): number {
  globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

function timed<T>(work: () => T): [result: T, milliseconds: number] {
  const started = process.cpuUsage();
  const result = work();
  const { user, system } = process.cpuUsage(started);
  return [result, (user + system) / 1e3];
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const figures = benchLedger();
  const millions = (perSecond: number) => `${(perSecond / 1e6).toFixed(2)} million events/s`;
  console.log(`ledger, ${figures.liveMappings} live mappings, one core`);
  console.log(`  apply                    ${millions(figures.eventsPerSecond)} (target: 1 million)`);
  console.log(`  intern the site + apply  ${millions(figures.eventsPerSecondWithSites)}`);
  console.log(`  memory                   ${figures.heapBytesPerMapping.toFixed(0)} bytes per mapping`);
  const { checkpointBytes, checkpointMs, restoreMs, cloneMs } = figures;
  console.log(
    `  checkpoint               ${(checkpointBytes / 1e6).toFixed(1)} MB, written in ${checkpointMs.toFixed(0)} ms, ` +
      `restored in ${restoreMs.toFixed(0)} ms; cloned in ${cloneMs.toFixed(0)} ms`,
  );
}
