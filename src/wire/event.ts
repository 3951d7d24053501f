/**
 * What one record of the channel says, decoded. The names are those of native/wire/layout.h; `src/wire/layout.ts`
 * refuses an addon whose lists differ.
 */

export const OPERATIONS = [
  'none',
  'seed',
  'mmap',
  'munmap',
  'mremap',
  'brk',
  'madvise',
  'mprotect',
  'pkey_mprotect',
  'remap_file_pages',
  'process_madvise',
  'shmat',
  'shmdt',
  'fork',
] as const;
export type Operation = (typeof OPERATIONS)[number];

export const PHASES = ['complete', 'begin', 'end', 'failed'] as const;
/**
 * A release is recorded before the call (`begin`) and an acquisition after it (`complete`), since no other order is
 * right when another thread reuses the address. `munmap`, `shmdt` and a shrinking `brk` send `begin` alone; a call
 * that then failed sends `failed`, which takes back the `begin` at position `refersTo`. `mremap` sends `begin` (the old
 * range is leaving) and `end` (with its result) or `failed`.
 */
export type Phase = (typeof PHASES)[number];

/**
 * One memory system call of the target. Addresses and sizes are bytes as JavaScript numbers: user addresses stay
 * below 2^53 (decode saturates what garbage arguments hold). `args` are the raw system-call arguments; for `seed` they
 * are start, length, protection, MAP_* flags, device, file offset. `result` is the address, 0, or a negative errno.
 */
export interface MappingEvent {
  /** Order in the channel, from 0, without gaps except for losses. */
  position: number;
  operation: Operation;
  phase: Phase;
  /** Nanoseconds since the channel's start. */
  timeNs: number;
  args: readonly [number, number, number, number, number, number];
  result: number;
  /** Position of the `begin` that an `end` or a `failed` belongs to. */
  refersTo: number;
  /** shmat: bytes of the segment; seed: inode. */
  extra: number;
  threadId: number;
  /** Node in the channel's stack tree; 0 where there is no stack. */
  stack: number;
  /** File of an executable file mapping or of a seed. */
  path: string | null;
  /** Module load generation: stacks and modules of different generations may share addresses. */
  generation: number;
  stackTruncated: boolean;
  /** The shim's own mapping. */
  byProfiler: boolean;
  /** A recorded call of this thread during which this one happened (a signal handler inside it), else null. */
  enclosing: Operation | null;
}
