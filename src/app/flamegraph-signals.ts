import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { LaunchedSession } from '../session/index.js';
import type { Session } from '../session/session.js';
import { flamegraphFileName } from './flamegraph-file.js';

/**
 * Writes flame graphs to $OFFHEAP_FLAMEGRAPH_DIR or the current directory: of every process when SIGUSR2 comes here, of
 * one process when that one got the signal that its OFFHEAP_SIGNAL names. `say` gets a line about each.
 */
export class FlamegraphSignals {
  private readonly sessions = new Set<Session>();
  private launched: LaunchedSession | undefined;
  /** The signal came before there was anything to draw. */
  private isPending = false;

  constructor(private readonly say: (line: string) => void) {
    process.on('SIGUSR2', this.writeAll);
  }

  /** From now on, until the process ends, its flame graph is among those written. */
  answer(session: Session): void {
    if (this.sessions.has(session)) return;
    this.sessions.add(session);
    session.on('flamegraph', () => void this.write(session));
    session.on('exit', () => this.sessions.delete(session));
  }

  /** The same for a command and all that it starts. */
  answerAll(session: LaunchedSession): void {
    this.launched = session;
    this.answer(session);
    for (const child of session.children()) this.answer(child);
    session.on('child', (child) => this.answer(child));
    if (this.isPending) this.writeAll();
  }

  stop(): void {
    process.off('SIGUSR2', this.writeAll);
    this.sessions.clear();
  }

  private readonly writeAll = (): void => {
    // Children that have not been noticed yet answer as they are found.
    this.launched?.children();
    this.isPending = this.sessions.size === 0;
    for (const session of this.sessions) void this.write(session);
  };

  private async write(session: Session): Promise<void> {
    const folder = process.env.OFFHEAP_FLAMEGRAPH_DIR || process.cwd();
    const file = join(folder, flamegraphFileName(session.pid, new Date()));
    try {
      // Exclusive: in a folder that others can write to, the name may be a link of theirs.
      await writeFile(file, await session.flamegraph({ format: 'svg' }), { flag: 'wx' });
      this.say(`flame graph of process ${session.pid}: ${file}`);
    } catch (error) {
      this.say(`no flame graph of process ${session.pid}: ${String(error)}; set OFFHEAP_FLAMEGRAPH_DIR`);
    }
  }
}
