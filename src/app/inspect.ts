import { type InspectOptions, inspect } from 'node:util';
import { formatBytes } from '../report/bytes.js';
import { overviewOf } from '../report/overview.js';
import type { Snapshot } from '../report/schema.js';
import { reportTable } from '../report/table.js';

/** A number of bytes that prints as "57741312 (57.7 MB)". */
class ByteSize {
  constructor(
    private readonly bytes: number,
    private readonly perMinute: boolean,
  ) {}

  [inspect.custom](_depth: number, options: InspectOptions): string {
    const number = inspect(Math.round(this.bytes), options);
    if (Math.abs(this.bytes) < 1000) return number;
    return `${number} (${formatBytes(this.bytes)}${this.perMinute ? '/min' : ''})`;
  }
}

/** Deeper than any of the session's own objects. */
const DEEPEST = 6;

/** A value for people: sizes with their unit, snapshots as the report, long texts cut. */
export function inspectForPeople(value: unknown, options: { colors: boolean; columns: number }): string {
  if (isSnapshot(value)) return reportTable(overviewOf(value), options);
  return inspect(withSizes(value, DEEPEST), {
    colors: options.colors,
    breakLength: options.columns,
    depth: DEEPEST,
    maxStringLength: 2000,
  });
}

/** A copy in which the numbers under names such as `residentBytes` are `ByteSize`s; other classes stay as they are. */
function withSizes(value: unknown, depth: number): unknown {
  if (depth === 0 || typeof value !== 'object' || value === null) return value;
  // inspect itself shows the first hundred.
  if (Array.isArray(value))
    return value.length > 1000 ? value : value.map((entry) => withSizes(entry, depth - 1));
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, entry]) => [name, sized(name, entry) ?? withSizes(entry, depth - 1)]),
  );
}

function sized(name: string, value: unknown): ByteSize | undefined {
  if (typeof value !== 'number') return undefined;
  if (/^bytes$|Bytes$/.test(name)) return new ByteSize(value, false);
  return /BytesPerMinute$/.test(name) ? new ByteSize(value, true) : undefined;
}

function isSnapshot(value: unknown): value is Snapshot {
  return (
    typeof value === 'object' && value !== null && 'schema' in value && value.schema === 'offheap.snapshot/1'
  );
}
