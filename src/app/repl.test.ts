import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { evaluate } from './evaluate.js';
import { inspectForPeople } from './inspect.js';
import { startRepl } from './repl.js';
import { SampleSession } from './sample-session.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'offheap-repl-'));
  vi.stubEnv('XDG_STATE_HOME', folder);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

/** A REPL on a terminal of pipes; `until` types a line and waits for what it prints. */
function open() {
  const session = new SampleSession(5);
  const input = new PassThrough();
  const output = new PassThrough();
  let shown = '';
  output.on('data', (chunk: Buffer) => {
    shown += chunk.toString();
  });
  const terminal = { input, output, interactive: true, colors: false, columns: 100 };
  const server = startRepl(session, () => [session], terminal);
  const until = async (line: string, expected: string | RegExp) => {
    shown = '';
    input.write(`${line}\r`);
    await expect.poll(() => shown).toMatch(expected);
  };
  const press = async (keys: string, expected: string | RegExp) => {
    shown = '';
    input.write(keys);
    await expect.poll(() => shown).toMatch(expected);
  };
  return { server, until, press };
}

test('names, await at the top level, completion, commands, sizes for people', async () => {
  const { server, until, press } = open();
  await until('ledger.byOwner()[0]', /bytes: 15912960 \(15\.9 MB\)/);
  await until('ledger.byOwner()[0]', /growthBytesPerMinute: 419430400 \(419\.4 MB\/min\)/);
  await until('(await flamegraph({ format: "folded" })).split("\\n").length', /^4/m);
  await until('snapshot()', /python3 decode\.py \(pid 4242\), running/);
  await until('heap', /mode: 'off'/);
  await until('heap.bySite().length', /^0/m);
  await until('mark(); diff().owners[0].mappings', /^5/m);
  await press('ledger.byO\t', /ledger\.byOwner/);
  await until('', /function|Function/);
  await until('.owners', /libucs\.so\.0 +library/);
  await until('.stacks libucs.so.0', /mapped inside munmap/);
  await until(`.flamegraph ${join(folder, 'a.folded')}`, /wrote .*a\.folded/);
  expect(readFileSync(join(folder, 'a.folded'), 'utf8')).toContain('[mmap inside munmap]');
  await until('.flamegraph a.png', /end it in one of/);
  server.close();
});

test('the history is kept, for this user only', async () => {
  const { server, until } = open();
  await until('6 * 7', /42/);
  const file = join(folder, 'offheap', 'repl-history');
  await expect.poll(() => readFileSync(file, 'utf8')).toContain('6 * 7');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(statSync(join(folder, 'offheap')).mode & 0o777).toBe(0o700);
  server.close();
});

const session = new SampleSession();
const style = { json: false, colors: false, columns: 80 };
const evaluated = (expression: string, json = false) =>
  evaluate(expression, session, () => [session], { ...style, json });

test('eval: the names of the REPL, await, JSON', async () => {
  expect(await evaluated('processes.length;')).toBe('1');
  expect(await evaluated('ledger.byOwner().map((each) => each.owner) // who', true)).toBe(
    '["libucs.so.0","libc.so.6","[stack]"]',
  );
  expect(await evaluated('(await flamegraph({format: "folded"})).length > 100')).toBe('true');
  expect(await evaluated('ledger.heap.totals().liveBytes')).toBe('0');
  expect(await evaluated('undefined', true)).toBe('null');
  expect(await evaluated('{ big: 2n ** 70n }', true)).toBe('{"big":"1180591620717411303424"}');
  expect(JSON.parse(await evaluated('snapshot()', true)).schema).toBe('offheap.snapshot/1');
});

test.each([
  ['1 +', 'BAD_EXPRESSION'],
  ['nobody', 'EVALUATION_FAILED'],
  ['diff()', 'NO_MARK'],
])('eval %s fails with %s', async (expression, code) => {
  await expect(evaluated(expression)).rejects.toMatchObject({ code });
});

test('eval --json of what has no JSON', async () => {
  await expect(evaluated('(() => { const a = {}; a.a = a; return a; })()', true)).rejects.toMatchObject({
    code: 'NOT_JSON',
  });
});

test('values without sizes print as ever, cycles included', () => {
  const cycle: Record<string, unknown> = { bytes: 5 };
  cycle.self = [cycle];
  expect(inspectForPeople(cycle, style)).toContain('bytes: 5');
  expect(inspectForPeople(new Map([[1, 2]]), style)).toBe('Map(1) { 1 => 2 }');
});
