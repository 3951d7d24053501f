import type { Claims } from './claims.js';
import { type MapsWay, type ProcMapping, readMaps } from './maps.js';
import { ANONYMOUS, FILE, HUGE, PAGE_COLUMNS, type PagesWay, readPages, SWAP } from './pages.js';
import { cutAtClaims, type Pieces } from './pieces.js';
import { type MemoryTotals, memoryTotals, rollupTotals } from './rollup.js';

/** How the kernel is asked. The fast ways are taken where they exist; for tests they can be switched off. */
export interface Ways {
  maps?: MapsWay;
  pages?: PagesWay;
}

/** The kernel's view of a process at one moment, as far as a running process has one. */
export interface Reading {
  areas: ProcMapping[];
  claims: Claims;
  pieces: Pieces;
  /** `PAGE_COLUMNS` for each piece, of pages that the kernel counts as resident or swapped. */
  pageBytes: Float64Array;
  /** For each piece: what is in memory and not counted, explicit huge pages and memory of devices. */
  outsideBytes: Float64Array;
  /** What the pages must add up to. */
  totals: MemoryTotals;
  totalsFrom: 'status' | 'smaps_rollup';
  /** Resident and swapped bytes by the kernel's counters that the pages do not show; below 0: the other way round. */
  differenceBytes: number;
  /** By so much the kernel's counters moved meanwhile. */
  changedBytes: number;
  attempts: number;
}

const MOST_ATTEMPTS = 4;

/**
 * Reads areas, claims and pages, without stopping the process. A torn reading shows in pages that are between the areas, in
 * sums that miss the kernel's, and in memory that nobody claims because its event is still on its way: then all is read
 * again, and the best reading is kept. Throws `PROCESS_MISSING` or `PROCESS_REFUSED`.
 */
export function readProcess(
  pid: number,
  claimsNow: (areas: readonly ProcMapping[]) => Claims,
  ways: Ways = {},
  mostAttempts = MOST_ATTEMPTS,
): Reading {
  let best: { reading: Reading; fault: number } | undefined;
  let unclaimedBefore = -1;
  for (let attempt = 1; attempt <= mostAttempts; attempt++) {
    const { reading, betweenBytes, unclaimedBytes } = readOnce(pid, claimsNow, ways);
    const torn = Math.abs(reading.differenceBytes) + betweenBytes;
    const fault = torn + unclaimedBytes;
    // On equal terms the later one: more events have come in.
    if (best === undefined || fault <= best.fault) best = { reading, fault };
    best.reading.attempts = attempt;
    // What is unclaimed twice is not on its way.
    if (torn === 0 && (unclaimedBytes === 0 || unclaimedBytes === unclaimedBefore)) break;
    unclaimedBefore = unclaimedBytes;
  }
  return checkedByRollup(pid, best!.reading);
}

function readOnce(pid: number, claimsNow: (areas: readonly ProcMapping[]) => Claims, { maps, pages }: Ways) {
  const before = memoryTotals(pid);
  const areas = readMaps(pid, maps);
  // Behind the areas: what the kernel had by then, the ledger can have been told.
  const claims = claimsNow(areas);
  const pieces = cutAtClaims(areas, claims);
  const { bytes, betweenBytes } = readPages(pid, pieces.bounds, pages);
  const totals = memoryTotals(pid);

  const outsideBytes = new Float64Array(pieces.length);
  let found = 0;
  let unclaimedBytes = 0;
  for (let piece = 0; piece < pieces.length; piece++) {
    const area = areas[pieces.area[piece]!]!;
    outsideBytes[piece] = takeOutUncounted(area, bytes, piece);
    const counted = countedBytes(bytes, piece);
    found += counted;
    const isMemory = area.kind === 'anonymous' || area.kind === 'sharedAnonymous';
    if (isMemory && pieces.claim[piece] === -1) unclaimedBytes += counted;
  }
  const reading: Reading = {
    areas,
    claims,
    pieces,
    pageBytes: bytes,
    outsideBytes,
    totals,
    totalsFrom: 'status',
    differenceBytes: totals.totalBytes + totals.swapBytes - found,
    changedBytes: Math.abs(totals.totalBytes + totals.swapBytes - before.totalBytes - before.swapBytes),
    attempts: 1,
  };
  return { reading, betweenBytes, unclaimedBytes };
}

/** Takes out of a piece's columns what looks resident and is not counted; returns what of that is memory all the same. */
function takeOutUncounted(
  { kind, shared, pageBytes }: ProcMapping,
  bytes: Float64Array,
  piece: number,
): number {
  const at = piece * PAGE_COLUMNS;
  // Explicit huge pages are counted apart.
  if (pageBytes > 4096) {
    const heldBytes = bytes[at + ANONYMOUS]! + bytes[at + FILE]!;
    bytes.fill(0, at, at + PAGE_COLUMNS);
    return heldBytes;
  }
  // In shared memory no page is anonymous: one that looks so is a device's, or the kernel's own.
  if (shared || kind === 'kernel') {
    const foreignBytes = bytes[at + ANONYMOUS]!;
    bytes[at + ANONYMOUS] = 0;
    return foreignBytes;
  }
  // And in anonymous memory none is a file's: one that looks so is the huge page of zeros, which all share.
  if (kind === 'anonymous' && bytes[at + FILE]! > 0) {
    bytes[at + HUGE] = Math.max(0, bytes[at + HUGE]! - bytes[at + FILE]!);
    bytes[at + FILE] = 0;
  }
  return 0;
}

/** What the kernel counts of a piece as resident or swapped. */
export function countedBytes(pageBytes: Float64Array, piece: number): number {
  const at = piece * PAGE_COLUMNS;
  return pageBytes[at + ANONYMOUS]! + pageBytes[at + FILE]! + pageBytes[at + SWAP]!;
}

/**
 * The counters in /proc/PID/status were kept by each processor until Linux 6.17, and lag by some pages. Where they do not
 * meet the pages, and did not move either, the kernel's own walk of the page tables is the judge.
 */
function checkedByRollup(pid: number, reading: Reading): Reading {
  if (reading.differenceBytes === 0) return reading;
  const totals = rollupTotals(pid, reading.totals);
  if (totals === undefined) return reading;
  const { totalBytes, swapBytes } = reading.totals;
  const differenceBytes =
    reading.differenceBytes + totals.totalBytes + totals.swapBytes - totalBytes - swapBytes;
  if (Math.abs(differenceBytes) >= Math.abs(reading.differenceBytes)) return reading;
  return { ...reading, totals, totalsFrom: 'smaps_rollup', differenceBytes };
}
