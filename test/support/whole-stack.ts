import { expect } from 'vitest';
import type { SnapshotFrame } from '../../src/report/schema.js';

/** Frames of which any number may stand there: what another version of a library has more or fewer of. */
export interface Any {
  any: RegExp;
}

/** One frame, or any number of them: as `said` tells a frame. */
export type Part = string | RegExp | Any;

/** What stands between malloc and the kernel in libc, of which only the exported functions have names. */
export const LIBC_INTERNALS: Any = { any: /\S+ libc\.so\.6/ };

/** The root of a program's first thread. */
export const PROGRAM_ROOT: Part[] = [
  /(\?|__libc_start_call_main) libc\.so\.6/,
  '__libc_start_main libc.so.6',
  /_start \S+/,
];

/**
 * "function file:line", or "function module" where nothing tells the line, and of libc, whose debug information may be
 * installed.
 */
function said({ function: name, module, file, line, inlined }: SnapshotFrame): string {
  const place = file === null || module === 'libc.so.6' ? module : `${file}:${line}`;
  return `${inlined ? 'inlined ' : ''}${name ?? '?'} ${place}`;
}

function pattern(part: Part): string {
  if (typeof part === 'string') return `${part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')}\n`;
  return part instanceof RegExp ? `(?:${part.source})\n` : `(?:(?:${part.any.source})\n)*`;
}

/** A stack is these parts from the leaf to the root, and nothing else. */
export function expectWhole(stack: readonly SnapshotFrame[], parts: readonly Part[]): void {
  const text = stack.map((frame) => `${said(frame)}\n`).join('');
  expect(text).toMatch(new RegExp(`^${parts.map(pattern).join('')}$`));
}
