import { execFileSync } from 'node:child_process';
import { statSync, writeFileSync } from 'node:fs';
import { DebugFiles, type DebugSource } from '../../src/symbolize/lines/debug-files.js';
import { LineReader } from '../../src/symbolize/lines/line-reader.js';
import { SourceLines } from '../../src/symbolize/lines/source-lines.js';
import { keptPath } from '../support/builds.js';
import { cpuNs, sleep } from '../support/processes.js';
import { plainRow, type Row, skippedRow } from '../support/row.js';
import { debugBytes, largeLibrary, moduleOf, randomAddresses } from './binaries.js';

const GROUP = 'lines and inlined calls of 10,000 addresses';
const ADDRESSES = 10_000;
const ROUNDS = 7;
const COLD_TARGET_S = 0.4;
const WARM_TARGET_MS = 20;
const KEPT_TARGET_MB = 50;
/** By then an idle worker is gone. */
const IDLE_MS = 2500;

interface Times {
  cpuMs: number;
  wallMs: number;
}

/** What an action costs this process and the worker of a reader. */
async function measure(reader: LineReader, action: () => Promise<unknown>): Promise<Times> {
  const worker = () => (reader.workerPid === undefined ? 0 : cpuNs(reader.workerPid));
  const before = worker();
  const cpu = process.cpuUsage();
  const started = performance.now();
  await action();
  const wallMs = performance.now() - started;
  const { user, system } = process.cpuUsage(cpu);
  return { cpuMs: (user + system) / 1000 + (worker() - before) / 1e6, wallMs };
}

/** Bytes that the collector itself holds. */
function heldBytes(): number {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

export async function lineRows(): Promise<Row[]> {
  const path = largeLibrary();
  const size = `${(statSync(path).size / 1e6).toFixed(0)} MB, ${(debugBytes(path) / 1e6).toFixed(0)} MB of DWARF`;
  const addresses = randomAddresses(path, ADDRESSES, 1);
  const others = randomAddresses(path, ADDRESSES, 2);
  const module = moduleOf(path);
  const { source } = new DebugFiles().find(module.elf!, path) as { source: DebugSource };

  const cold: Times[] = [];
  const warm: Times[] = [];
  const beside: Times[] = [];
  const kept: Times[] = [];
  let frames = 0;
  let keptMegabytes = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const before = heldBytes();
    const reader = new LineReader();
    const lines = new SourceLines({ reader });
    const chains = () => addresses.reduce((sum, each) => sum + (lines.chain(module, each)?.length ?? 0), 0);
    cold.push(
      await measure(reader, async () => {
        for (const address of addresses) lines.want(module, address);
        await lines.settled();
        frames = chains();
      }),
    );
    warm.push(await measure(reader, () => reader.read(source, path, addresses)));
    beside.push(await measure(reader, () => reader.read(source, path, others)));
    kept.push(await measure(reader, async () => chains()));
    if (round === ROUNDS - 1) {
      await sleep(IDLE_MS);
      if (reader.workerPid !== undefined) throw new Error('the worker does not end');
      keptMegabytes = (heldBytes() - before) / 1e6;
    }
    lines.close();
  }
  const cpu = (times: Times[]) => times.map(({ cpuMs }) => cpuMs);
  const wallSeconds = (times: Times[]) => times.map(({ wallMs }) => wallMs / 1000);
  const row = (what: string, unit: Row['unit'], values: number[], target?: number, note = '') =>
    plainRow({ group: GROUP, what, unit, note, ...(target === undefined ? {} : { target }) }, values);
  return [
    row(
      'cold: CPU',
      's',
      cpu(cold).map((ms) => ms / 1000),
      COLD_TARGET_S,
      `${size}; ${frames} frames`,
    ),
    row('cold: from start to end', 's', wallSeconds(cold)),
    row('warm: the same again: CPU', 'ms', cpu(kept), WARM_TARGET_MS),
    row('the same again, read anew: CPU', 'ms', cpu(warm)),
    row('others of the same library: CPU', 'ms', cpu(beside)),
    row('memory kept after it', 'MB', [keptMegabytes], KEPT_TARGET_MB, 'the worker has ended'),
    ...peerRows(path, addresses),
  ];
}

/** What others need for the same: processes that are started, asked and gone. */
function peerRows(path: string, addresses: readonly number[]): Row[] {
  const questions = keptPath('lines-addresses');
  writeFileSync(questions, addresses.map((address) => `0x${address.toString(16)}\n`).join(''));
  const peers: [string, string][] = [
    ['llvm-symbolizer', `llvm-symbolizer --inlines --functions=linkage --no-demangle --obj=${path}`],
    ['addr2line', `addr2line -f -i -e ${path}`],
  ];
  return peers.flatMap(([name, command]) => {
    try {
      execFileSync(name, ['--version'], { stdio: 'ignore' });
    } catch {
      return skippedRow(GROUP, `${name}: CPU`, `${name} is not installed`);
    }
    const seconds = Array.from({ length: 3 }, () => {
      const script = `TIMEFORMAT='%U %S'; time ${command} < ${questions} > /dev/null`;
      const times = execFileSync('bash', ['-c', `{ ${script}; } 2>&1`], { encoding: 'utf8' });
      const [user = 0, system = 0] = times.trim().split(' ').map(Number);
      return user + system;
    });
    return plainRow({ group: GROUP, what: `${name}: CPU`, unit: 's' }, seconds);
  });
}
