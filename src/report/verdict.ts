import type { SnapshotVerdict } from './schema.js';
import { printable } from './text.js';
import { cut } from './width.js';

const FRAMES_SHOWN = 4;

/** "verdict: leak by app, 91 % sure". */
function headOf({ verdict, owner, confidence }: SnapshotVerdict): string {
  const by = owner === null ? '' : ` by ${printable(owner)}`;
  const sure = verdict === 'unknown' ? '' : `, ${Math.round(100 * confidence)} % sure`;
  return `verdict: ${verdict}${by}${sure}`;
}

/** All in one line. */
export function verdictLine(verdict: SnapshotVerdict, columns: number): string {
  return cut(`${headOf(verdict)} · ${printable(verdict.evidence)}`, columns);
}

/** The verdict, its evidence, and who allocates, a line each. */
export function verdictLines(verdict: SnapshotVerdict, columns: number): string[] {
  const who = verdict.frames.slice(0, FRAMES_SHOWN).map(printable);
  return [
    headOf(verdict),
    `  ${printable(verdict.evidence)}`,
    ...(who.length === 0 ? [] : [`  by ${who.join(' ← ')}`]),
  ].map((line) => cut(line, columns));
}

/** Whether there is anything to say by now. */
export function isTold({ verdict, owner, confidence }: SnapshotVerdict): boolean {
  return verdict !== 'unknown' || owner !== null || confidence > 0;
}
