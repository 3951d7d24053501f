import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sampleSnapshot } from '../report/sample.js';

const cli = new URL('./cli.ts', import.meta.url).href;

/** The real command line in a process of its own. */
function offheap(...args: string[]): Promise<{ status: number; stdout: string; stderr: string }> {
  const start = `import { main } from '${cli}'; await main(['node', 'offheap', ...process.argv.slice(1)]);`;
  const node = ['--import', 'tsx', '--input-type=module', '-e', start, '--', ...args];
  return new Promise((resolve) => {
    execFile(process.execPath, node, { timeout: 60_000 }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

describe('usage errors: status 2, one line on stderr, nothing on stdout', () => {
  test.each([
    [['nonsense'], "offheap: unknown command 'nonsense'; see offheap --help"],
    [['ps', '--nonsense'], "offheap: unknown option '--nonsense'; see offheap --help"],
    [['run'], "offheap: missing required argument 'command'; see offheap --help"],
    [['run', '--heap', 'all', '--', 'true'], /Allowed choices are off, sampled, exact; see offheap --help$/],
    [['run', '--sample-bytes', '0', '--', 'true'], /expected a whole number above 0; see offheap --help$/],
    [
      ['run', '--sample-bytes', '4294967296', '--', 'true'],
      /expected at most 4294967295; see offheap --help$/,
    ],
    [['run', '--interval', '0', '--', 'true'], /expected a whole number above 0; see offheap --help$/],
    [
      ['run', '--flamegraph', 'a.json', '--', 'true'],
      /'a\.json'; end it in one of \.html, \.svg, \.folded, \.speedscope\.json, \.pb\.gz; see/,
    ],
    [
      ['run', '--native-only', '--python-only', '--', 'true'],
      "offheap: option '--native-only' cannot be used with option '--python-only'; see offheap --help",
    ],
    [['snapshot', 'abc'], /expected a process id; see offheap --help$/],
    [['top', '-5'], /'-5' is invalid for argument 'pid'. expected a process id; see offheap --help$/],
    [['eval', '1'], "offheap: missing required argument 'expression'; see offheap --help"],
    [['flamegraph', '1', '-o', 'a.png'], /'a\.png'; end it in one of \.html, \.svg, \.folded, /],
  ])('%j', async (args, message) => {
    const { status, stdout, stderr } = await offheap(...args);
    expect(stdout).toBe('');
    expect(stderr.endsWith('\n')).toBe(true);
    const lines = stderr.trimEnd().split('\n');
    expect(lines).toHaveLength(1);
    expect(lines[0]).toEqual(typeof message === 'string' ? message : expect.stringMatching(message));
    expect(status).toBe(2);
  });

  test('no command at all shows the help, as an error', async () => {
    const { status, stdout, stderr } = await offheap();
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain('Usage: offheap');
  });
});

test('help is no error', async () => {
  const { status, stdout, stderr } = await offheap('run', '--help');
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout).toContain('--flamegraph <file>');
});

describe('diff', () => {
  let folder: string;
  const file = (name: string) => join(folder, name);

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'offheap-cli-'));
    await writeFile(file('a.json'), JSON.stringify(sampleSnapshot(281)));
    await writeFile(file('b.json'), JSON.stringify(sampleSnapshot(381)));
    await writeFile(file('text'), 'text');
    await writeFile(file('other.json'), '{"schema":"offheap.snapshot/9"}');
  });
  afterAll(() => rm(folder, { recursive: true }));

  test('names the owner that grew', async () => {
    const { status, stdout, stderr } = await offheap('diff', file('a.json'), file('b.json'));
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain('libucs.so.0  library  +15.2 MB');
  });

  test('--json prints nothing but JSON', async () => {
    const { stdout } = await offheap('diff', '--json', file('a.json'), file('b.json'));
    expect(JSON.parse(stdout)).toMatchObject({ owners: [{ owner: 'libucs.so.0', bytes: 15_155_200 }] });
  });

  test.each([
    ['missing.json', /^offheap: can't read .*missing\.json: .*ENOENT.*; write it with offheap snapshot\n$/],
    ['text', /^offheap: can't read .*text: it is not JSON; write it with offheap snapshot\n$/],
    ['other.json', /^offheap: .*other\.json is no snapshot of schema offheap\.snapshot\/1; write it with/],
  ])('%s: status 1 and one line', async (name, message) => {
    const { status, stdout, stderr } = await offheap('diff', file('a.json'), file(name));
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(message);
  });
});

test('a file that could not be written is refused before the command runs', async () => {
  const { status, stdout, stderr } = await offheap(
    'run',
    '--snapshot',
    '/nonexistent/a.json',
    '--',
    'echo',
    'ran',
  );
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  expect(stderr).toBe(
    "offheap: can't write /nonexistent/a.json; name a file in a folder that is there and writable\n",
  );
});
