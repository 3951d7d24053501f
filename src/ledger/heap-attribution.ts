import type { AttributionFrame, OwnerKind } from './attribution.js';
import { OWNER_NO_STACK } from './attribution.js';
import { ALLOCATOR_MODULES, matches, PLUMBING_MODULES } from './plumbing.js';

/** Who holds what an allocator handed out. */
export interface HeapAttribution {
  owner: string;
  path: string | null;
  kind: OwnerKind;
  /** The module that called the allocator, plumbing or not; null without a stack. */
  caller: string | null;
}

/**
 * To whom an allocation belongs: the first module from the leaf that is not plumbing. Allocators are plumbing here:
 * what they map is theirs, and what they hand out is not. Reads no more frames than it needs.
 */
export function attributeAllocation(stack: Iterable<AttributionFrame>): HeapAttribution {
  let leaf: AttributionFrame | undefined;
  for (const frame of stack) {
    leaf ??= frame;
    if (!relays(frame.module)) return attribution(frame, leaf);
  }
  if (leaf === undefined) return { owner: OWNER_NO_STACK, path: null, kind: 'unexplained', caller: null };
  // Plumbing all the way down: the loader's own, or a stack that was cut.
  return attribution(leaf, leaf);
}

function relays(module: string): boolean {
  return matches(PLUMBING_MODULES, module) || matches(ALLOCATOR_MODULES, module);
}

function attribution({ module, path, isProgram }: AttributionFrame, leaf: AttributionFrame): HeapAttribution {
  return { owner: module, path, kind: isProgram ? 'program' : 'library', caller: leaf.module };
}
