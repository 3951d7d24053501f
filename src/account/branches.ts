import {
  type AllocatorMemory,
  type AllocatorRange,
  type AllocatorReader,
  splitAllocator,
} from './allocators/inside.js';
import { CATEGORIES, type Category, categoryOf } from './category.js';
import type { Holder } from './claims.js';
import { labelIn, type MappingKind, type ProcMapping, SECRET_MEMORY } from './maps.js';
import { ANONYMOUS, FILE, HUGE, PAGE_COLUMNS, SWAP } from './pages.js';
import type { Reading } from './reading.js';
import type { ThreadStack } from './thread-stacks.js';
import { type AccountNode, addTo, bySize, emptyNode, FIGURES, sumOf } from './tree.js';

/** Where the pieces of such an area go. */
interface Sorted {
  area: ProcMapping;
  category: Category;
  leaf: AccountNode;
}

/** Sorts the pieces of a reading into the branches of its account. */
export class Branches {
  /** Pieces that nobody owns. */
  readonly unexplained: number[] = [];
  readonly #leaves = new Map<Category, Map<string | number, AccountNode>>();
  readonly #outside = new Map<string, AccountNode>();
  readonly #allocators = new Map<
    AccountNode,
    { memory: AllocatorMemory; ranges: AllocatorRange[]; areas: ProcMapping[] }
  >();
  /** Of owners whose memory has names in part. */
  readonly #names = new Map<AccountNode, Map<string, AccountNode>>();
  #threads: ThreadStack[] | undefined;
  // By holder, none first: its pieces mostly go to the same leaf, and finding it again is most of the work with 100,000 of them.
  readonly #last: (Sorted | undefined)[] = [];

  constructor(
    private readonly reading: Reading,
    private readonly readThreads: () => ThreadStack[],
  ) {}

  add(piece: number): void {
    const { areas, pieces, pageBytes, claims } = this.reading;
    const area = areas[pieces.area[piece]!]!;
    const claim = pieces.claim[piece]!;
    const number = claim < 0 ? -1 : claims.holderOf[claim]!;
    const start = pieces.bounds[2 * piece]!;
    const end = pieces.bounds[2 * piece + 1]!;
    const outsideBytes = this.reading.outsideBytes[piece]!;
    if (outsideBytes > 0) this.#addOutside(area, end - start, outsideBytes);

    const at = piece * PAGE_COLUMNS;
    const residentBytes = pageBytes[at + ANONYMOUS]! + pageBytes[at + FILE]!;
    const swapBytes = pageBytes[at + SWAP]!;
    const { leaf, category } = this.#leafOf(area, number, claim);
    const bytes = end - start;
    const anonymousBytes = pageBytes[at + ANONYMOUS]!;
    const hugePageBytes = pageBytes[at + HUGE]!;
    leaf.bytes += bytes;
    leaf.ranges++;
    leaf.residentBytes += residentBytes;
    leaf.anonymousBytes += anonymousBytes;
    leaf.swapBytes += swapBytes;
    leaf.hugePageBytes += hugePageBytes;
    if (category === 'anonymous' && isGivenName(area.path) && area.path !== leaf.name) {
      const figures = { bytes, ranges: 1, residentBytes, anonymousBytes, swapBytes, hugePageBytes };
      addTo(this.#named(leaf, area.path), figures);
    }
    if (category === 'unexplained') this.unexplained.push(piece);
    if (category === 'allocators') {
      const { ranges, areas } = this.#allocators.get(leaf)!;
      ranges.push({ start, end, residentBytes, swapBytes });
      if (areas.at(-1) !== area) areas.push(area);
    }
  }

  splitAllocators(pid: number, readers: readonly AllocatorReader[]): string[] {
    if (readers.length === 0) return [];
    return [...this.#allocators].flatMap(([node, { memory }]) => splitAllocator(node, pid, memory, readers));
  }

  tree(): AccountNode {
    for (const [leaf, named] of this.#names) leaf.children = withRest(leaf, named.values());
    const branches = [...this.#leaves].map(([category, leaves]) =>
      sumOf(category, CATEGORIES[category], category === 'thread-stacks' ? joined(leaves) : leaves.values()),
    );
    return sumOf('process', 'process', branches);
  }

  outside(): AccountNode[] {
    return [...this.#outside.values()];
  }

  #leafOf(area: ProcMapping, number: number, claim: number): Sorted {
    const last = this.#last[number + 1];
    const isSame = last !== undefined && last.area.kind === area.kind && last.area.path === area.path;
    if (isSame && last.category !== 'thread-stacks') return last;
    const holder = this.reading.claims.holders[number];
    const category = categoryOf(area, holder);
    const leaf = this.#find(category, area, holder, claim);
    const sorted = { area, category, leaf };
    this.#last[number + 1] = sorted;
    return sorted;
  }

  #find(category: Category, area: ProcMapping, holder: Holder | undefined, claim: number): AccountNode {
    switch (category) {
      case 'allocators':
        return this.#allocator(holder!);
      case 'anonymous':
        return this.#leaf(category, 'owner', holder!.owner);
      case 'thread-stacks':
        return this.#thread(claim);
      case 'files':
      case 'devices':
        return this.#leaf(category, 'file', area.path);
      case 'shared':
        return this.#leaf(category, 'owner', creatorOf(area, holder));
      case 'main-stack':
        return this.#leaf(category, 'owner', '[stack]');
      case 'profiler':
        return this.#leaf(category, 'owner', area.path || 'own memory');
      case 'kernel':
        return this.#leaf(category, 'owner', area.path || (holder?.owner ?? 'memory'));
      case 'unexplained':
        return this.#leaf(category, 'owner', unexplainedName(area, holder));
    }
  }

  #leaf(
    category: Category,
    kind: AccountNode['kind'],
    name: string,
    key: string | number = name,
  ): AccountNode {
    const leaves = this.#leaves.get(category) ?? new Map<string | number, AccountNode>();
    this.#leaves.set(category, leaves);
    const leaf = leaves.get(key) ?? emptyNode(kind, name);
    leaves.set(key, leaf);
    return leaf;
  }

  #named(leaf: AccountNode, name: string): AccountNode {
    const names = this.#names.get(leaf) ?? new Map<string, AccountNode>();
    this.#names.set(leaf, names);
    const node = names.get(name) ?? emptyNode('owner', name);
    names.set(name, node);
    return node;
  }

