import type { Operation } from '../wire/event.js';
import {
  ALLOCATOR_MODULES,
  bareName,
  LIBC_ALLOCATOR_FUNCTIONS,
  LIBC_MODULES,
  matches,
  OPERATION_FUNCTIONS,
  PLUMBING_MODULES,
  PYTHON_ARENA_FUNCTIONS,
  PYTHON_MODULES,
  SYSTEM_CALL_WRAPPERS,
} from './plumbing.js';
import type { SiteFacts } from './site-table.js';

export type OwnerKind = 'library' | 'allocator' | 'stack' | 'program' | 'kernel' | 'profiler' | 'unexplained';

/** A frame as far as attribution needs it; stacks are leaf first. */
export interface AttributionFrame {
  /** Soname, or base name of the file. */
  module: string;
  path: string | null;
  /** The module is the main program. */
  isProgram: boolean;
  /** The function's name, null while unknown: rules that need it then do not match. Asked for only where it matters. */
  functionName: () => string | null;
}

export interface Attribution {
  /** Whose memory it is: a module's name, or one of the words below. */
  owner: string;
  path: string | null;
  kind: OwnerKind;
  /** The module that made the system call's caller frame, plumbing or not; null without a stack. */
  caller: string | null;
  /** The memory operation inside which it was mapped. */
  enclosing: Operation | null;
}

const SHIM_FILE = 'liboffheap.so';

/** Owners that are no modules. */
export const OWNER_PROFILER = 'offheap';
export const OWNER_MAIN_STACK = 'main stack';
/** Memory from before the recording whose mapper nobody saw: inherited by a fork whose parent was not recorded. */
export const OWNER_BEFORE_START = 'before start';
/** A program's memory from before the shim's constructor: only the loader has run by then. */
export const OWNER_LOADER = 'ld.so';
/** An event that came without a stack. */
export const OWNER_NO_STACK = 'no stack';

/** What attribution knows of the whole process. */
export interface ProgramFacts {
  /** The program's file: tells the program's own seeds from those of libraries. */
  programPath: string | null;
  /** It began by fork: seeds may be anybody's. Otherwise they are from before the first constructor. */
  forked: boolean;
  /** A file's name in reports (its soname); by default its base name. */
  nameOf?: (path: string) => string;
}

const UNKNOWN_PROGRAM: ProgramFacts = { programPath: null, forked: true };

/**
 * To whom a mapping belongs. Pure in its arguments: compute it once per site, and again when names become known.
 *
 * The owner is the first module from the leaf that is not plumbing, except where an allocator is met first. Inside
 * libc's malloc that takes a function name; a C++ or Python program is then told from the memory it mallocs.
 */
export function attribute(
  stack: readonly AttributionFrame[],
  facts: SiteFacts,
  program: ProgramFacts = UNKNOWN_PROGRAM,
): Attribution {
  const caller = callerOf(stack);
  const { enclosing } = facts;
  if (facts.byProfiler) return { owner: OWNER_PROFILER, path: null, kind: 'profiler', caller, enclosing };
  if (facts.operation === 'seed') return attributeSeed(facts, program);
  if (stack.length === 0) {
    return { owner: OWNER_NO_STACK, path: null, kind: 'unexplained', caller: null, enclosing };
  }

  const { index, kind } = findOwner(stack, facts);
  const frame = stack[index]!;
  return {
    owner: frame.module,
    path: frame.path,
    kind,
    caller,
    enclosing: enclosing ?? enclosingByStack(stack, index, kind),
  };
}

