import { writeSync } from 'node:fs';
import { emitKeypressEvents } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FrameFilter } from '../report/frame-filter.js';
import { type Overview, ownerKey } from '../report/overview.js';
import { reportTable } from '../report/table.js';
import type { Collector } from './collector.js';
import { columnsOf, print, waiting, wantsColors } from './streams.js';
import { renderTop, sortedOwners, type TopSort, type TopState } from './top-screen.js';

const SAMPLES = 60;
const LINES_WITHIN_MS = 2000;
const SORTS: Record<string, TopSort> = { g: 'growth', r: 'resident', b: 'bytes' };
const ENTER = '\u001b[?1049h\u001b[?25l';
const LEAVE = '\u001b[?25h\u001b[?1049l';

export interface TopOptions {
  intervalMs: number;
  /** Tables printed where there is no terminal; without it, one each interval until the process ends. */
  count?: number | undefined;
  /** Of stacks, the frames that are shown. */
  only?: FrameFilter | undefined;
}

export async function top(collector: Collector, options: TopOptions): Promise<void> {
  const interactive = process.stdin.isTTY && process.stdout.isTTY;
  const { only } = options;
  // A live view has them a moment later. What is printed stays as it is.
  const asked = interactive ? { only } : { only, linesWithinMs: LINES_WITHIN_MS };
  const first = await waiting('reading the ledger', collector.overview(asked));
  if (interactive) await new TopTerminal(collector, first, options).show();
  else await printTables(first, options, { collector, next: () => collector.overview(asked) });
}

async function printTables(
  first: Overview,
  options: TopOptions,
  { collector, next }: { collector: Collector; next: () => Promise<Overview> },
): Promise<void> {
  let ended = false;
  const end = collector.ended.then(() => {
    ended = true;
  });
  let overview = first;
  for (let printed = 0; ; overview = await next()) {
    await print(`${reportTable(overview, { columns: columnsOf(process.stdout) })}\n`);
    printed += 1;
    if (ended || overview.process.state !== 'running' || printed === options.count) return;
    await Promise.race([sleep(options.intervalMs), end]);
  }
}

/** The live table on this terminal: takes the alternate screen, and gives it back however the process ends. */
class TopTerminal {
  private readonly state: TopState;
  private readonly history = new Map<string, number[]>();
  private finish: () => void = () => {};
  private ended = false;
  /** The screen is somebody else's again. */
  private left = false;

  constructor(
    private readonly collector: Collector,
    first: Overview,
    private readonly options: TopOptions,
  ) {
    const { history } = this;
    this.state = { overview: first, history, sort: 'growth', selected: null, mark: null, notice: null };
    this.take(first);
  }

  async show(): Promise<void> {
    const { stdin, stdout } = process;
    const quit = new Promise<void>((resolve) => {
      this.finish = resolve;
    });
    process.once('exit', restoreTerminal);
    stdout.write(ENTER);
    emitKeypressEvents(stdin);
    stdin.setRawMode(true).resume();
    stdin.on('keypress', this.press);
    stdout.on('resize', this.draw);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, this.finish);
    void this.collector.ended.then((why) => {
      this.ended = true;
      this.state.notice = `${why} · q quit`;
      this.draw();
    });
    const timer = setInterval(() => void this.refresh(), this.options.intervalMs);
    this.draw();
    try {
      await quit;
    } finally {
      this.left = true;
      clearInterval(timer);
      stdin.off('keypress', this.press);
      stdout.off('resize', this.draw);
      stdin.setRawMode(false).pause();
      process.off('exit', restoreTerminal);
      restoreTerminal();
    }
  }

  private async refresh(): Promise<void> {
    if (this.ended) return;
    try {
      this.take(await this.collector.overview({ only: this.options.only }));
    } catch (error) {
      if (!this.ended) this.state.notice = error instanceof Error ? error.message : String(error);
    }
    this.draw();
  }

  private take(overview: Overview): void {
    this.state.allocationsPerSecond = allocationRate(this.state.overview, overview);
    this.state.overview = overview;
    const present = new Set(overview.owners.map(ownerKey));
    for (const key of this.history.keys()) if (!present.has(key)) this.history.delete(key);
    for (const owner of overview.owners) {
      const samples = this.history.get(ownerKey(owner)) ?? [];
      samples.push(owner.residentBytes);
      this.history.set(ownerKey(owner), samples.slice(-SAMPLES));
    }
  }

  private readonly draw = (): void => {
    if (this.left) return;
    const { columns = 80, rows = 24 } = process.stdout;
    const lines = renderTop(this.state, { rows, columns, colors: wantsColors(process.stdout) });
    // Each line clears what it doesn't cover: the screen never blinks.
    process.stdout.write(`\u001b[H${lines.map((line) => `${line}\u001b[K`).join('\r\n')}`);
  };

  private readonly press = (_: string, key: { name?: string; ctrl?: boolean }): void => {
    const name = key.name ?? '';
    const sort = SORTS[name];
    if (name === 'q' || (name === 'c' && key.ctrl)) this.finish();
    else if (sort !== undefined) this.state.sort = sort;
    else if (name === 'up' || name === 'down') this.select(name === 'up' ? -1 : 1);
    else if (name === 'm') void this.mark();
    this.draw();
  };

  private select(step: 1 | -1): void {
    const keys = sortedOwners(this.state).map(ownerKey);
    const at = this.state.selected === null ? 0 : keys.indexOf(this.state.selected);
    this.state.selected = keys[Math.min(keys.length - 1, Math.max(0, at + step))] ?? null;
  }

  private async mark(): Promise<void> {
    try {
      const { takenAt } = await this.collector.mark();
      const bytes = new Map(this.state.overview.owners.map((owner) => [ownerKey(owner), owner.bytes]));
      this.state.mark = { takenAt, bytes };
    } catch (error) {
      this.state.notice = error instanceof Error ? error.message : String(error);
    }
    this.draw();
  }
}

function allocationRate(before: Overview, now: Overview): number | undefined {
  const seconds = (Date.parse(now.takenAt) - Date.parse(before.takenAt)) / 1000;
  // After exec another program's heap begins at nothing.
  const made = now.heap.allocations - before.heap.allocations;
  return seconds > 0 && made >= 0 ? made / seconds : undefined;
}

/** Synchronous, so that it also works while the process exits. */
function restoreTerminal(): void {
  if (process.stdin.isTTY) process.stdin.setRawMode(false);
  writeSync(1, LEAVE);
}
