import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, test } from 'vitest';

const at = (name: string) => new URL(name, import.meta.url).href;
let folder: string;
let child: ChildProcess;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'offheap-signals-'));
});
afterEach(() => {
  child.kill('SIGKILL');
  rmSync(folder, { recursive: true });
});

/** Runs a module in a process without a terminal; resolves with its lines once it said one. */
async function start(source: string): Promise<AsyncIterator<string>> {
  const node = ['--import', 'tsx', '--input-type=module', '-e', `${source}; console.log('ready');`];
  const env = { ...process.env, OFFHEAP_FLAMEGRAPH_DIR: folder };
  child = spawn(process.execPath, node, { env, detached: true, stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  expect((await lines.next()).value).toBe('ready');
  return lines;
}

test('SIGUSR2 writes a flame graph per process, says where, and again for the next one', async () => {
  const lines = await start(`
    import { FlamegraphSignals } from '${at('./flamegraph-signals.ts')}';
    import { SampleSession } from '${at('./sample-session.ts')}';
    const session = new SampleSession();
    new FlamegraphSignals(console.log).answer(session);
    setInterval(() => {}, 1000)`);
  for (const count of [1, 2]) {
    child.kill('SIGUSR2');
    const line: string = (await lines.next()).value;
    expect(line).toMatch(/^flame graph of process 4242: .*\/offheap-4242-\d{8}T\d{6}\.\d{3}Z\.svg$/);
    expect(readFileSync(line.slice(line.indexOf('/')), 'utf8')).toContain('</svg>');
    expect(readdirSync(folder)).toHaveLength(count);
  }
});

test('signals are passed on, those from before the command runs as well', async () => {
  const lines = await start(`
    import { PassedSignals } from '${at('./passed-signals.ts')}';
    const signals = new PassedSignals();
    process.once('SIGUSR2', () => {
      signals.to((signal) => console.log('passed', signal));
      process.once('SIGUSR2', () => signals.stop());
    });
    setInterval(() => {}, 1000)`);
  child.kill('SIGTERM');
  child.kill('SIGUSR2');
  expect((await lines.next()).value).toBe('passed SIGTERM');
  for (const signal of ['SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGTERM'] as const) {
    child.kill(signal);
    expect((await lines.next()).value).toBe(`passed ${signal}`);
  }
});

test('once stopped, signals do what they always do', async () => {
  await start(`
    import { PassedSignals } from '${at('./passed-signals.ts')}';
    new PassedSignals().stop();
    setInterval(() => {}, 1000)`);
  const exited = once(child, 'exit');
  child.kill('SIGINT');
  expect(await exited).toEqual([null, 'SIGINT']);
});
