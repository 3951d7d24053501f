// Commands that take a process id: they ask the running collector, or become it.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { shimPath } from '../src/session/shim.js';
import { needs } from './support/needs.js';
import {
  channelFolder,
  functionsOf,
  Holder,
  offheap,
  ownerOf,
  preloaded,
  readSnapshot,
  scratchFolder,
  snapshotOf,
  startOffheap,
} from './support/offheap.js';
import { ROOT, TARGET_SOURCES } from './support/paths.js';
import { finish } from './support/running.js';
import { shapeProblems } from './support/snapshot-shape.js';

const MIB = 1 << 20;

/** A holder of 5 MiB, by the way its memory comes to be recorded. */
const situations: Record<string, (dir: string) => Promise<Holder>> = {
  'beside the collector that runs it': (dir) => Holder.underRun(['--quiet', '--dir', dir]),
  'preloaded by hand, with no collector': (dir) => Holder.alone(preloaded(dir)),
};

describe.each(Object.keys(situations))('%s', (situation) => {
  async function holding(): Promise<{ dir: string; pid: string; holder: Holder }> {
    const dir = channelFolder();
    const holder = await situations[situation]!(dir);
    await holder.map(5 * MIB);
    return { dir, pid: String(holder.pid), holder };
  }

  test('ps lists it, and who collects', async () => {
    const { dir, pid, holder } = await holding();
    const { stdout, stderr } = await offheap(['ps', '--json', '--dir', dir]);
    expect(stderr).toBe('');
    const entries = JSON.parse(stdout) as Record<string, unknown>[];
    const isRun = holder.running.pid !== holder.pid;
    expect(entries).toMatchObject([
      { pid: holder.pid, state: 'running', collectorPid: isRun ? holder.running.pid : null, problem: null },
    ]);
    const shown = (await offheap(['ps', '--dir', dir])).stdout;
    expect(shown).toMatch(new RegExp(`^ *${pid} +\\d+ +running .*holder$`, 'm'));
  });

  test('snapshot, to stdout and to a file', async () => {
    const { dir, pid, holder } = await holding();
    const snapshot = await snapshotOf(holder.pid, dir);
    expect(shapeProblems(snapshot)).toEqual([]);
    expect(snapshot.process).toMatchObject({ pid: holder.pid, state: 'running', exit: null });
    expect(ownerOf(snapshot, 'holder', 'program').residentBytes).toBeGreaterThanOrEqual(5 * MIB);
    expect(snapshot.completeness).toMatchObject({ mappingEventsLost: 0, unexplainedBytes: 0, degraded: [] });

    await holder.map(3 * MIB);
    const file = join(scratchFolder(), 'snapshot.json');
    const written = await offheap(['snapshot', pid, '-o', file, '--dir', dir]);
    expect(written).toMatchObject({ status: 0, stdout: '', stderr: '' });
    const later = readSnapshot(file);
    const grown = (of: typeof later) => ownerOf(of, 'holder', 'program').bytes;
    expect(grown(later) - grown(snapshot)).toBe(3 * MIB);
  });

  test('flamegraph, by the name of the file and to a pipe', async () => {
    const { dir, pid } = await holding();
    const folder = scratchFolder();
    for (const name of ['a.svg', 'a.html', 'a.folded']) {
      const file = join(folder, name);
      expect(await offheap(['flamegraph', pid, '-o', file, '--dir', dir])).toMatchObject({
        status: 0,
        stdout: '',
      });
      expect(readFileSync(file, 'utf8')).toContain('hold_block');
    }
    const piped = await offheap(['flamegraph', pid, '--dir', dir]);
    expect(piped.stdout).toMatch(/<svg[\s\S]*hold_block[\s\S]*<\/svg>\s*$/);
  });

  test('eval, for people and as JSON', async () => {
    const { dir, pid, holder } = await holding();
    const evaluate = async (...args: string[]) => offheap(['eval', pid, ...args, '--dir', dir]);
    expect((await evaluate('session.pid')).stdout).toBe(`${pid}\n`);
    expect((await evaluate('ledger.byOwner()[0]')).stdout).toMatch(/residentBytes: \d+ \(.* [kM]B\)/);
    const address = await holder.map(MIB);
    const { stdout } = await evaluate('--json', `ledger.at('0x${(address + 4096).toString(16)}')`);
    expect(JSON.parse(stdout)).toMatchObject({
      start: `0x${address.toString(16)}`,
      bytes: MIB,
      owner: 'holder',
    });
    expect((await evaluate('--json', 'await Promise.resolve([1, undefined])')).stdout).toBe('[1,null]\n');
    const wrong = await evaluate('nonsense()');
    expect(wrong).toMatchObject({ status: 1, stdout: '' });
    expect(wrong.stderr).toMatch(/^offheap: .*nonsense is not defined.*\n$/);
  });

  test('repl, its input piped', async () => {
    const { dir, pid } = await holding();
    const input =
      'ledger.byOwner().find((each) => each.owner === "holder").bytes > 5e6\n.owners\n.stacks holder\n';
    const { status, stdout } = await offheap(['repl', pid, '--dir', dir], { input });
    expect(status).toBe(0);
    expect(stdout).toContain(`offheap ${pid}> true`);
    expect(stdout).toMatch(/^(.*> )?OWNER +KIND/m);
    expect(stdout).toContain('hold_block (holder)');
  });

  test('top without a terminal: as many tables as asked for', async () => {
    const { dir, pid } = await holding();
    const { status, stdout } = await offheap(['top', pid, '-n', '2', '--interval', '100', '--dir', dir]);
    expect(status).toBe(0);
    expect(stdout.match(/^OWNER +KIND/gm)).toHaveLength(2);
    expect(stdout.match(/^holder +program/gm)).toHaveLength(2);
  });

  test('without a process id: the only one', async () => {
    const { dir } = await holding();
    const { status, stdout } = await offheap(['top', '-n', '1', '--dir', dir]);
    expect([status, stdout.includes('holder')]).toEqual([0, true]);
  });

  test('the process runs on, and nothing is lost between one asker and the next', async () => {
    const { dir, holder } = await holding();
    const first = await snapshotOf(holder.pid, dir);
    await holder.tell('churn 500');
    await holder.tell('keep 50');
    const second = await snapshotOf(holder.pid, dir);
    expect(ownerOf(second, 'holder', 'program').mappings - ownerOf(first, 'holder', 'program').mappings).toBe(
      50,
    );
    expect(second.completeness.mappingEventsLost).toBe(0);
    const stacks = new Set(second.mappings.map(({ stack }) => functionsOf(second, stack).join()));
    expect([...stacks].some((stack) => stack.includes('hold_block'))).toBe(true);
    expect(await holder.leave(4)).toMatchObject({ status: 4, stderr: '' });
  });

  test('top on a terminal: redraws in place, answers keys, gives the terminal back', async (context) => {
    needs(context, 'tmux');
    const { dir, pid, holder } = await holding();
    const tmux = await Tmux.start(
      `${process.execPath} bin/offheap.mjs top ${pid} --interval 100 --dir ${dir}`,
    );
    await tmux.shows(/offheap top .*holder/);
    await tmux.shows(/by growth/);
    await tmux.press('r');
    await tmux.shows(/by resident/);
    await tmux.press('m');
    await tmux.shows(/marked \d\d:\d\d:\d\d/);
    await holder.map(16 * MIB);
    await tmux.shows(/holder +program.*\+16\.8 MB/);
    await tmux.press('q');
    await tmux.shows(/before\n.*after 0/);
  });

  test('top names lines of source, in tables and on a terminal', async (context) => {
    needs(context, 'libbacktrace', 'tmux');
    const { dir, pid } = await holding();
    const source = readFileSync(join(TARGET_SOURCES, 'holder.c'), 'utf8').split('\n');
    const lineOf = (code: string) => 1 + source.findIndex((line) => line.includes(code));
    const stack = new RegExp(
      [
        'mmap \\(libc\\.so\\.6.*\\)',
        `map \\(holder, holder\\.c:${lineOf('= mmap(NULL')}\\)`,
        `hold_block \\(holder, holder\\.c:${lineOf('memset(map(bytes)')}\\)`,
        `main \\(holder, holder\\.c:${lineOf('hold_block((size_t)number)')}\\)`,
      ]
        .map((frame) => `^ {4}${frame}$`)
        .join('\\n'),
      'm',
    );
    const tables = startOffheap(['top', pid, '--interval', '100', '--dir', dir]);
    await expect.poll(() => tables.stdout).toMatch(stack);
    tables.kill('SIGTERM');
    await tables.ended;
    const tmux = await Tmux.start(
      `${process.execPath} bin/offheap.mjs top ${pid} --interval 100 --dir ${dir}`,
    );
    await tmux.shows(stack);
  });
});

