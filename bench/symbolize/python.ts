/** What Python's frames add to a capture: blocks allocated below few and many of them, each figure the slope between the two. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { ChannelFolder } from '../support/channels.js';
import { plainRow, type Row, skippedRow } from '../support/row.js';

const GROUP = 'Python frames in the stack of a heap event, 30 deep';
const TARGET = fileURLToPath(new URL('../targets/python_frames.py', import.meta.url));
const FEW = 2;
const MANY = 32;
const ROUNDS = 7;
const BLOCKS = 50_000;

export async function pythonRows(): Promise<Row[]> {
  const folder = new ChannelFolder();
  try {
    const python = execFileSync('python3', ['-c', 'import sys; print(sys.executable)'], {
      encoding: 'utf8',
    }).trim();
    const version = execFileSync(python, ['--version'], { encoding: 'utf8' }).trim();
    const measured = Array.from({ length: ROUNDS }, () => slopes(python, folder.preload()));
    return [
      plainRow(
        { group: GROUP, what: 'unchanged since the last one, each', unit: 'ns', target: 15, note: version },
        measured.map(({ unchanged }) => unchanged),
      ),
      plainRow(
        { group: GROUP, what: 'new, each', unit: 'ns', target: 60 },
        measured.map(({ fresh }) => fresh),
      ),
    ];
  } catch (error) {
    return [skippedRow(GROUP, 'unchanged', error instanceof Error ? error.message : String(error))];
  } finally {
    folder.remove();
  }
}

interface Nanoseconds {
  unchanged: number;
  fresh: number;
}

/** Without the shim's part the program's own calls would be counted. */
function slopes(python: string, preload: Record<string, string>): Nanoseconds {
  const added = (depth: number): Nanoseconds => {
    const bare = nanoseconds(python, depth, {});
    const tool = nanoseconds(python, depth, { ...preload, OFFHEAP_HEAP: 'exact' });
    return { unchanged: tool.unchanged - bare.unchanged, fresh: tool.fresh - bare.fresh };
  };
  const few = added(FEW);
  const many = added(MANY);
  return {
    unchanged: (many.unchanged - few.unchanged) / (MANY - FEW),
    fresh: (many.fresh - few.fresh) / (MANY - FEW),
  };
}

function nanoseconds(python: string, depth: number, env: Record<string, string>): Nanoseconds {
  const args = ['-S', TARGET, String(depth), String(BLOCKS)];
  const [unchanged, fresh] = execFileSync(python, args, {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  })
    .trim()
    .split(' ')
    .map(Number);
  return { unchanged: unchanged!, fresh: fresh! };
}
