import type { OwnerKind } from '../ledger/attribution.js';

/** The snapshot as JSON, `offheap.snapshot/1`: the project's public face. Add fields, never rename. Sizes are bytes. */

export type { OwnerKind };

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

export interface Completeness {
  mappingEvents: number;
  mappingEventsLost: number;
  heapEvents: number;
  heapEventsLost: number;
  truncatedStacks: number;
  sitesPatched: number;
  sitesOverwritten: number;
  unexplainedBytes: number;
  degraded: string[];
}

export interface Hint {
  id: string;
  owner: string;
  summary: string;
  evidence: string[];
  remedies: string[];
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
  heap: {
    mode: 'off' | 'sampled' | 'exact';
    liveBytes: number;
    liveAllocations: number;
    allocations: number;
    frees: number;
    sites: {
      stack: number;
      liveBytes: number;
      liveAllocations: number;
      allocations: number;
      temporary: number;
    }[];
  };
  /** Leaf first. */
  stacks: Record<string, SnapshotFrame[]>;
  hints: Hint[];
}