/** A terminal to look at: tmux with a server of its own, gone with the folder of its socket. */
class Tmux {
  private constructor(private readonly socket: string) {}

  static async start(command: string): Promise<Tmux> {
    const tmux = new Tmux(join(scratchFolder(), 'tmux'));
    const shell = `cd ${ROOT}; echo before; ${command}; echo after $?; sleep 60`;
    await tmux.#run('new-session', '-d', '-x', '110', '-y', '30', `sh -c '${shell}'`);
    onTestFinished(async () => void (await tmux.#run('kill-server')));
    return tmux;
  }

  press(key: string): Promise<string> {
    return this.#run('send-keys', key);
  }

  shows(pattern: RegExp): Promise<void> {
    return expect.poll(() => this.#run('capture-pane', '-p'), { interval: 100 }).toMatch(pattern);
  }

  async #run(...args: string[]): Promise<string> {
    return (await finish('tmux', ['-S', this.socket, '-f', '/dev/null', ...args])).stdout;
  }
}

describe('growth since a mark', () => {
  test('is what a collector shows that stays', async () => {
    const dir = channelFolder();
    const holder = await Holder.underRun(['--quiet', '--dir', dir]);
    const pid = String(holder.pid);
    await holder.map(MIB);
    const file = join(scratchFolder(), 'growth.folded');
    const early = await offheap(['flamegraph', pid, '--growth', '-o', file, '--dir', dir]);
    expect(early).toMatchObject({ status: 1 });
    expect(early.stderr).toMatch(/^offheap: there is no mark .*; .*\n$/);
    expect((await offheap(['eval', pid, 'void mark()', '--dir', dir])).status).toBe(0);
    await holder.map(2 * MIB);
    expect((await offheap(['flamegraph', pid, '--growth', '-o', file, '--dir', dir])).status).toBe(0);
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/;hold_block;.* 2097152$/);
    const change = await offheap(['eval', pid, '--json', 'diff()', '--dir', dir]);
    expect(JSON.parse(change.stdout)).toMatchObject({ owners: [{ owner: 'holder', bytes: 2 * MIB }] });
  });
});

describe('a process that is dead', () => {
  test.each([
    ['said goodbye', 'exited', 0, async (holder: Holder): Promise<void> => void (await holder.leave())],
    [
      'was killed',
      'killed',
      null,
      async (holder: Holder): Promise<void> => {
        process.kill(holder.pid, 'SIGKILL');
        await holder.running.ended;
      },
    ],
  ])('and %s: what it held is still read', async (_, state, exit, end) => {
    const dir = channelFolder();
    const holder = await Holder.alone(preloaded(dir));
    await holder.map(5 * MIB);
    await holder.tell('keep 20');
    await end(holder);
    const { stdout } = await offheap(['ps', '--json', '--dir', dir]);
    expect(JSON.parse(stdout)).toMatchObject([{ pid: holder.pid, state, collectorPid: null }]);
    // Read twice: the first reader takes nothing away.
    for (let reader = 0; reader < 2; reader++) {
      const snapshot = await snapshotOf(holder.pid, dir);
      expect(shapeProblems(snapshot)).toEqual([]);
      expect(snapshot.process).toMatchObject({ state, exit });
      const { mappings, bytes } = ownerOf(snapshot, 'holder', 'program');
      expect(bytes).toBeGreaterThanOrEqual(5 * MIB + 20 * 8192);
      expect(mappings).toBeGreaterThanOrEqual(21);
      const held = snapshot.mappings.find((each) => each.bytes === 5 * MIB);
      expect(functionsOf(snapshot, held!.stack)).toEqual(expect.arrayContaining(['hold_block', 'main']));
    }
    const top = await offheap(['top', String(holder.pid), '--interval', '50', '--dir', dir]);
    expect(top.status).toBe(0);
    expect(top.stdout).toMatch(/^OWNER +KIND/m);
  });
});

describe('two who want to collect the same process', () => {
  test('the second asks the first', async () => {
    const dir = channelFolder();
    const holder = await Holder.alone(preloaded(dir));
    await holder.map(MIB);
    const first = startOffheap(['top', String(holder.pid), '--interval', '100', '--dir', dir]);
    await first.line(/^OWNER/);
    const [entry] = JSON.parse((await offheap(['ps', '--json', '--dir', dir])).stdout) as {
      collectorPid: number;
    }[];
    expect(entry!.collectorPid).toBe(first.pid);
    const asked = await offheap(['eval', String(holder.pid), 'process.pid', '--dir', dir]);
    expect(asked.stdout).toBe(`${first.pid}\n`);
  });
});

test('the path of the shim', async () => {
  const { status, stdout, stderr } = await offheap(['preload']);
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: `${shimPath()}\n`, stderr: '' });
  expect(existsSync(stdout.trim())).toBe(true);
});

test('a collector leaves no socket behind', async () => {
  const dir = channelFolder();
  const holder = await Holder.alone(preloaded(dir));
  await offheap(['top', String(holder.pid), '-n', '1', '--dir', dir]);
  expect(readdirSync(dir).filter((name) => !name.endsWith('.channel') && !name.endsWith('.ledger'))).toEqual(
    [],
  );
});