  #allocator({ owner, path }: Holder): AccountNode {
    const leaf = this.#leaf('allocators', 'allocator', owner);
    if (!this.#allocators.has(leaf)) {
      const ranges: AllocatorRange[] = [];
      const areas: ProcMapping[] = [];
      this.#allocators.set(leaf, { memory: { owner, path, ranges, areas }, ranges, areas });
    }
    return leaf;
  }

  /** The thread that sleeps on a stack. A stack has a guard beside it: both are of one origin. */
  #thread(claim: number): AccountNode {
    const { bounds, originOf } = this.reading.claims;
    const origin = originOf[claim]!;
    const leaf = this.#leaf('thread-stacks', 'thread', NO_THREAD, origin);
    if (leaf.name !== NO_THREAD) return leaf;
    this.#threads ??= this.readThreads();
    const thread = this.#threads.find(
      ({ stackPointer }) =>
        stackPointer !== null && stackPointer >= bounds[2 * claim]! && stackPointer < bounds[2 * claim + 1]!,
    );
    if (thread !== undefined) leaf.name = `thread ${thread.threadId} ${thread.name}`;
    return leaf;
  }

  #addOutside({ kind, path, pageBytes }: ProcMapping, bytes: number, residentBytes: number): void {
    const name =
      pageBytes > 4096
        ? 'explicit huge pages'
        : kind === 'kernel'
          ? CATEGORIES.kernel
          : path || 'device memory';
    const node = this.#outside.get(name) ?? emptyNode('devices', name);
    this.#outside.set(name, node);
    node.bytes += bytes;
    node.residentBytes += residentBytes;
    node.ranges++;
  }
}

/** What of a leaf has names, and what is left. */
function withRest(leaf: AccountNode, named: Iterable<AccountNode>): AccountNode[] {
  const children = [...named];
  const rest = emptyNode('owner', 'without a name');
  for (const field of FIGURES) {
    rest[field] = leaf[field] - children.reduce((sum, child) => sum + child[field], 0);
  }
  return [...children, ...(rest.ranges > 0 ? [rest] : [])].sort(bySize);
}

/** Leaves of one name as one. */
function joined(leaves: ReadonlyMap<unknown, AccountNode>): Iterable<AccountNode> {
  const byName = new Map<string, AccountNode>();
  for (const leaf of leaves.values()) {
    const first = byName.get(leaf.name);
    if (first === undefined) byName.set(leaf.name, leaf);
    else addTo(first, leaf);
  }
  return byName.values();
}

/** Threads that ended leave their stacks to libc; of one that runs at this moment the kernel does not tell. */
const NO_THREAD = 'running, or kept by libc for another thread';

function creatorOf({ path, kind }: ProcMapping, holder: Holder | undefined): string {
  const name =
    path === SECRET_MEMORY ? 'secret (memfd_secret)' : hasName(path, kind) ? path : 'without a name';
  return holder === undefined ? name : `${holder.owner}: ${name}`;
}

function hasName(path: string, kind: MappingKind): boolean {
  return kind === 'sharedFile' || isGivenName(path);
}

/** A name that somebody gave to memory without a file (PR_SET_VMA_ANON_NAME): glibc, Go, mimalloc, ART do. */
function isGivenName(path: string): boolean {
  return (path.startsWith('[anon:') && labelIn(path) === null) || path.startsWith('[anon_shmem:');
}

function unexplainedName(area: ProcMapping, holder: Holder | undefined): string {
  // A name that somebody gave it, or the kernel: [heap].
  if (area.path !== '') return area.path;
  return holder?.owner ?? 'mapped by nobody that was seen';
}
