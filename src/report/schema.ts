import type { AccountHistory, AccountSeries } from '../account/history.js';
import type { SpecialPages } from '../account/rollup.js';
import type { AccountKind, AccountNode } from '../account/tree.js';
import type { Verdict } from '../diagnose/verdict.js';
import type { OwnerKind } from '../ledger/attribution.js';
import type { UnnamedReason } from '../symbolize/unnamed.js';
import type { HeapMode } from '../wire/heap-mode.js';

/** The snapshot as JSON, `offheap.snapshot/1`: the project's public face. Add fields, never rename. Sizes are bytes. */

export type { AccountHistory, AccountKind, AccountNode, AccountSeries, OwnerKind, UnnamedReason };

export interface SnapshotFrame {
  module: string;
  function: string | null;
  file: string | null;
  line: number | null;
  inlined: boolean;
  language: 'native' | 'python' | 'javascript' | 'java';
  /** Runtime address, hexadecimal. */
  address: string;
  /** Address in the module's file, hexadecimal. */
  fileAddress: string;
  /** Why `function` is null; absent where it isn't. */
  unnamed?: UnnamedReason;
  /** Where the function without a name begins in the module's file, hexadecimal; absent where that isn't known. */
  functionAddress?: string;
}

export interface SnapshotOwner {
  owner: string;
  path: string | null;
  kind: OwnerKind;
  mappings: number;
  bytes: number;
  /** The part of `bytes` that is mapped without any access (PROT_NONE): addresses set aside. Growth leaves it out. */
  reservedBytes: number;
  residentBytes: number;
  growthBytesPerMinute: number;
  /** Bytes by the module that made the system call's caller frame. */
  callers: Record<string, number>;
  /** Bytes by the operation inside which they were mapped; those mapped outside of any stand under "none". */
  triggers: Record<string, number>;
}

export interface SnapshotMapping {
  start: string;
  bytes: number;
  residentBytes: number;
  owner: string;
  kind: OwnerKind;
  operation: string;
  enclosing: string | null;
  threadId: number;
  mappedAt: string;
  /** Mapped without any access (PROT_NONE). */
  reserved: boolean;
  /** Key into `stacks`; 0 where there is none (mapped before the start). */
  stack: number;
}

/**
 * What allocators have handed out. Where it is sampled, all counts and bytes are estimates, rounded; the standard
 * errors say how far off they may be, and are 0 where every allocation was recorded.
 */
export interface HeapCounts {
  liveBytes: number;
  liveAllocations: number;
  /** Since the recording began, temporary ones included. */
  allocations: number;
  frees: number;
  /** Of `allocations`, those that came and went on one thread within its last few hundred. */
  temporary: number;
  allocatedBytes: number;
  /** Most bytes that were live at once, temporary ones left out. */
  peakBytes: number;
  standardErrorBytes: number;
  standardErrorAllocations: number;
}

/** Allocations of one stack. */
export interface SnapshotHeapSite extends HeapCounts {
  /** Key into `stacks`; 0 where there is none, and of the row that sums up the sites that are left out. */
  stack: number;
  owner: string;
  kind: OwnerKind;
  /** The module that called the allocator, plumbing or not; null without a stack. */
  caller: string | null;
}

export interface SnapshotHeapOwner extends Omit<HeapCounts, 'peakBytes'> {
  owner: string;
  path: string | null;
  kind: OwnerKind;
}

export interface SnapshotHeap extends HeapCounts {
  mode: HeapMode;
  /** Mean of the sampling. */
  sampleBytes: number;
  /** The figures are estimates from samples. */
  estimated: boolean;
  /**
   * RFC 3339; null: from the program's start. An earlier collector takes along what it knew: of blocks from before this moment
   * nothing is known then.
   */
  followedSince: string | null;
  /** Live when exact recording was switched off, and not followed since: not among the live ones. */
  before: { bytes: number; allocations: number };
  /**
   * Releases of blocks whose allocation was not seen: from before the recording or a switch to it, of a parent process, among
   * the lost events; and double frees.
   */
  unknownFrees: number;
  /** All of them, most live bytes first. */
  owners: SnapshotHeapOwner[];
  /** The largest, most live bytes first; what is left out is one row at the end. */
  sites: SnapshotHeapSite[];
}

