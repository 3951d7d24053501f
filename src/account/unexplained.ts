import type { ProcMapping } from './maps.js';
import { ANONYMOUS, FILE, PAGE_COLUMNS, SWAP } from './pages.js';
import type { Reading } from './reading.js';

/** Memory that nobody was seen to map. */
export interface UnexplainedRange {
  start: number;
  end: number;
  residentBytes: number;
  swapBytes: number;
  /** As /proc/PID/maps writes it: "rw-p". */
  protection: string;
  /** What the ledger calls it, where it knows the range at all: "before start", for one. */
  owner: string | null;
  /** When it was mapped, where an event without a stack told. */
  mappedAtMs: number | null;
  /** What lies right below and above, where something does: a file, an owner, or what the kernel calls it. */
  below: string | null;
  above: string | null;
}

/** What is known of pieces that have no owner; neighbours with nothing between them are one. */
export function unexplainedRanges(reading: Reading, unexplained: readonly number[]): UnexplainedRange[] {
  const { areas, pieces, pageBytes, claims } = reading;
  const ranges: UnexplainedRange[] = [];
  let lastPiece = -2;
  for (const piece of unexplained) {
    const area = areas[pieces.area[piece]!]!;
    const at = piece * PAGE_COLUMNS;
    const start = pieces.bounds[2 * piece]!;
    const end = pieces.bounds[2 * piece + 1]!;
    const residentBytes = pageBytes[at + ANONYMOUS]! + pageBytes[at + FILE]!;
    const swapBytes = pageBytes[at + SWAP]!;
    const protection = protectionOf(area);
    const claim = pieces.claim[piece]!;
    const owner = claim < 0 ? null : claims.holders[claims.holderOf[claim]!]!.owner;
    const last = ranges.at(-1);
    const isNext = last !== undefined && lastPiece === piece - 1 && last.end === start;
    if (isNext && last.protection === protection && last.owner === owner) {
      last.end = end;
      last.residentBytes += residentBytes;
      last.swapBytes += swapBytes;
      last.above = neighbour(reading, piece + 1, end);
    } else {
      ranges.push({
        start,
        end,
        residentBytes,
        swapBytes,
        protection,
        owner,
        mappedAtMs: claim < 0 ? null : claims.mappedAtMs[claim]!,
        below: neighbour(reading, piece - 1, start),
        above: neighbour(reading, piece + 1, end),
      });
    }
    lastPiece = piece;
  }
  return ranges;
}

/** What a piece is, where it touches this address. */
function neighbour({ areas, pieces, claims }: Reading, piece: number, address: number): string | null {
  if (piece < 0 || piece >= pieces.length) return null;
  if (pieces.bounds[2 * piece] !== address && pieces.bounds[2 * piece + 1] !== address) return null;
  const { path } = areas[pieces.area[piece]!]!;
  if (path !== '') return path;
  const claim = pieces.claim[piece]!;
  return claim < 0 ? 'unexplained' : (claims.holders[claims.holderOf[claim]!]?.owner ?? null);
}

function protectionOf({ readable, writable, executable, shared }: ProcMapping): string {
  return [readable ? 'r' : '-', writable ? 'w' : '-', executable ? 'x' : '-', shared ? 's' : 'p'].join('');
}
