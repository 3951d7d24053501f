import { FLAMEGRAPH_FORMATS, type FlamegraphFormat } from '../report/flamegraph/formats.js';
import { OffheapError } from '../wire/error.js';

/** The format that a file's name asks for. */
export function formatOfFile(file: string): FlamegraphFormat {
  const format = FLAMEGRAPH_FORMATS.find((known) => file.endsWith(`.${known}`));
  if (format !== undefined) return format;
  const known = FLAMEGRAPH_FORMATS.map((name) => `.${name}`).join(', ');
  throw new OffheapError(
    'FLAMEGRAPH_FORMAT',
    `no flame graph format goes with the name '${file}'; end it in one of ${known}`,
  );
}

/** "offheap-123-20260121T100101.200Z.svg". */
export function flamegraphFileName(pid: number, at: Date, format: FlamegraphFormat = 'svg'): string {
  return `offheap-${pid}-${at.toISOString().replaceAll(/[-:]/g, '')}.${format}`;
}