/** A library that hooks a memory function, as real calls showed it of late. */
export interface SnapshotHooker {
  hooker: string;
  operation: string;
  /** Calls that were looked at, of those by the function that it hooks; and those that it has heard. */
  calls: number;
  heard: number;
}

/** Mappings that were made since the kernel was asked. Where nothing was missed `counted` is `recorded`. */
export interface KernelMappings {
  /** Mappings, and changes of protection that nobody was seen to make, of which the kernel has told. */
  counted: number;
  /**
   * Mappings that the target was seen to make. There are more where records were lost, the last of which the kernel does not tell;
   * where one was under way when the kernel was first asked; and where children by vfork map in their parent's memory, whose
   * records the kernel keeps apart.
   */
  recorded: number;
  /** Calls and records of the last half second, not compared yet. */
  underWay: number;
  /** The kernel's records that it told to be lost: so many may be missing in `counted`. */
  lost: number;
  /** Records that could not be compared: too many in one go, or calls were dropped or lost meanwhile. */
  notCompared: number;
  /** Records of stacks, mapped with MAP_GROWSDOWN, that the kernel has extended by itself: they are no mappings. */
  grownStacks: number;
}

export interface Completeness {
  mappingEvents: number;
  mappingEventsLost: number;
  heapEvents: number;
  heapEventsLost: number;
  truncatedStacks: number;
  sitesPatched: number;
  sitesOverwritten: number;
  unexplainedBytes: number;
  /** What the kernel has and nobody was seen to map, each with its likely cause: a line. */
  gaps: string[];
  /** The kernel's perf records of mappings against what was recorded; null where it was not asked, or refused. */
  kernelMappings: KernelMappings | null;
  /** What in the target goes otherwise because of offheap: a line each. */
  observerEffects: string[];
  /** Who else hooks the target's memory functions, and that they hear what is called. */
  hookers: SnapshotHooker[];
  /** Places in code of the snapshot's stacks whose function has no name, and of these how many for which reason. */
  unnamedFrames: number;
  unnamedFramesBy: Partial<Record<UnnamedReason, number>>;
  degraded: string[];
}

export interface Hint {
  id: string;
  owner: string;
  summary: string;
  evidence: string[];
  remedies: string[];
}

/** Whether what grows is held by somebody, or freed and kept; see src/diagnose/verdict.ts. */
export interface SnapshotVerdict extends Verdict {
  /** Functions of `stack`, leaf first; empty where the verdict has no stack. */
  frames: string[];
}

export interface OwnerVerdict extends SnapshotVerdict {
  owner: string;
}

export interface Snapshot {
  schema: 'offheap.snapshot/1';
  process: {
    pid: number;
    parentPid: number;
    command: string[];
    startedAt: string;
    state: 'running' | 'exited' | 'killed';
    /** Exit status, where the collector started the process. */
    exit: number | null;
  };
  takenAt: string;
  observedSeconds: number;
  completeness: Completeness;
  rss: {
    totalBytes: number;
    anonymousBytes: number;
    fileBytes: number;
    sharedBytes: number;
    swapBytes: number;
    explainedPercent: number;
  };
  owners: SnapshotOwner[];
  mappings: SnapshotMapping[];
  heap: SnapshotHeap;
  /** Leaf first. */
  stacks: Record<string, SnapshotFrame[]>;
  hints: Hint[];
  /** Leak or retention: of the process, by what was seen until now. */
  verdict: SnapshotVerdict;
  /** The same of each owner, and of each allocator. */
  verdicts: OwnerVerdict[];
  /** Accounts taken from time to time: what grew, and into what. */
  accountHistory: AccountHistory;
}

