import { readGlibcHeaps } from '../account/allocators/glibc.js';
import type { Range } from '../account/maps.js';
import { measureResidency } from '../account/residency.js';
import { memoryTotals } from '../account/rollup.js';
import { askTarget, type RequestLimits } from '../drain/request.js';
import { LIBC_MODULES, matches } from '../ledger/plumbing.js';
import type { TrimReport } from '../report/schema.js';
import { layout } from '../wire/addon.js';
import { OffheapError } from '../wire/error.js';
import type { ProcessFacts } from './process-facts.js';
import type { Program } from './program.js';

/**
 * Has the target's allocator give its free memory back to the kernel, and tells what came of it. Throws as `askTarget`,
 * `PROCESS_MISSING` or `PROCESS_REFUSED`.
 */
export async function trimTarget(
  { recording, attributions }: Pick<Program, 'recording' | 'attributions'>,
  { pid, command }: Pick<ProcessFacts, 'pid' | 'command'>,
  limits: RequestLimits = {},
): Promise<TrimReport> {
  const ranges: Range[] = [];
  let hasGlibc = false;
  for (const { start, end, origin } of recording.ledger.ranges()) {
    const { kind, owner } = attributions.of(origin.site);
    if (kind !== 'allocator') continue;
    ranges.push({ start, end });
    hasGlibc ||= matches(LIBC_MODULES, owner);
  }
  const look = () => ({
    residentBytes: memoryTotals(pid).totalBytes,
    allocatorBytes: sum(measureResidency(pid, ranges).map(({ residentBytes }) => residentBytes)),
  });
  const predictedBytes = hasGlibc ? trimmableBytes(pid) : null;
  const before = look();
  const { answer, answerSource } = await askTarget(recording.drain.channel, 'trim', limits);
  const by = layout.enumerations.memoryReturns[answerSource] ?? 'unknown';
  const after = look();
  return {
    process: { pid, command },
    by: answer === 'done' ? by : null,
    before,
    after,
    predictedBytes: by === 'malloc_trim' ? predictedBytes : null,
    returnedBytes: Math.max(0, before.allocatorBytes - after.allocatorBytes),
  };
}

/** Null where its memory may not be read: it can give back all the same. */
function trimmableBytes(pid: number): number | null {
  try {
    return readGlibcHeaps(pid).trimmableResidentBytes;
  } catch (error) {
    if (!(error instanceof OffheapError) || error.code !== 'PROCESS_REFUSED') throw error;
    return null;
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
