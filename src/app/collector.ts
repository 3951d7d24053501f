import type { Duplex, Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SnapshotDiff } from '../report/diff.js';
import type { FrameFilter } from '../report/frame-filter.js';
import { type Overview, overviewOf, shownStacks } from '../report/overview.js';
import type { AccountReport, Snapshot, TrimReport } from '../report/schema.js';
import type { FlamegraphOptions, PagemapOptions, Session } from '../session/session.js';
import type { EvaluateOptions } from './evaluate.js';

/** The two ends of a terminal, and what it can show. */
export interface ReplTerminal {
  input: Readable | Duplex;
  output: Writable | Duplex;
  interactive: boolean;
  colors: boolean;
  columns: number;
}

export interface OverviewOptions {
  /** Of stacks, the frames that are shown. */
  only?: FrameFilter | undefined;
  /** How long to wait for lines of source that aren't known yet, two seconds at most; not at all by default. */
  linesWithinMs?: number | undefined;
}

const MOST_WAIT_MS = 2000;

/** Who watches a process: this process (`LocalCollector`), or another across its control socket. */
export interface Collector {
  readonly pid: number;
  /** Resolves with a line that says why, once nothing new will come. */
  readonly ended: Promise<string>;
  overview(options?: OverviewOptions): Promise<Overview>;
  snapshot(): Promise<Snapshot>;
  account(): Promise<AccountReport>;
  trim(): Promise<TrimReport>;
  pagemap(options?: PagemapOptions): Promise<string>;
  mark(): Promise<{ takenAt: string }>;
  diff(): Promise<SnapshotDiff>;
  flamegraph(options?: FlamegraphOptions): Promise<string | Uint8Array>;
  /** The value of an expression in the REPL's context, as text. */
  evaluate(expression: string, options: EvaluateOptions): Promise<string>;
  /** Resolves when the REPL was left. */
  repl(terminal: ReplTerminal): Promise<void>;
  close(): Promise<void>;
}

export class LocalCollector implements Collector {
  readonly ended: Promise<string>;

  constructor(
    private readonly session: Session,
    /** Every process that this collector watches. */
    private readonly processes: () => Session[] = () => [session],
  ) {
    this.ended = new Promise((resolve) => {
      session.on('exit', ({ state, exit }) => {
        resolve(`process ${session.pid} ${state}${exit === null ? '' : ` with status ${exit}`}`);
      });
    });
  }

  get pid(): number {
    return this.session.pid;
  }

  async overview({ only, linesWithinMs = 0 }: OverviewOptions = {}): Promise<Overview> {
    const snapshot = this.session.snapshot();
    const overview = overviewOf(snapshot, only);
    const withLines = this.session.withLines(snapshot, shownStacks(overview)).catch(() => undefined);
    // A screen doesn't wait: what is looked up now is there when it asks again.
    if (!(linesWithinMs > 0)) return overview;
    const timeUp = new AbortController();
    const late = sleep(Math.min(linesWithinMs, MOST_WAIT_MS), undefined, { signal: timeUp.signal });
    const known = await Promise.race([withLines, late.catch(() => undefined)]);
    timeUp.abort();
    return known === undefined ? overview : overviewOf(known, only);
  }

  async snapshot(): Promise<Snapshot> {
    return this.session.withLines(this.session.snapshot());
  }

  async account(): Promise<AccountReport> {
    return this.session.account();
  }

  pagemap(options?: PagemapOptions): Promise<string> {
    return this.session.pagemap(options);
  }

  trim(): Promise<TrimReport> {
    return this.session.trim();
  }

  async mark(): Promise<{ takenAt: string }> {
    return { takenAt: this.session.mark().takenAt };
  }

  async diff(): Promise<SnapshotDiff> {
    return this.session.diff();
  }

  flamegraph(options?: FlamegraphOptions): Promise<string | Uint8Array> {
    return this.session.flamegraph(options);
  }

  async evaluate(expression: string, options: EvaluateOptions): Promise<string> {
    const { evaluate } = await import('./evaluate.js');
    return evaluate(expression, this.session, this.processes, options);
  }

  async repl(terminal: ReplTerminal): Promise<void> {
    const { startRepl } = await import('./repl.js');
    return new Promise((resolve) => {
      startRepl(this.session, this.processes, terminal).once('exit', resolve);
    });
  }

  close(): Promise<void> {
    return this.session.close();
  }
}
