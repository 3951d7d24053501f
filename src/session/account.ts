import { type Account, takeAccount } from '../account/account.js';
import type { AllocatorReader } from '../account/allocators/inside.js';
import { allocatorReaders } from '../account/allocators/readers.js';
import type { Claims } from '../account/claims.js';
import { inferClaims } from '../account/inferred-claims.js';
import type { ProcMapping } from '../account/maps.js';
import { countedBytes } from '../account/reading.js';
import { memoryTotals } from '../account/rollup.js';
import { readThreadStacks } from '../account/thread-stacks.js';
import { type Attribution, OWNER_NO_STACK } from '../ledger/attribution.js';
import { formatBytes } from '../report/bytes.js';
import type { AccountReport, AccountUnexplained, HeapPin, HeapSavings, Snapshot } from '../report/schema.js';
import { OffheapError } from '../wire/error.js';
import type { HeapOfProgram } from './heap-of-program.js';
import { type ProcessFacts, readCommand } from './process-facts.js';
import { savingsOf } from './savings.js';
import { type OwnedBytes, sumByOwner } from './snapshot-mappings.js';
import { type DescribedVerdicts, NO_VERDICTS } from './verdicts.js';

export interface AccountSources {
  /** The ledger's ranges as of now, all that was recorded taken in. */
  claims: (areas: readonly ProcMapping[]) => Claims;
  /** Who can look into allocators' memory. */
  allocators: readonly AllocatorReader[];
  bytesPerMinute: (ownerKey: string) => number;
  /** Why memory may be unexplained, as the self-audit told. */
  gaps: readonly string[];
  verdicts: DescribedVerdicts;
  heap: Pick<HeapOfProgram, 'recordedSites' | 'pins'>;
}

/** In an account; heap.pins() has them all. */
const PINS_LISTED = 20;

const UNRECORDED = { coverage: 'none', reason: 'its process is not recorded' } as const;

const UNCLAIMED: Attribution = {
  owner: OWNER_NO_STACK,
  path: null,
  kind: 'unexplained',
  caller: null,
  enclosing: null,
};

/** The account of a running process that is recorded. Throws `PROCESS_MISSING` or `PROCESS_REFUSED`. */
export function accountOf(
  { pid, command }: Pick<ProcessFacts, 'pid' | 'command'>,
  { claims, allocators, heap, ...about }: AccountSources,
): AccountReport {
  const account = takeReadable(pid, claims, allocators);
  if (account.totals.totalBytes === 0) throw withoutMemory(pid);
  const savings = savingsOf(account.tree, heap.recordedSites());
  const pins = heap.pins(pid, PINS_LISTED);
  return reportOf(account, { pid, command, recorded: true, savings, pins, ...about });
}

/**
 * The account of any process, from what the kernel tells by itself: files, stacks, the program break; other anonymous memory
 * is unexplained. Throws `PROCESS_MISSING` or `PROCESS_REFUSED`.
 */
export function accountUnrecorded(pid: number): AccountReport {
  const claims = (areas: readonly ProcMapping[]) => inferClaims(areas, readThreadStacks(pid));
  const account = takeReadable(pid, claims, allocatorReaders(UNRECORDED));
  if (account.totals.totalBytes === 0) throw withoutMemory(pid);
  return reportOf(account, {
    pid,
    command: readCommand(pid),
    recorded: false,
    bytesPerMinute: () => 0,
    gaps: [],
    verdicts: NO_VERDICTS,
    savings: savingsOf(account.tree, undefined),
    pins: null,
  });
}

function withoutMemory(pid: number): OffheapError {
  return new OffheapError(
    'PROCESS_MISSING',
    `process ${pid} has no memory: it has ended, or is the kernel's own`,
  );
}

/** Where /proc may not be read, its totals still are anybody's to know. */
function takeReadable(
  pid: number,
  claims: AccountSources['claims'],
  allocators: AccountSources['allocators'],
): Account {
  try {
    return takeAccount(pid, claims, { allocators });
  } catch (error) {
    if (!(error instanceof OffheapError) || error.code !== 'PROCESS_REFUSED') throw error;
    const { totalBytes, anonymousBytes, swapBytes } = memoryTotals(pid);
    const known = `resident ${formatBytes(totalBytes)}, anonymous ${formatBytes(anonymousBytes)}, swapped ${formatBytes(swapBytes)}`;
    throw new OffheapError(error.code, `${error.message}; known without: ${known}`);
  }
}

