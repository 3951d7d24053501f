import { writeFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { FLAMEGRAPH_FORMATS, type FlamegraphFormat } from '../report/flamegraph/flamegraph.js';
import type { Session } from '../session/session.js';
import { OffheapError } from '../wire/error.js';

/** The format that a file's name asks for. */
export function formatOfFile(file: string): FlamegraphFormat {
  const extension = extname(file).slice(1);
  const format = FLAMEGRAPH_FORMATS.find((known) => known === extension);
  if (format !== undefined) return format;
  const known = FLAMEGRAPH_FORMATS.map((name) => `.${name}`).join(', ');
  throw new OffheapError(
    'flamegraph-format',
    `no flame graph format goes with the name '${file}'; end it in one of ${known}`,
  );
}

/** "offheap-123-20260121T100101.200Z.svg". */
export function flamegraphFileName(pid: number, at: Date, format: FlamegraphFormat = 'svg'): string {
  return `offheap-${pid}-${at.toISOString().replaceAll(/[-:]/g, '')}.${format}`;
}

/**
 * Answers SIGUSR2 with a flame graph of each process in $OFFHEAP_FLAMEGRAPH_DIR or the current directory; `say` gets a
 * line about each. Returns what stops it.
 */
export function answerFlamegraphSignal(sessions: () => Session[], say: (line: string) => void): () => void {
  const write = async (session: Session) => {
    const folder = process.env.OFFHEAP_FLAMEGRAPH_DIR || process.cwd();
    const file = join(folder, flamegraphFileName(session.pid, new Date()));
    // Exclusive: in a folder that others can write to, the name may be a link of theirs.
    await writeFile(file, await session.flamegraph({ format: 'svg' }), { flag: 'wx' });
    return file;
  };
  const answer = () => {
    for (const session of sessions()) {
      write(session).then(
        (file) => say(`flame graph of process ${session.pid}: ${file}`),
        (error: unknown) =>
          say(`no flame graph of process ${session.pid}: ${String(error)}; set OFFHEAP_FLAMEGRAPH_DIR`),
      );
    }
  };
  process.on('SIGUSR2', answer);
  return () => process.off('SIGUSR2', answer);
}
