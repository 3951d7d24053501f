import type { Session } from '../session/session.js';

/** What the REPL and `eval` know by name. */
export function replContext(session: Session, processes: () => Session[]): Record<string, unknown> {
  return {
    session,
    ledger: session.ledger,
    heap: session.heap,
    snapshot: () => session.snapshot(),
    lines: (snapshot = session.snapshot()) => session.withLines(snapshot),
    account: () => session.account(),
    pagemap: (options?: Parameters<Session['pagemap']>[0]) => session.pagemap(options),
    trim: (options?: Parameters<Session['trim']>[0]) => session.trim(options),
    mark: () => session.mark(),
    diff: (since?: Parameters<Session['diff']>[0]) => session.diff(since),
    flamegraph: (options?: Parameters<Session['flamegraph']>[0]) => session.flamegraph(options),
    get processes() {
      return processes();
    },
  };
}
