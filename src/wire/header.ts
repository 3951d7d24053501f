import { layout } from './addon.js';
import type { HeapMode } from './heap-mode.js';
import { RecordView } from './record-view.js';

/** The head of a channel: who is recorded, how far, and what is incomplete. Sizes and offsets are bytes. */
export interface ChannelHeader {
  version: string;
  /** 16 hexadecimal digits. */
  channelId: string;
  /** The channel that this process was forked from, else null. */
  parentChannelId: string | null;
  /** Position of the fork in the parent's channel. */
  parentPosition: number;
  processId: number;
  parentProcessId: number;
  /** Field 22 of /proc/PID/stat: with the pid it names the process uniquely. */
  processStartTicks: number;
  startUnixNs: bigint;
  startMonotonicNs: number;
  /** What the clock of the events showed at the start. */
  startClock: bigint;
  clock: 'monotonic' | 'tsc';
  /** Whether the process began by running a program or by fork. */
  beginning: 'exec' | 'fork';
  /** What the process passed to exit, once it has; null before, and of a killed one. */
  exitStatus: number | null;
  state: 'starting' | 'running' | 'exited' | 'unknown';
  ringCapacity: number;
  ringHead: number;
  ringTail: number;
  nodesCapacity: number;
  nodesUsed: number;
  textUsed: number;
  sitesCapacity: number;
  sitesUsed: number;
  /** Text that holds the command line, its arguments ended by NUL. */
  commandText: number;
  seedEvents: number;
  collectorBeatNs: number;
  collectorProcessId: number;
  /** The collector that holds the channel; 0: none. */
  consumerLock: number;
  generation: number;
  /** Why the recording is less than complete, in words. */
  degraded: string[];
  eventsLost: number;
  eventsNested: number;
  /** Events that the target dropped in pairs, since together they changed nothing. */
  eventsCancelled: number;
  /** Records that the target has moved out of the ring, and the first position that it has not. */
  backlogUsed: number;
  backlogPosition: number;
  /** Backlog and ring hold all that matters of the events from this position on. */
  backlogFrom: number;
  /** Stacks that were checked against a full walk, and those that differed. */
  capturesVerified: number;
  captureMismatches: number;
  stacksTruncated: number;
  stacksCutBySpace: number;
  flamegraphRequests: number;
  /** The stack tree's hash table has 2 ** indexBits entries, of which so many are in use. */
  indexBits: number;
  indexUsed: number;
  heapControl: HeapControl;
  /** What the clock of the events showed at the last switch of the mode; 0: it was never switched. */
  heapSwitchedAt: bigint;
  /** Lanes that threads have had so far; 0 capacity: allocations can't be recorded. */
  lanesUsed: number;
  lanesCapacity: number;
  chunksCapacity: number;
  /** Chunks that memory stands behind: the lowest so many. */
  chunksBacked: number;
  heapEventsLost: number;
  /** How often a thread waited for the collector. */
  heapWaits: number;
  /** When the collector last read heap events; 0: none has; 1: it has stopped. */
  heapBeatNs: number;
  /** Captures whose Python frames could not be followed to their end. */
  pythonStacksCut: number;
  /** Inode of /proc/self/ns/pid; 0 where unknown. */
  pidNamespace: number;
  /** Areas that the target has named in the kernel. */
  labelsSet: number;
  /** Who launched the target to collect it; 0: nobody. */
  awaitedProcessId: number;
  /** Allocations and releases inside of another one's hook, by signal handlers: told one by one. */
  heapNested: number;
  /** Allocations of threads that got no lane. */
  heapWithoutLane: number;
  /** What was asked of the target last; a kind, and a number of its own. */
  request: number;
  /** What a thread of the target has begun to answer, and what was answered. */
  requestTaken: number;
  requestAnswered: number;
  /** How often a thread came by where it could not answer. */
  requestPasses: number;
  answer: 'none' | 'done' | 'not offered' | 'unknown';
  answerSource: number;
  answerValues: number[];
}

/** What the target records of allocations. */
export interface HeapControl {
  mode: HeapMode;
  /** Rises with every switch. */
  epoch: number;
  /** Mean of the sampling. */
  sampleBytes: number;
}

const NO_STATUS = 0xffff_ffff;
const NO_CHANNEL = '0'.repeat(16);

