import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sampleSnapshot } from '../report/sample.js';
import { LocalCollector } from './collector.js';
import { connectControl } from './control-client.js';
import { controlSocketPath, LineReader } from './control-protocol.js';
import { type ControlServer, serveControl } from './control-server.js';
import { SampleSession } from './sample-session.js';

const style = { json: false, colors: false, columns: 80 };
let folder: string;
let path: string;
let server: ControlServer | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'offheap-control-'));
  path = controlSocketPath(folder, process.pid);
  server = undefined;
});
afterEach(() => {
  server?.close();
  rmSync(folder, { recursive: true });
});

const serve = async () => {
  const collector = new LocalCollector(new SampleSession(10));
  server = await serveControl(path, (pid) => (pid === collector.pid ? collector : undefined));
};
const ask = async () => {
  const collector = await connectControl(path, 4242);
  if (collector === undefined) throw new Error('nobody answers');
  return collector;
};

test('every method answers what the session says', async () => {
  await serve();
  const collector = await ask();
  expect((await collector.snapshot()).owners[0]?.owner).toBe('libucs.so.0');
  expect((await collector.overview()).sites[0]?.enclosing).toBe('munmap');
  await expect(collector.diff()).rejects.toMatchObject({ code: 'NO_MARK' });
  expect(await collector.mark()).toEqual({ takenAt: sampleSnapshot().takenAt });
  expect((await collector.diff()).owners).toMatchObject([{ owner: 'libucs.so.0', mappings: 10 }]);
  expect(await collector.flamegraph({ format: 'folded', of: 'growth' })).toMatch(
    /\[mmap inside munmap\] 3031040\n$/,
  );
  const bytes = await collector.flamegraph({ format: 'pb.gz' });
  expect(typeof bytes !== 'string' && gunzipSync(bytes).includes('ucs_mpool_grow')).toBe(true);
  expect(await collector.evaluate('1 + 1', style)).toBe('2');
  await collector.close();
});

test('a process that this collector does not watch', async () => {
  await serve();
  const collector = await connectControl(path, 4243);
  await expect(collector?.snapshot()).rejects.toMatchObject({ code: 'NOT_WATCHED' });
  await collector?.close();
});

test('answers are matched to requests, however they overtake one another', async () => {
  await serve();
  const collector = await ask();
  const slow = collector.evaluate('await new Promise((done) => setTimeout(done, 200, "slow"))', style);
  const fast = collector.evaluate('"fast"', style);
  expect(await Promise.race([slow, fast])).toBe("'fast'");
  expect(await slow).toBe("'slow'");
  await collector.close();
});

test('the socket is the user’s alone, and gone after close', async () => {
  await serve();
  expect(statSync(path).mode & 0o777).toBe(0o600);
  server?.close();
  await expect.poll(() => existsSync(path)).toBe(false);
});

test('a socket that others may open is refused', async () => {
  await serve();
  chmodSync(path, 0o666);
  await expect(connectControl(path, 4242)).rejects.toMatchObject({ code: 'SOCKET_REFUSED' });
});

test('a second collector is refused while the first answers', async () => {
  await serve();
  await expect(serveControl(path, () => undefined)).rejects.toMatchObject({
    code: 'ALREADY_COLLECTED',
  });
  expect(await connectControl(path, 4242)).toBeDefined();
});

test('a path that a socket can’t have is refused, not cut', async () => {
  const long = join(folder, 'x'.repeat(120));
  await expect(serveControl(long, () => undefined)).rejects.toMatchObject({
    code: 'CONTROL_PATH',
  });
});

test('nobody there: undefined', async () => {
  expect(await connectControl(path, 4242)).toBeUndefined();
});

describe('bad requests', () => {
  const send = async (bytes: string) => {
    await serve();
    const socket = connect(path);
    socket.write(bytes);
    const answer = await text(socket);
    return JSON.parse(answer) as { id: unknown; error: { code: string } };
  };

  test.each([
    'nonsense\n',
    '7\n',
    '{"id":"1","process":1,"method":"mark"}\n',
    '{"id":1,"method":"mark"}\n',
    `${'x'.repeat(3 << 20)}`,
  ])('%.20s… is answered and ends the connection', async (bytes) => {
    expect(await send(bytes)).toMatchObject({ id: null, error: { code: 'BAD_REQUEST' } });
  });

  test('the collector goes on after them', async () => {
    await send('nonsense\n');
    expect(await (await ask()).evaluate('1', style)).toBe('1');
  });
});

test('a REPL across the socket, after other requests on the same connection', async () => {
  await serve();
  const collector = await ask();
  await collector.mark();
  const input = new PassThrough();
  const output = new PassThrough();
  const done = collector.repl({ input, output, interactive: false, colors: false, columns: 80 });
  input.write('ledger.byOwner()[0].owner\n.owners\nprocesses.length\n.exit\n');
  await done;
  output.end();
  const shown = await text(output);
  expect(shown).toContain("offheap 4242> 'libucs.so.0'");
  expect(shown).toMatch(/OWNER +KIND +GROWTH/);
  expect(shown).toMatch(/> 1\n/);
});

test('lines cut anywhere come out whole, and what follows stays bytes', () => {
  const reader = new LineReader(100);
  const lines: string[] = [];
  for (const byte of Buffer.from('eins\nzwei ü\nrest')) {
    reader.append(Buffer.of(byte));
    for (let line = reader.next(); line !== undefined; line = reader.next()) lines.push(line);
  }
  expect(lines).toEqual(['eins', 'zwei ü']);
  expect(reader.rest().toString()).toBe('rest');
});

describe('between two processes', () => {
  let collectorProcess: ChildProcess;

  const start = async () => {
    const here = (name: string) => new URL(name, import.meta.url).href;
    const program = `
      import { LocalCollector } from '${here('./collector.ts')}';
      import { serveControl } from '${here('./control-server.ts')}';
      import { SampleSession } from '${here('./sample-session.ts')}';
      const collector = new LocalCollector(new SampleSession(1));
      await serveControl(process.argv[1], () => collector);
      console.log('ready');`;
    const node = ['--import', 'tsx', '--input-type=module', '-e', program, '--', path];
    collectorProcess = spawn(process.execPath, node, { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(collectorProcess.stdout!, 'data');
  };
  const kill = async () => {
    const exited = once(collectorProcess, 'exit');
    collectorProcess.kill('SIGKILL');
    await exited;
  };

  test('asked, killed in the middle, found stale, replaced', async () => {
    await start();
    const collector = await ask();
    expect(await collector.evaluate('ledger.byOwner().length', style)).toBe('3');
    const never = collector.evaluate('await new Promise(() => {})', style);
    const rejected = expect(never).rejects.toMatchObject({ code: 'COLLECTOR_GONE' });
    await kill();
    await rejected;
    expect(await collector.ended).toContain('is gone');
    await expect(collector.mark()).rejects.toMatchObject({ code: 'COLLECTOR_GONE' });

    expect(existsSync(path)).toBe(true);
    expect(await connectControl(path, 4242)).toBeUndefined();
    expect(existsSync(path), 'what nobody will answer again is cleared away').toBe(false);
    await serve();
    expect(await (await ask()).evaluate('1', style)).toBe('1');
  });
});

test('a socket of somebody else’s making that never answers JSON does not hang the asker for ever', async () => {
  const stranger = createServer((socket) => socket.end()).listen(path);
  await once(stranger, 'listening');
  chmodSync(path, 0o600);
  const collector = await ask();
  await expect(collector.snapshot()).rejects.toMatchObject({ code: 'COLLECTOR_GONE' });
  stranger.close();
});
