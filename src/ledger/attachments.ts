import type { LiveMemory } from './live-memory.js';
import { BASE, END, ORIGIN, ROW, RowBuffer, START } from './row-buffer.js';

/**
 * Takes out the pieces of the first attachment of shared memory whose base is the address, as the kernel does: by base, not by
 * extent. None of its pieces lies further behind its base than `largestBytes`.
 */
export function takeOutAttachment(
  memory: LiveMemory,
  address: number,
  largestBytes: number,
  pieces: RowBuffer,
): void {
  const rows = new RowBuffer();
  memory.index.collect(address, address + largestBytes, rows);
  const { values } = rows;
  let attachment = -1;
  for (let at = 0; at < rows.length; at += ROW) {
    const origin = values[at + ORIGIN]!;
    const start = values[at + START]!;
    if (values[at + BASE] !== address || start < address || !memory.origins.isAttachment(origin)) continue;
    if (attachment < 0) attachment = origin;
    if (origin === attachment) memory.takeOut(start, values[at + END]!, pieces);
  }
}
