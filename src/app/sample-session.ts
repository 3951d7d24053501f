import { EventEmitter } from 'node:events';
import { diffSnapshots } from '../report/diff.js';
import { renderFlamegraph } from '../report/flamegraph/flamegraph.js';
import { sampleSnapshot } from '../report/sample.js';
import type { Snapshot } from '../report/schema.js';
import { stackSites } from '../report/stacks.js';
import { accountOfEnded } from '../session/account.js';
import { heapView } from '../session/heap-view.js';
import type {
  FlamegraphFile,
  FlamegraphFormat,
  FlamegraphOptions,
  HeapView,
  LedgerView,
  Session,
  SessionEvents,
} from '../session/session.js';
import { OffheapError } from '../wire/error.js';

/** A session over hand-made snapshots, for tests of what stands above sessions: it leaks `perCall` chunks a look. */
export class SampleSession extends EventEmitter<SessionEvents> implements Session {
  readonly pid = 4242;
  private chunks = 100;
  private marked: Snapshot | undefined;

  constructor(private readonly perCall = 0) {
    super();
  }

  get ledger(): LedgerView {
    const now = this.snapshot();
    return {
      byOwner: () => now.owners,
      byStack: () => stackSites(now),
      at: (address) => now.mappings.find(({ start }) => start === address),
      mark: () => this.mark(),
      heap: this.heap,
    };
  }

  get heap(): HeapView {
    return heapView({ pid: this.pid, ended: false, heapRecording: undefined, lastSnapshot: this.snapshot() });
  }

  snapshot(): Snapshot {
    this.chunks += this.perCall;
    return sampleSnapshot(this.chunks);
  }

  async withLines(snapshot: Snapshot): Promise<Snapshot> {
    return snapshot;
  }

  account(): ReturnType<Session['account']> {
    return accountOfEnded(this.snapshot());
  }

  async pagemap(): Promise<string> {
    throw new OffheapError('PROCESS_ENDED', 'a sample has no pages; ask a process that runs');
  }

  async trim(): ReturnType<Session['trim']> {
    throw new OffheapError('PROCESS_ENDED', 'a sample gives nothing back; ask a process that runs');
  }

  mark(): Snapshot {
    this.marked = this.snapshot();
    return this.marked;
  }

  diff(since = this.marked): ReturnType<Session['diff']> {
    if (since === undefined) throw new OffheapError('NO_MARK', 'nothing was marked; call mark() first');
    return diffSnapshots(since, this.snapshot());
  }

  async flamegraph<F extends FlamegraphFormat = 'svg'>(
    options: FlamegraphOptions<F> = {},
  ): Promise<FlamegraphFile<F>> {
    const { format = 'svg' as F, of = 'live', ...how } = options;
    const isGrowth = of === 'growth' || of === 'heap-growth';
    if (isGrowth && this.marked === undefined) {
      throw new OffheapError('NO_MARK', 'nothing was marked; call mark() first');
    }
    const what = of.startsWith('heap') ? 'heap' : 'mappings';
    const since = isGrowth ? this.marked : undefined;
    return renderFlamegraph(this.snapshot(), { format, what, since, ...how });
  }

  async close(): Promise<void> {}
}
