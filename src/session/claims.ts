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
  const { bounds, protections, ids, sites, timesNs, files } = ledger.columns();
  const count = ids.length;
  const holderOf = new Uint32Array(count);
  const reserved = new Uint8Array(count);
  const mappedAtMs = new Float64Array(count);
  const holders: Holder[] = [];
  // By site, and by whether it is a file's: a site of the shim may be either.
  const numbers: (number | undefined)[] = [];
  const startMs = facts.startedAt.getTime();
  for (let i = 0; i < count; i++) {
    const site = sites[i]!;
    const isFile = files[i] === 1;
    const key = 2 * site + (isFile ? 1 : 0);
    let holder = numbers[key];
    if (holder === undefined) {
      holder = holders.push({ ...attributions.of(site), isFile }) - 1;
      numbers[key] = holder;
    }
    holderOf[i] = holder;
    if (protections[i] === PROT_NONE) reserved[i] = 1;
    mappedAtMs[i] = startMs + timesNs[i]! / 1e6;
  }
  return { bounds, holderOf, reserved, originOf: ids, mappedAtMs, holders };
}
