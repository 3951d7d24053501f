import { accessSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { renderColumns } from '../report/columns.js';
import { diffSnapshots } from '../report/diff.js';
import { diffTable } from '../report/diff-table.js';
import { onlyFrames } from '../report/frame-filter.js';
import type { Snapshot } from '../report/schema.js';
import { printable } from '../report/text.js';
import type { ProcessEntry } from '../session/index.js';
import { OffheapError } from '../wire/error.js';
import type { Collector } from './collector.js';
import { type ConnectOptions, connectOrAttach, onlyProcess } from './connect.js';
import { flamegraphFileName, formatOfFile } from './flamegraph-file.js';
import { type FrameOptions, filterOf } from './frame-options.js';
import { columnsOf, print, waiting, wantsColors } from './streams.js';
import { top } from './top.js';

interface DirOption {
  dir?: string;
}

/** Asks for something, and lets go of the collector whatever came of it. */
async function withCollector(
  pid: number | undefined,
  options: ConnectOptions,
  use: (collector: Collector) => Promise<void>,
): Promise<void> {
  const chosen = pid ?? (await onlyProcess(options.dir));
  const collector = await waiting(`attaching to process ${chosen}`, connectOrAttach(chosen, options));
  try {
    await use(collector);
  } finally {
    await collector.close();
  }
}

export async function ps({ dir, json }: DirOption & { json?: boolean }): Promise<void> {
  const { listProcesses } = await import('../session/index.js');
  const entries = listProcesses(dir);
  if (json) return print(JSON.stringify(entries));
  const lines = renderColumns<ProcessEntry>(
    [
      { title: 'PID', align: 'right', cell: ({ pid }) => String(pid) },
      { title: 'PARENT', align: 'right', expendable: 1, cell: ({ parentPid }) => String(parentPid) },
      { title: 'STATE', align: 'left', cell: ({ state }) => state },
      { title: 'COLLECTOR', align: 'right', cell: ({ collectorPid }) => String(collectorPid ?? '-') },
      { title: 'STARTED', align: 'left', expendable: 2, cell: ({ startedAt }) => startedAt ?? '-' },
      {
        title: 'COMMAND',
        align: 'left',
        flexible: true,
        cell: ({ command, problem }) => printable(problem ?? command.join(' ')),
      },
    ],
    entries,
    columnsOf(process.stdout),
  );
  return print(lines.join('\n'));
}

export function watch(
  pid: number | undefined,
  { dir, interval, count, ...frames }: DirOption & FrameOptions & { interval: number; count?: number },
): Promise<void> {
  const serving = { dir, intervalMs: interval, serve: true };
  const options = { intervalMs: interval, count, only: filterOf(frames) };
  return withCollector(pid, serving, (collector) => top(collector, options));
}

export function snapshot(
  pid: number,
  { dir, output, ...frames }: DirOption & FrameOptions & { output?: string },
): Promise<void> {
  return withCollector(pid, { dir }, async (collector) => {
    const whole = await waiting('taking the snapshot', collector.snapshot());
    const json = JSON.stringify(onlyFrames(whole, filterOf(frames)));
    if (output === undefined) await print(json);
    else await writeFile(output, `${json}\n`);
  });
}

export interface FlamegraphCommandOptions extends DirOption, FrameOptions {
  output?: string;
  heap?: boolean;
  growth?: boolean;
  fold?: boolean;
}

export function flamegraph(pid: number, options: FlamegraphCommandOptions): Promise<void> {
  const { dir, output, heap, growth, fold: foldPlumbing } = options;
  return withCollector(pid, { dir }, async (collector) => {
    const format = output === undefined ? 'svg' : formatOfFile(output);
    const how = { only: filterOf(options), foldPlumbing };
    const of = heap ? (growth ? 'heap-growth' : 'heap') : growth ? 'growth' : 'live';
    const file = await waiting('drawing the flame graph', collector.flamegraph({ format, of, ...how }));
    if (output === undefined && typeof file === 'string' && !process.stdout.isTTY) return print(file);
    // Nobody wants markup on their terminal.
    const path = output ?? flamegraphFileName(pid, new Date());
    await writeFile(path, file);
    if (output === undefined) await print(path);
  });
}

export function pagemap(pid: number, { dir, output }: DirOption & { output?: string }): Promise<void> {
  return withCollector(pid, { dir }, async (collector) => {
    const format = output?.endsWith('.html') ? 'html' : 'svg';
    const file = await waiting('drawing the pages', collector.pagemap({ format }));
    if (output === undefined && !process.stdout.isTTY) return print(file);
    const path = output ?? `pages-${flamegraphFileName(pid, new Date())}`;
    await writeFile(path, file);
    if (output === undefined) await print(path);
  });
}

export function repl(pid: number | undefined, { dir }: DirOption): Promise<void> {
  return withCollector(pid, { dir, serve: true }, async (collector) => {
    const { stdin, stdout } = process;
    const interactive = stdin.isTTY === true && stdout.isTTY === true;
    const terminal = { interactive, colors: wantsColors(stdout), columns: columnsOf(stdout) };
    if (interactive) stdin.setRawMode(true);
    try {
      await collector.repl({ input: stdin, output: stdout, ...terminal });
    } finally {
      if (interactive) stdin.setRawMode(false);
      stdin.pause();
    }
  });
}

export function evaluateExpression(
  pid: number,
  expression: string,
  { dir, json = false }: DirOption & { json?: boolean },
): Promise<void> {
  return withCollector(pid, { dir }, async (collector) => {
    const style = { json, colors: wantsColors(process.stdout), columns: columnsOf(process.stdout) };
    await print(await waiting('evaluating', collector.evaluate(expression, style)));
  });
}

export async function diff(a: string, b: string, { json }: { json?: boolean }): Promise<void> {
  const change = diffSnapshots(await readSnapshot(a), await readSnapshot(b));
  return print(json ? JSON.stringify(change) : diffTable(change, columnsOf(process.stdout)));
}

export async function preload(): Promise<void> {
  const { shimPath } = await import('../session/index.js');
  const path = shimPath();
  try {
    accessSync(path);
  } catch {
    throw new OffheapError('SHIM_MISSING', `the shim ${path} is not there; build it with npm run build`);
  }
  return print(path);
}

async function readSnapshot(file: string): Promise<Snapshot> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    const reason = error instanceof SyntaxError ? 'it is not JSON' : String(error);
    throw new OffheapError(
      'SNAPSHOT_UNREADABLE',
      `can't read ${file}: ${reason}; write it with offheap snapshot`,
    );
  }
  if (!isSnapshot(value)) {
    throw new OffheapError(
      'SNAPSHOT_SCHEMA',
      `${file} is no snapshot of schema offheap.snapshot/1; write it with offheap snapshot`,
    );
  }
  return value;
}

function isSnapshot(value: unknown): value is Snapshot {
  if (typeof value !== 'object' || value === null) return false;
  const { schema, owners, takenAt } = value as Partial<Snapshot>;
  return schema === 'offheap.snapshot/1' && Array.isArray(owners) && typeof takenAt === 'string';
}