/** What is left to say of a process that has ended: who held what when it was last looked at. */
export function accountOfEnded(snapshot: Snapshot): AccountReport {
  const { process, takenAt, rss, owners, completeness, verdict, verdicts } = snapshot;
  return {
    schema: 'offheap.account/1',
    process: { pid: process.pid, command: process.command, state: process.state },
    takenAt,
    recorded: true,
    ...rss,
    unexplainedBytes: completeness.unexplainedBytes,
    owners,
    verdict,
    verdicts,
    savings: null,
    pins: null,
    unexplained: [],
    tree: null,
    outside: [],
    differenceBytes: 0,
    changedBytes: 0,
    attempts: 0,
    totalsFrom: 'status',
    special: null,
    problems: ['the process has ended: its pages are gone, and owners are as they were last seen'],
  };
}

function reportOf(
  account: Account,
  about: {
    pid: number;
    command: string[];
    recorded: boolean;
    bytesPerMinute: (ownerKey: string) => number;
    gaps: readonly string[];
    verdicts: DescribedVerdicts;
    savings: HeapSavings | null;
    pins: HeapPin[] | null;
  },
): AccountReport {
  const { totals, reading: _, unexplained, ...figures } = account;
  const takenAt = new Date();
  const ranges = unexplained.map((range) => describe(range, takenAt.getTime()));
  const unclaimed = ranges.filter((_, index) => unexplained[index]!.owner === null);
  const owned = [...ownedBytes(account), ...unclaimed.map((range) => ({ ...range, attribution: UNCLAIMED }))];
  return {
    schema: 'offheap.account/1',
    process: { pid: about.pid, command: about.command, state: 'running' },
    takenAt: takenAt.toISOString(),
    recorded: about.recorded,
    ...totals,
    ...figures,
    problems: [...figures.problems, ...about.gaps],
    owners: sumByOwner(owned, about.bytesPerMinute),
    ...about.verdicts,
    savings: about.savings,
    pins: about.pins,
    unexplained: ranges,
  };
}

/** What each holder has of memory that is no file's, without access apart. */
function ownedBytes({ reading: { claims, pieces, pageBytes } }: Account): OwnedBytes[] {
  const { holders, holderOf, reserved, bounds } = claims;
  // Two rows for each holder, the second of what is reserved.
  const bytes = new Float64Array(2 * holders.length);
  const residentBytes = new Float64Array(2 * holders.length);
  const mappings = new Uint32Array(2 * holders.length);
  for (let claim = 0; claim < holderOf.length; claim++) {
    const row = 2 * holderOf[claim]! + reserved[claim]!;
    mappings[row]!++;
    bytes[row]! += bounds[2 * claim + 1]! - bounds[2 * claim]!;
  }
  for (let piece = 0; piece < pieces.length; piece++) {
    const claim = pieces.claim[piece]!;
    if (claim >= 0) residentBytes[2 * holderOf[claim]! + reserved[claim]!]! += countedBytes(pageBytes, piece);
  }
  return holders.flatMap((attribution, index) =>
    [2 * index, 2 * index + 1]
      .filter((row) => mappings[row]! > 0 && !attribution.isFile)
      .map((row) => ({
        attribution,
        reserved: row % 2 === 1,
        bytes: bytes[row]!,
        residentBytes: residentBytes[row]!,
        mappings: mappings[row]!,
      })),
  );
}

function describe(range: Account['unexplained'][number], nowMs: number): AccountUnexplained {
  const { start, end, residentBytes, swapBytes, protection, owner, mappedAtMs, below, above } = range;
  const isDated = mappedAtMs !== null && Number.isFinite(mappedAtMs);
  return {
    start: `0x${start.toString(16)}`,
    bytes: end - start,
    residentBytes,
    swapBytes,
    protection,
    owner: owner ?? UNCLAIMED.owner,
    kind: UNCLAIMED.kind,
    operation: 'none',
    enclosing: null,
    threadId: 0,
    mappedAt: new Date(isDated ? mappedAtMs : nowMs).toISOString(),
    ageSeconds: isDated ? Math.max(0, Math.round((nowMs - mappedAtMs) / 1000)) : null,
    reserved: protection.startsWith('---'),
    stack: 0,
    below,
    above,
  };
}