function attributeSeed(facts: SiteFacts, program: ProgramFacts): Attribution {
  const { programPath, forked, nameOf = baseName } = program;
  const none = { path: null, caller: null, enclosing: null };
  const { path } = facts;
  if (path === null || path.startsWith('[anon')) {
    if (!forked) return { ...none, owner: OWNER_LOADER, kind: 'library' };
    return { ...none, owner: OWNER_BEFORE_START, kind: 'unexplained' };
  }
  if (path === '[stack]') return { ...none, owner: OWNER_MAIN_STACK, kind: 'stack' };
  // The program break before the start: only malloc moves it that early.
  if (path === '[heap]') return { ...none, owner: 'libc.so.6', kind: 'allocator' };
  if (path.startsWith('[')) return { ...none, owner: path, kind: 'kernel' };
  if (facts.class === 'shared') return { ...none, owner: OWNER_BEFORE_START, kind: 'unexplained' };
  if (baseName(path) === SHIM_FILE) return { ...none, owner: OWNER_PROFILER, kind: 'profiler' };
  return { ...none, owner: nameOf(path), path, kind: path === programPath ? 'program' : 'library' };
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function findOwner(stack: readonly AttributionFrame[], facts: SiteFacts): { index: number; kind: OwnerKind } {
  let libcFrames = 0;
  for (const [index, frame] of stack.entries()) {
    if (matches(LIBC_MODULES, frame.module)) {
      const name = nameOf(frame);
      if (name !== null && LIBC_ALLOCATOR_FUNCTIONS.has(name)) return { index, kind: 'allocator' };
      if (index > 0) libcFrames++;
      continue;
    }
    if (matches(PLUMBING_MODULES, frame.module)) continue;
    if (matches(ALLOCATOR_MODULES, frame.module)) return { index, kind: 'allocator' };
    if (isPythonArena(frame, facts, libcFrames)) return { index, kind: 'allocator' };
    // MAP_STACK from inside libc is pthread_create's; other libraries use it for coroutines, which stay theirs.
    if (facts.stackArea && libcFrames > 0) return { index, kind: 'stack' };
    return { index, kind: frame.isProgram ? 'program' : 'library' };
  }
  // Plumbing all the way down: ld.so loading the program, or a stack that was cut. Then the caller is the owner.
  return { index: callerIndex(stack), kind: 'library' };
}

function isPythonArena(frame: AttributionFrame, facts: SiteFacts, libcFrames: number): boolean {
  if (!matches(PYTHON_MODULES, frame.module)) return false;
  const name = nameOf(frame);
  if (name !== null && PYTHON_ARENA_FUNCTIONS.has(name)) return true;
  // A stripped interpreter: nothing else in it maps exactly an arena's size itself, without libc's malloc between.
  return (
    facts.operation === 'mmap' && facts.class === 'anonymous' && facts.arenaBytes > 0 && libcFrames === 0
  );
}

function callerOf(stack: readonly AttributionFrame[]): string | null {
  return stack[callerIndex(stack)]?.module ?? null;
}

/** The first frame beyond libc's system-call wrapper: the leaf in libc, unless its name says it is more than that. */
function callerIndex(stack: readonly AttributionFrame[]): number {
  let index = 0;
  for (; index < stack.length; index++) {
    const frame = stack[index]!;
    if (!matches(LIBC_MODULES, frame.module) && !frame.module.startsWith('ld-')) break;
    const name = nameOf(frame);
    const isWrapper = name === null ? index === 0 : SYSTEM_CALL_WRAPPERS.has(name);
    if (!isWrapper) break;
  }
  return index < stack.length ? index : 0;
}

/**
 * The nearest frame beyond the owner that is a memory operation or a relay of one: there the owner was called back,
 * so the mapping happened inside that operation. What is merely relayed has no such frame beyond its owner.
 */
function enclosingByStack(
  stack: readonly AttributionFrame[],
  owner: number,
  kind: OwnerKind,
): Operation | null {
  for (const frame of stack.slice(owner + 1)) {
    // An allocator's own `free` or `sbrk` is how it works, not an operation that somebody else was in.
    if (kind === 'allocator' && frame.module === stack[owner]!.module) continue;
    const name = frame.functionName();
    if (name === null) continue;
    // An application may call a function of its own `_free`; only plumbing's relays go by other names.
    const relays = matches(PLUMBING_MODULES, frame.module);
    const operation = OPERATION_FUNCTIONS.get(relays ? bareName(name) : name);
    if (operation !== undefined) return operation;
  }
  return null;
}

function nameOf(frame: AttributionFrame): string | null {
  const name = frame.functionName();
  return name === null ? null : bareName(name);
}