/** A range that nobody was seen to map. */
export interface AccountUnexplained extends SnapshotMapping {
  swapBytes: number;
  /** As /proc/PID/maps writes it: "rw-p". */
  protection: string;
  /** Since it was mapped, where an event without a stack told; null where none did. */
  ageSeconds: number | null;
  /** What lies right below and above: a file, an owner, or what the kernel calls it; null where nothing does. */
  below: string | null;
  above: string | null;
}

/** What could be given back of the heap that malloc keeps. */
export interface HeapSavings {
  allocator: string;
  residentBytes: number;
  liveBytes: number;
  /** Resident pages on which nothing lives. */
  unpinnedBytes: number;
  unpinnedPercent: number;
  /** Free, on pages that something lives on, or in caches. */
  pinnedFreeBytes: number;
  /** What malloc_trim would return; null of other allocators than glibc's. */
  trimBytes: number | null;
  /**
   * What jemalloc would have resident, and by how much less that is: by what each stack holds and held at most. Null where
   * allocations are not recorded.
   */
  segregatedResidentBytes: number | null;
  segregatedSavingBytes: number | null;
}

/** Pages that the live allocations of one stack keep in memory, all or nearly all of what lives there being theirs. */
export interface HeapPin {
  /** Key into `stacks`; null: pages that several stacks hold. */
  stack: number | null;
  owner: string;
  kind: OwnerKind;
  pages: number;
  /** Of these pages, as in memory or in swap. */
  residentBytes: number;
  liveBytes: number;
  /** Where nobody lives: what would be gained without the survivors. */
  freeBytes: number;
  /** Leaf first, `function (module)`. */
  frames: string[];
}

/** What came of asking an allocator to give its free memory back to the kernel. */
export interface TrimReport {
  process: Pick<Snapshot['process'], 'pid' | 'command'>;
  /** The allocator's function that did it; null where it has none. */
  by: string | null;
  /** Resident bytes of the process, and the part that allocators have mapped. */
  before: { residentBytes: number; allocatorBytes: number };
  after: { residentBytes: number; allocatorBytes: number };
  /** What was said beforehand of malloc_trim; null of other functions, and where the process's memory may not be read. */
  predictedBytes: number | null;
  /** By so much the memory that allocators had mapped before has shrunk. */
  returnedBytes: number;
}

/** Every resident byte of a process, `offheap.account/1`. The first level of fields is that of a snapshot's `rss`. */
export interface AccountReport {
  schema: 'offheap.account/1';
  process: Pick<Snapshot['process'], 'pid' | 'command' | 'state'>;
  takenAt: string;
  /** Whether its mappings are recorded; where not, only what the kernel tells by itself is known. */
  recorded: boolean;
  totalBytes: number;
  anonymousBytes: number;
  fileBytes: number;
  sharedBytes: number;
  swapBytes: number;
  /** Of anonymous and swapped bytes. */
  explainedPercent: number;
  unexplainedBytes: number;
  owners: SnapshotOwner[];
  /** As in a snapshot. */
  verdict: SnapshotVerdict;
  verdicts: OwnerVerdict[];
  /** Null where the heap could not be looked into. */
  savings: HeapSavings | null;
  /** The stacks that pin most free memory; null where not every allocation is recorded. */
  pins: HeapPin[] | null;
  unexplained: AccountUnexplained[];
  /** Adds up to `totalBytes + swapBytes - differenceBytes`; null once the process has ended. */
  tree: AccountNode | null;
  /** What the kernel does not count as resident: explicit huge pages, memory of devices. */
  outside: AccountNode[];
  /** What the kernel counts and the tree lacks, below 0: the other way round. Pages that came or went meanwhile. */
  differenceBytes: number;
  /** By so much the kernel's totals moved while the process was read. */
  changedBytes: number;
  attempts: number;
  /** Where the totals come from: the last is asked where the first lags behind. */
  totalsFrom: 'status' | 'smaps_rollup';
  /** Pages that are in memory and all the same not like others; null where they were not asked for. */
  special: SpecialPages | null;
  /** What could not be found out. */
  problems: string[];
}
