import { ALLOCATOR_MODULES, matches, PLUMBING_MODULES } from '../../ledger/plumbing.js';
import type { OwnerKind, SnapshotFrame, SnapshotMapping } from '../schema.js';

/**
 * What a frame is drawn as: its language or, of native code, whose it is. `plumbing` relays a call for others and never
 * owns memory: it is muted.
 */
export type FrameKind =
  | 'process'
  | Exclude<SnapshotFrame['language'], 'native'>
  | 'program'
  | 'library'
  | 'allocator'
  | 'kernel'
  | 'plumbing'
  | 'enclosed'
  | 'unknown';

export const KIND_TEXTS: Record<FrameKind, string> = {
  process: 'process',
  python: 'Python',
  javascript: 'JavaScript',
  java: 'Java',
  program: 'native: program',
  library: 'native: library',
  allocator: 'native: allocator',
  kernel: 'kernel',
  plumbing: 'plumbing (relays, never owns)',
  enclosed: 'inside another operation',
  unknown: 'unknown',
};

/** The kinds of a mapping's frames, leaf first as its stack. */
export function frameKinds(
  stack: readonly SnapshotFrame[],
  { owner, kind }: Pick<SnapshotMapping, 'owner' | 'kind'>,
  kindOf: (frame: SnapshotFrame) => FrameKind,
): FrameKind[] {
  const first = stack.findIndex((frame) => frame.module === owner);
  // The C library owns as malloc and relays elsewhere: only its frames next to the kernel are the owner's.
  const relays = matches(PLUMBING_MODULES, owner);
  let last = first;
  while (relays && last >= 0 && stack[last + 1]?.module === owner) last += 1;
  return stack.map((frame, index) => {
    if (index < first) return 'plumbing';
    return index <= last && kind === 'allocator' ? 'allocator' : kindOf(frame);
  });
}

/** The kind of a frame by its module alone. */
export function moduleKind({ language, module, function: name }: SnapshotFrame): FrameKind {
  if (language !== 'native') return language;
  if (matches(PLUMBING_MODULES, module)) return 'plumbing';
  if (matches(ALLOCATOR_MODULES, module)) return 'allocator';
  // Made at run time: an engine's stubs, where it has told their names.
  if (module.startsWith('[anon')) return name === null ? 'unknown' : 'library';
  if (module.startsWith('[')) return module === '[unknown]' ? 'unknown' : 'kernel';
  // The program's own file is the one that is no shared object; its command may be a link to it.
  return /\.so\b/.test(module) ? 'library' : 'program';
}

/** What stands for an owner where there is no stack. */
export function ownerFrameKind(kind: OwnerKind): FrameKind {
  if (kind === 'profiler') return 'plumbing';
  // Thread stacks are their creator's, a library or the program.
  if (kind === 'stack') return 'library';
  return kind === 'unexplained' ? 'unknown' : kind;
}
