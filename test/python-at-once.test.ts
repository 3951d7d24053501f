// Python's frames in stacks, against what py-spy reads of the same threads at the same moment.
import { execFileSync } from 'node:child_process';
import { basename, join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { attach } from '../src/session/attach.js';
import { needs } from './support/needs.js';
import { channelFolder, preloaded, scratchFolder } from './support/offheap.js';
import { PY_SPY, TARGET_SOURCES } from './support/paths.js';
import { type Python, pythons } from './support/pythons.js';
import { Running } from './support/running.js';

const SCRIPT = `${TARGET_SOURCES}/python_at_once.py`;

/** Function, file, line. */
type Frame = [string, string, number];

/** What both must name of the target's own functions, leaf first. */
const EXPECTED: Record<string, string[]> = {
  plain: ['grab', 'Item.__lt__', 'recursive', 'recursive', 'recursive', 'plain'],
  generator: ['grab', 'inner', 'outer', 'generator'],
  coroutine: ['grab', 'deepest', 'nested', 'coroutine'],
  // A task stands on the event loop alone: who awaits it is not on the stack.
  task: ['grab', 'deepest', 'nested', 'task', '<module>'],
};
/** Between the coroutine and who called asyncio.run; Runner is there since 3.11. */
const EVENT_LOOP = ['_run', '_run_once', 'run_forever', 'run_until_complete', 'run', 'run'];

interface PySpyThread {
  thread_id: number;
  frames: { name: string; filename: string; line: number }[];
}

/** Each thread's frames, leaf first, by the number that `threading` gives it: the kernel's is known since 3.11 only. */
function pySpy(pid: number): Map<number, Frame[]> {
  // The threads stand still by themselves, so nothing has to be stopped.
  const options = ['dump', '--nonblocking', '--json', '--pid', `${pid}`];
  const threads = JSON.parse(execFileSync(PY_SPY, options, { encoding: 'utf8' })) as PySpyThread[];
  return new Map(
    threads.map(({ thread_id: thread, frames }) => [
      thread,
      frames.map(({ name, filename, line }): Frame => [name, filename, line]),
    ]),
  );
}

async function standing({ command, args, env }: Python, dir: string) {
  const running = new Running(command, [...args, SCRIPT], { env: { ...env, ...preloaded(dir) } });
  const threads: { name: string; thread: number; bytes: number }[] = [];
  while (threads.length < Object.keys(EXPECTED).length) {
    const [, name, thread, bytes] = await running.line(/^(\w+) (\d+) (\d+)$/);
    threads.push({ name: name!, thread: Number(thread), bytes: Number(bytes) });
  }
  return { pid: running.pid, threads };
}

const lastPart = (name: string) => name.slice(name.lastIndexOf('.') + 1);

/** py-spy looks into the program's file: the interpreter's own, and not the loader's that it is started by. */
function asProgram(python: Python): Python {
  const { command: loader, args, env } = python;
  if (!basename(loader).startsWith('ld-linux')) return python;
  const [, libraries, , path, , ...options] = args;
  const command = join(scratchFolder(), basename(path!));
  execFileSync('patchelf', ['--set-interpreter', loader, '--output', command, path!]);
  return { ...python, command, args: options, env: { ...env, LD_LIBRARY_PATH: libraries! } };
}

/** py-spy finds no interpreter in free-threaded ones; test/python-parallel.test.ts has them. */
const spied = pythons().filter(({ isFreeThreaded }) => !isFreeThreaded);

describe.each(spied)('$name', (python) => {
  test('functions, files and lines are those that py-spy names', async (context) => {
    needs(context, 'pySpy', 'patchelf');
    const dir = channelFolder();
    const { pid, threads } = await standing(asProgram(python), dir);
    const session = await attach(pid, { dir });
    onTestFinished(() => session.close());
    const { mappings, stacks } = session.snapshot();
    const theirs = pySpy(pid);

    expect(threads.map(({ name }) => name).sort()).toEqual(Object.keys(EXPECTED).sort());
    for (const { name, thread, bytes } of threads) {
      const mapping = mappings.find((each) => each.bytes === bytes);
      const ours = (stacks[mapping?.stack ?? 0] ?? [])
        .filter(({ language }) => language === 'python')
        .map(({ function: named, file, line }) => [named, file, line] as Frame);
      expect({ name, frames: ours }).toEqual({ name, frames: theirs.get(thread) });

      const own = ours.filter(([, file]) => file === SCRIPT).map(([named]) => named);
      // Before 3.11 code does not know its class.
      expect(own).toEqual(EXPECTED[name]!.map(python.minor < 11 ? lastPart : String));
      const loop = ours.filter(([, file]) => file.includes('/asyncio/')).map(([named]) => lastPart(named));
      const inLoop = name === 'coroutine' || name === 'task';
      expect(loop).toEqual(inLoop ? EVENT_LOOP.slice(0, python.minor < 11 ? -1 : undefined) : []);
    }
  });
});
