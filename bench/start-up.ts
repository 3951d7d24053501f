/** What a short program pays for being recorded. */
import { execFileSync } from 'node:child_process';
import { buildTarget, OFFHEAP } from './support/builds.js';
import { ChannelFolder } from './support/channels.js';
import { pairedRow, type Row } from './support/row.js';
import { interleave } from './support/statistics.js';

const GROUP = 'start-up of /bin/true';
const RUNS_PER_BLOCK = 10;
const BLOCKS = 20;
const COMMAND_ROUNDS = 7;

interface Launch {
  wallMs: number;
  cpuMs: number;
}

export async function startUp(): Promise<Row[]> {
  const folder = new ChannelFolder();
  try {
    const shimmed = Object.entries(folder.preload()).map(([name, value]) => `${name}=${value}`);
    const bare: Launch[] = [];
    const tool: Launch[] = [];
    await interleave(BLOCKS, {
      bare: () => bare.push(...launches(RUNS_PER_BLOCK, ['/bin/true'])),
      tool: () => {
        const count = tool.push(...launches(RUNS_PER_BLOCK, [...shimmed, '/bin/true']));
        folder.clear();
        return count;
      },
    });
    const row = (what: string, target: number | undefined, of: (launch: Launch) => number) =>
      pairedRow(
        { group: GROUP, what, unit: 'ms', ...(target === undefined ? {} : { target }) },
        bare.map(of),
        tool.map(of),
      );
    return [
      row('under the shim, wall', 5, ({ wallMs }) => wallMs),
      row('under the shim, CPU', undefined, ({ cpuMs }) => cpuMs),
      await wholeCommand(folder),
    ];
  } finally {
    folder.remove();
  }
}

async function wholeCommand(folder: ChannelFolder): Promise<Row> {
  const command = [process.execPath, OFFHEAP, 'run', '--quiet', '--dir', folder.path, '--', '/bin/true'];
  const walls = await interleave(COMMAND_ROUNDS, {
    bare: () => launches(1, ['/bin/true'])[0]!.wallMs,
    tool: () => launches(1, command)[0]!.wallMs,
  });
  const note = "Node's own start is most of it";
  return pairedRow({ group: GROUP, what: 'offheap run, wall', unit: 'ms', note }, walls.bare, walls.tool);
}

function launches(count: number, command: readonly string[]): Launch[] {
  const output = execFileSync(buildTarget('launch_cost'), [String(count), ...command], {
    encoding: 'utf8',
    stdio: 'pipe',
  });
  return output
    .trim()
    .split('\n')
    .map((line) => {
      const [wallNs, cpuNs] = line.split(' ').map(Number);
      return { wallMs: wallNs! / 1e6, cpuMs: cpuNs! / 1e6 };
    });
}
