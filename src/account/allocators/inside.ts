import { OffheapError } from '../../wire/error.js';
import type { ProcMapping, Range } from '../maps.js';
import { asked } from '../process-file.js';
import { type AccountNode, emptyNode } from '../tree.js';
import type { AskedFigures } from './asked.js';

/** A piece of an allocator's memory, with what the kernel says of it. */
export interface AllocatorRange extends Range {
  residentBytes: number;
  swapBytes: number;
}

/** All memory that one allocator has mapped. */
export interface AllocatorMemory {
  /** The module, e.g. `libc.so.6`. */
  owner: string;
  path: string | null;
  /** By address and apart from one another. */
  ranges: readonly AllocatorRange[];
  /** The kernel's areas that the ranges lie in; parts of them may be others'. */
  areas: readonly ProcMapping[];
}

/** What an allocator uses resident (and swapped) memory for. */
export interface AllocatorPart {
  /** `pinned`: free, on pages that live blocks keep in memory; `slack`: of live blocks, more than was asked for. */
  kind: 'live' | 'cached' | 'retained' | 'pinned' | 'metadata' | 'slack';
  name: string;
  residentBytes: number;
  swapBytes: number;
}

export interface AllocatorInside {
  parts: AllocatorPart[];
  /** What could not be read, or only doubtfully: a line each. */
  problems: string[];
  /** What malloc_trim would return. */
  trimmableBytes?: number;
  /** What blocks were asked for, or why that is not known. */
  asked: AskedFigures | string;
}

/**
 * Looks into an allocator's memory from outside. Undefined: not this allocator's memory. What the parts leave of the
 * resident bytes is reported as `unread`; a reader gives no part that it is not sure of.
 */
export type AllocatorReader = (pid: number, memory: AllocatorMemory) => AllocatorInside | undefined;

/** Parts may exceed what the kernel said by so much, since the process ran on between the two readings. */
const TOLERANCE = 0.01;

/** Splits an allocator's node by what a reader finds inside; returns what to say about it. */
export function splitAllocator(
  node: AccountNode,
  pid: number,
  memory: AllocatorMemory,
  readers: readonly AllocatorReader[],
): string[] {
  for (const read of readers) {
    let inside: AllocatorInside | undefined;
    try {
      inside = asked(pid, () => read(pid, memory));
    } catch (error) {
      if (!(error instanceof OffheapError)) throw error;
      node.askedUnknown = "its memory can't be read";
      return [`the inside of ${memory.owner} can't be read: ${error.message}`];
    }
    if (inside === undefined) continue;
    if (typeof inside.asked === 'string') node.askedUnknown = inside.asked;
    else node.asked = inside.asked;
    if (inside.trimmableBytes !== undefined) node.trimmableBytes = inside.trimmableBytes;
    return [...inside.problems, ...place(node, inside.parts)];
  }
  node.askedUnknown = 'nobody knows how it keeps its blocks';
  return [];
}

function place(node: AccountNode, parts: readonly AllocatorPart[]): string[] {
  const resident = fitted(
    parts.map(({ residentBytes }) => residentBytes),
    node.residentBytes,
  );
  const swapped = fitted(
    parts.map(({ swapBytes }) => swapBytes),
    node.swapBytes,
  );
  if (resident === undefined || swapped === undefined) {
    return [`${node.name} changed so much while it was read that its inside is not told`];
  }
  const children = parts.map(({ kind, name }, index) => ({
    ...emptyNode(kind, name),
    residentBytes: resident[index]!,
    swapBytes: swapped[index]!,
    anonymousBytes: resident[index]!,
  }));
  const rest = {
    ...emptyNode('unread', 'not read'),
    residentBytes: node.residentBytes - sum(resident),
    swapBytes: node.swapBytes - sum(swapped),
  };
  rest.anonymousBytes = rest.residentBytes;
  // Addresses and huge pages are not told apart inside: they stand with the allocator as a whole.
  node.children = [...children, ...(rest.residentBytes + rest.swapBytes > 0 ? [rest] : [])].filter(
    (child) => child.residentBytes + child.swapBytes > 0,
  );
  return [];
}

/** Values that add up to at most `total`: as they are, or scaled a little; undefined where they are far beyond it. */
function fitted(values: readonly number[], total: number): number[] | undefined {
  const all = sum(values);
  if (all <= total) return [...values];
  if (all > total * (1 + TOLERANCE)) return undefined;
  const scaled = values.map((value) => Math.floor((value * total) / all));
  // What rounding leaves is nobody's by itself: the largest has it.
  const largest = scaled.indexOf(Math.max(...scaled));
  scaled[largest]! += total - sum(scaled);
  return scaled;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
