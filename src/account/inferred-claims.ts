import type { OwnerKind } from '../ledger/attribution.js';
import type { Claims, Holder } from './claims.js';
import { labelIn, type ProcMapping } from './maps.js';
import type { ThreadStack } from './thread-stacks.js';

/**
 * What the kernel's listing alone tells of anonymous memory: for a process that nobody recorded. The program break is
 * libc's allocator's; what follows a file's writable data is its .bss; memory on which a thread sleeps, above a guard, is its
 * stack; a name in brackets was given by whoever mapped it. All else stays unexplained.
 */
export function inferClaims(areas: readonly ProcMapping[], threads: readonly ThreadStack[]): Claims {
  const holders: Holder[] = [];
  const numbers = new Map<string, number>();
  const bounds: number[] = [];
  const holderOf: number[] = [];
  for (const [index, area] of areas.entries()) {
    if (area.kind !== 'anonymous') continue;
    const inferred = infer(area, areas[index - 1], threads);
    if (inferred === undefined) continue;
    const key = `${inferred.kind}\0${inferred.owner}`;
    const number = numbers.get(key) ?? holders.push(inferred) - 1;
    numbers.set(key, number);
    bounds.push(area.start, area.end);
    holderOf.push(number);
  }
  return {
    bounds: Float64Array.from(bounds),
    holderOf: Uint32Array.from(holderOf),
    reserved: new Uint8Array(holderOf.length),
    // Each is a mapping of its own as far as one can tell.
    originOf: Float64Array.from(holderOf, (_, index) => index),
    mappedAtMs: new Float64Array(holderOf.length).fill(Number.NaN),
    holders,
  };
}

function infer(
  area: ProcMapping,
  below: ProcMapping | undefined,
  threads: readonly ThreadStack[],
): Holder | undefined {
  const touches = below?.end === area.start;
  if (area.path === '[heap]') return holder('libc.so.6', null, 'allocator');
  const label = labelIn(area.path);
  if (label !== null) return labelled(label);
  if (area.path.startsWith('[anon:')) return holder(area.path, null, 'library');
  if (touches && below.kind === 'file' && !below.shared && below.writable && area.writable) {
    return holder(below.path.slice(below.path.lastIndexOf('/') + 1), below.path, 'library');
  }
  const isGuarded = touches && !below.readable && !below.writable;
  const sleeps = threads.some(
    ({ stackPointer }) => stackPointer !== null && stackPointer >= area.start && stackPointer < area.end,
  );
  return isGuarded && sleeps ? holder('thread stack', null, 'stack') : undefined;
}

/** What the shim has named by whoever mapped it. */
function labelled(label: string): Holder {
  const stackOf = /^(.+) stack$/.exec(label)?.[1];
  return stackOf === undefined ? holder(label, null, 'library') : holder(stackOf, null, 'stack');
}

function holder(owner: string, path: string | null, kind: OwnerKind): Holder {
  return { owner, path, kind, caller: null, enclosing: null, isFile: false };
}
