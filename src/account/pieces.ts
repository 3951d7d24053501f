import type { Claims } from './claims.js';
import type { ProcMapping } from './maps.js';

/** The kernel's areas cut at the ledger's ranges: the leaves of the account, by address and apart from one another. */
export interface Pieces {
  length: number;
  /** `[start, end, …]` */
  bounds: Float64Array;
  /** Position of the kernel's area. */
  area: Uint32Array;
  /** Position of the claim, or -1: in no range of the ledger. */
  claim: Int32Array;
}

/** What exists is the kernel's to say, whose it is the ledger's: claims beyond the areas count as nothing. */
export function cutAtClaims(areas: readonly ProcMapping[], claims: Claims): Pieces {
  const claimCount = claims.bounds.length / 2;
  // Each area and each claim adds two cuts at most.
  const most = 2 * (areas.length + claimCount) + 1;
  const pieces: Pieces = {
    length: 0,
    bounds: new Float64Array(2 * most),
    area: new Uint32Array(most),
    claim: new Int32Array(most),
  };
  let next = 0;
  for (let area = 0; area < areas.length; area++) {
    const { end } = areas[area]!;
    let at = areas[area]!.start;
    while (next < claimCount && claims.bounds[2 * next + 1]! <= at) next++;
    for (let claim = next; at < end; claim++) {
      const from = claim < claimCount ? Math.min(claims.bounds[2 * claim]!, end) : end;
      if (from > at) add(pieces, at, from, area, -1);
      at = Math.max(at, from);
      if (at >= end || claim >= claimCount) break;
      const to = Math.min(claims.bounds[2 * claim + 1]!, end);
      add(pieces, at, to, area, claim);
      at = to;
    }
  }
  pieces.bounds = pieces.bounds.subarray(0, 2 * pieces.length);
  return pieces;
}

function add(pieces: Pieces, start: number, end: number, area: number, claim: number): void {
  const at = pieces.length++;
  pieces.bounds[2 * at] = start;
  pieces.bounds[2 * at + 1] = end;
  pieces.area[at] = area;
  pieces.claim[at] = claim;
}
