import type { Claims, Holder } from '../account/claims.js';
import { PROT_NONE } from '../ledger/memory-abi.js';
import type { Attributions } from './attributions.js';
import type { ProcessFacts } from './process-facts.js';
import type { ProcessRecording } from './recording.js';

/** The ledger's ranges with their owners. */
export function claimsOf(
  { ledger }: ProcessRecording,
  attributions: Attributions,
  facts: ProcessFacts,
): Claims {
  const ranges = [...ledger.ranges()];
  const bounds = new Float64Array(2 * ranges.length);
  const holderOf = new Uint32Array(ranges.length);
  const reserved = new Uint8Array(ranges.length);
  const originOf = new Float64Array(ranges.length);
  const mappedAtMs = new Float64Array(ranges.length);
  const holders: Holder[] = [];
  // By site, and by whether it is a file's: a site of the shim may be either.
  const numbers: (number | undefined)[] = [];
  const startMs = facts.startedAt.getTime();
  ranges.forEach(({ start, end, origin, protection }, index) => {
    const isFile = origin.class === 'file';
    const key = 2 * origin.site + (isFile ? 1 : 0);
    let holder = numbers[key];
    if (holder === undefined) {
      holder = holders.push({ ...attributions.of(origin.site), isFile }) - 1;
      numbers[key] = holder;
    }
    bounds[2 * index] = start;
    bounds[2 * index + 1] = end;
    holderOf[index] = holder;
    if (protection === PROT_NONE) reserved[index] = 1;
    originOf[index] = origin.id;
    mappedAtMs[index] = startMs + origin.timeNs / 1e6;
  });
  return { bounds, holderOf, reserved, originOf, mappedAtMs, holders };
}
