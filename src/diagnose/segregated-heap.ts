/**
 * How much memory a heap would have resident under an allocator that keeps blocks of different sizes apart and gives free
 * pages back, as jemalloc does. Pure arithmetic over what each stack allocates.
 */

/** What one stack allocates. */
export interface AllocatedByStack {
  liveBytes: number;
  liveAllocations: number;
  /** Most bytes that were live at once. */
  peakBytes: number;
  allocations: number;
  allocatedBytes: number;
}

const PAGE_BYTES = 4096;
/** Larger blocks have pages of their own. */
const LARGEST_SMALL_BYTES = 14_336;
const QUANTUM_BYTES = 16;
/** Four sizes for each doubling. */
const STEPS_SHIFT = 2;
/** The allocator's own: its base, and descriptions of its pages. */
const BASE_BYTES = 1 << 20;
const METADATA_SHARE = 0.02;

interface SizeClass {
  blocks: number;
  /** At the peaks of its stacks, which need not have been together. */
  mostBlocks: number;
}

/**
 * Resident bytes. Of each size, blocks share runs of pages; a run is resident as long as one of its blocks lives. Which
 * blocks of a size survive is taken for chance: survivors that sit together need less.
 */
export function segregatedResidentBytes(stacks: Iterable<AllocatedByStack>): number {
  const classes = new Map<number, SizeClass>();
  let largeBytes = 0;
  for (const stack of stacks) {
    const { liveBytes, liveAllocations, peakBytes, allocations, allocatedBytes } = stack;
    const meanBytes = liveAllocations > 0 ? liveBytes / liveAllocations : allocatedBytes / (allocations || 1);
    const size = sizeClass(meanBytes);
    if (size > LARGEST_SMALL_BYTES) {
      largeBytes += liveAllocations * size;
      continue;
    }
    const known = classes.get(size) ?? { blocks: 0, mostBlocks: 0 };
    // What died of this stack may have been of other sizes: its mean over all is the best that is known.
    const peakMean = allocations > 0 ? allocatedBytes / allocations : meanBytes;
    known.blocks += liveAllocations;
    known.mostBlocks += Math.max(liveAllocations, peakMean > 0 ? peakBytes / peakMean : 0);
    classes.set(size, known);
  }
  let smallBytes = 0;
  for (const [size, { blocks, mostBlocks }] of classes) {
    if (blocks === 0) continue;
    const runBytes = runOf(size);
    const perRun = runBytes / size;
    const runs = Math.ceil(mostBlocks / perRun);
    const survival = blocks / mostBlocks;
    smallBytes += Math.max(blocks * size, runs * runBytes * (1 - (1 - survival) ** perRun));
  }
  return Math.round((smallBytes + largeBytes) * (1 + METADATA_SHARE) + BASE_BYTES);
}

/** Bytes that a block of a size takes. */
export function sizeClass(bytes: number): number {
  const wanted = Math.max(8, Math.ceil(bytes));
  if (wanted <= 8) return 8;
  if (wanted <= 8 * QUANTUM_BYTES) return Math.ceil(wanted / QUANTUM_BYTES) * QUANTUM_BYTES;
  const doubling = 2 ** Math.floor(Math.log2(wanted - 1));
  const step = doubling / 2 ** STEPS_SHIFT;
  const size = Math.ceil(wanted / step) * step;
  return size > LARGEST_SMALL_BYTES ? Math.ceil(size / PAGE_BYTES) * PAGE_BYTES : size;
}

/** The fewest pages that blocks of a size fill without a rest. */
function runOf(size: number): number {
  let bytes = PAGE_BYTES;
  while (bytes % size !== 0) bytes += PAGE_BYTES;
  return bytes;
}
