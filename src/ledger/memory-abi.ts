/** The parts of the Linux x86-64 system-call interface that decide what a mapping is. */

export const PAGE_BYTES = 4096;

/** Beyond this no user address lies, and sums of two such numbers are still exact. */
export const ADDRESS_LIMIT = 2 ** 52;

export const PROT_NONE = 0;
/** PROT_READ | PROT_WRITE | PROT_EXEC: what tells one range from another; PROT_GROWSDOWN and the like do not. */
export const PROTECTION_MASK = 7;
export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const PROT_EXEC = 4;

export const MAP_PRIVATE = 0x02;
export const MAP_SHARED = 0x01;
const MAP_TYPE = 0x0f;
export const MAP_FIXED = 0x10;
export const MAP_ANONYMOUS = 0x20;
export const MAP_GROWSDOWN = 0x100;
export const MAP_STACK = 0x20000;
export const MAP_HUGETLB = 0x40000;
export const MAP_HUGE_SHIFT = 26;
const MAP_HUGE_MASK = 0x3f;
const DEFAULT_HUGE_PAGE_SHIFT = 21;

export const MREMAP_FIXED = 2;
export const MREMAP_DONTUNMAP = 4;

export const SHM_RDONLY = 0x1000;
export const SHM_REMAP = 0x4000;
export const SHM_EXEC = 0x8000;

/** Advice that gives pages back while the range stays: MADV_DONTNEED, MADV_FREE, MADV_REMOVE, MADV_DONTNEED_LOCKED. */
export const DISCARDING_ADVICE: ReadonlySet<number> = new Set([4, 8, 9, 24]);

export const MEMORY_CLASSES = ['anonymous', 'shared', 'file'] as const;
/**
 * `anonymous`: private and without a file; `shared`: shared memory without a named file (MAP_SHARED|MAP_ANONYMOUS,
 * shmat); `file`: everything with a file, memfd included, since the call alone does not tell a memfd from a file.
 */
export type MemoryClass = (typeof MEMORY_CLASSES)[number];

/** Every negative result is a failure: the kernel uses -4095…-1, and nothing below that is an address. */
export function isFailure(result: number): boolean {
  return !(result >= 0);
}

export function roundUp(bytes: number, unitBytes: number): number {
  return Math.ceil(bytes / unitBytes) * unitBytes;
}

/** log2 of the huge page that mmap's `flags` ask for; 0 for ordinary pages. */
export function hugePageShift(flags: number): number {
  if ((flags & MAP_HUGETLB) === 0) return 0;
  return (flags >>> MAP_HUGE_SHIFT) & MAP_HUGE_MASK || DEFAULT_HUGE_PAGE_SHIFT;
}

export function memoryClass(flags: number): MemoryClass {
  if ((flags & MAP_ANONYMOUS) === 0) return 'file';
  return (flags & MAP_TYPE) === MAP_SHARED ? 'shared' : 'anonymous';
}

/**
 * A seed's class. /proc/self/maps shows System V segments and shared anonymous memory as files that cannot be opened,
 * and anonymous memory by inode 0, whatever flags the shim could reconstruct.
 */
export function seedMemoryClass(flags: number, inode: number, path: string | null): MemoryClass {
  if (path !== null && (path.startsWith('/SYSV') || path.startsWith('/dev/zero'))) return 'shared';
  if (inode !== 0 || path?.startsWith('/')) return 'file';
  return (flags & MAP_TYPE) === MAP_SHARED ? 'shared' : 'anonymous';
}
