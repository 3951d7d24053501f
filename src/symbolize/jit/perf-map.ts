import type { CodePiece } from './code-store.js';

const NEWLINE = 0x0a;
const SPACE = 0x20;
const LOWER_X = 0x78;
/** More digits than an address has. */
const MOST_DIGITS = 16;

/** The lines of a perf map, as the file grows: `START SIZE NAME`, both numbers hexadecimal. */
export class PerfMapLines {
  /** Lines that are none. */
  malformed = 0;

  /** Hands out the pieces of all whole lines of `text`; returns how many bytes these take. */
  read(text: Buffer, timeNs: number, take: (piece: CodePiece) => void): number {
    let at = 0;
    for (;;) {
      const end = text.indexOf(NEWLINE, at);
      if (end < 0) return at;
      const piece = lineOf(text, at, end);
      if (piece !== null) take({ ...piece, timeNs });
      else if (end > at) this.malformed++;
      at = end + 1;
    }
  }
}

function lineOf(text: Buffer, from: number, to: number): Omit<CodePiece, 'timeNs'> | null {
  const start = hexadecimal(text, from, to);
  if (start === null) return null;
  const size = hexadecimal(text, start.end + 1, to);
  if (size === null) return null;
  const last = text[to - 1] === 0x0d ? to - 1 : to;
  return { start: start.value, bytes: size.value, name: text.subarray(size.end + 1, last) };
}

/** A number, with or without 0x, that a space ends. */
function hexadecimal(text: Buffer, from: number, to: number): { value: number; end: number } | null {
  let at = from;
  // The JVM writes 0x, others don't.
  if (text[at] === 0x30 && text[at + 1] === LOWER_X) at += 2;
  const first = at;
  let value = 0;
  for (; at < to && text[at] !== SPACE; at++) {
    const digit = digitOf(text[at]!);
    if (digit < 0) return null;
    value = value * 16 + digit;
  }
  const isNumber = at > first && at - first <= MOST_DIGITS && at < to;
  return isNumber ? { value, end: at } : null;
}

function digitOf(character: number): number {
  if (character >= 0x30 && character <= 0x39) return character - 0x30;
  const letter = character | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}