export function decodeHeader(bytes: Uint8Array): ChannelHeader {
  const view = new RecordView(layout.structures.Header, bytes);
  const { beginnings, clocks, processStates, degradations } = layout.enumerations;
  const parentChannelId = view.hex('parent_channel_id');
  const degraded = view.bits('degraded');
  return {
    version: asciiText([view.bits('version0'), view.bits('version1')]),
    channelId: view.hex('channel_id'),
    parentChannelId: parentChannelId === NO_CHANNEL ? null : parentChannelId,
    parentPosition: view.u64('parent_position'),
    processId: view.u32('process_id'),
    parentProcessId: view.u32('parent_process_id'),
    processStartTicks: view.u64('process_start_ticks'),
    startUnixNs: view.bits('start_unix_ns'),
    startMonotonicNs: view.u64('start_monotonic_ns'),
    startClock: view.bits('start_clock'),
    beginning: beginnings[view.u32('beginning')] === 'fork' ? 'fork' : 'exec',
    exitStatus: view.u32('exit_status') === NO_STATUS ? null : view.u32('exit_status'),
    clock: clocks[view.u32('clock')] === 'tsc' ? 'tsc' : 'monotonic',
    state: (processStates[view.u32('state')] ?? 'unknown') as ChannelHeader['state'],
    ringCapacity: view.u64('ring_capacity'),
    ringHead: view.u64('ring_head'),
    ringTail: view.u64('ring_tail'),
    nodesCapacity: view.u64('nodes_capacity'),
    nodesUsed: view.u64('nodes_used'),
    textUsed: view.u64('text_used'),
    sitesCapacity: view.u64('sites_capacity'),
    sitesUsed: view.u64('sites_used'),
    commandText: view.u32('command_text'),
    seedEvents: view.u64('seed_events'),
    collectorBeatNs: view.u64('collector_beat_ns'),
    collectorProcessId: view.u32('collector_process_id'),
    consumerLock: view.u32('consumer_lock'),
    generation: view.u64('generation'),
    degraded: degradations.filter((_, bit) => (degraded >> BigInt(bit)) & 1n),
    eventsLost: view.u64('events_lost'),
    eventsNested: view.u64('events_nested'),
    eventsCancelled: view.u64('events_cancelled'),
    backlogUsed: view.u64('backlog_used'),
    backlogPosition: view.u64('backlog_position'),
    backlogFrom: view.u64('backlog_from'),
    capturesVerified: view.u64('captures_verified'),
    captureMismatches: view.u64('capture_mismatches'),
    stacksTruncated: view.u64('stacks_truncated'),
    stacksCutBySpace: view.u64('stacks_cut_by_space'),
    flamegraphRequests: view.u64('flamegraph_requests'),
    indexBits: view.u32('index_bits'),
    indexUsed: view.u32('index_used'),
    heapControl: heapControl(view.bits('heap_control')),
    heapSwitchedAt: view.bits('heap_switched_at'),
    lanesUsed: view.u64('lanes_used'),
    lanesCapacity: view.u64('lanes_capacity'),
    chunksCapacity: view.u64('chunks_capacity'),
    chunksBacked: view.u64('chunks_backed'),
    heapEventsLost: view.u64('heap_events_lost'),
    heapWaits: view.u64('heap_waits'),
    heapBeatNs: view.u64('heap_beat_ns'),
    pythonStacksCut: view.u64('python_stacks_cut'),
    pidNamespace: view.u64('pid_namespace'),
    labelsSet: view.u64('labels_set'),
    awaitedProcessId: view.u32('awaited_process_id'),
    heapNested: view.u64('heap_nested'),
    heapWithoutLane: view.u64('heap_without_lane'),
    request: view.u64('request'),
    requestTaken: view.u64('request_taken'),
    requestAnswered: view.u64('request_answered'),
    requestPasses: view.u64('request_passes'),
    answer: (layout.enumerations.answers[view.u32('answer')] ?? 'unknown') as ChannelHeader['answer'],
    answerSource: view.u32('answer_source'),
    answerValues: view.words('answer_values'),
  };
}

/** A request waits for a thread of the target. */
const REQUESTED = 0x80n;

/** The word as `pack` in native/wire/heap.h makes it. */
function heapControl(word: bigint): HeapControl {
  const mode = layout.enumerations.heapModes[Number(word & ~REQUESTED & 0xffn)] ?? 'off';
  return {
    mode: mode as HeapMode,
    epoch: Number((word >> 8n) & 0xff_ffffn),
    sampleBytes: Number(word >> 32n),
  };
}

function asciiText(words: bigint[]): string {
  let text = '';
  for (const word of words) {
    for (let shift = 0n; shift < 64n; shift += 8n) {
      const code = Number((word >> shift) & 0xffn);
      // A terminal prints this: nothing but plain characters may pass.
      if (code < 0x21 || code > 0x7e) return text;
      text += String.fromCharCode(code);
    }
  }
  return text;
}
