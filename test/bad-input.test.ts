// What can't work says so in one line, and never costs the target its life, its output or its status.
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { layout } from '../src/wire/addon.js';
import { fieldOffset } from '../src/wire/layout.js';
import { buildC } from './support/build.js';
import { channelFolder, Holder, offheap, preloaded, scratchFolder, snapshotOf } from './support/offheap.js';
import { ROOT } from './support/paths.js';
import { type Ended, finish } from './support/running.js';

const { Header } = layout.structures;
const isRoot = process.geteuid?.() === 0;
const NOBODY = 65534;

/** Failed with one line that names the program, says what is wrong and what to do; printed nothing. */
function expectOneLine({ status, stdout, stderr }: Ended, message: RegExp): void {
  expect(stderr).toMatch(/^offheap: [^\n]+\n$/);
  expect(stderr).toMatch(message);
  expect([status, stdout]).toEqual([1, '']);
}

describe('a command that can’t be started', () => {
  test('does not exist', async () => {
    expectOneLine(
      await offheap(['run', '--', 'no-such-command']),
      /there is no command no-such-command; name one/,
    );
  });

  test('is no program', async () => {
    expectOneLine(
      await offheap(['run', '--', '/etc/passwd']),
      /can't start \/etc\/passwd: .*EACCES.*; check/,
    );
  });

  test('with a shim that is not there', async () => {
    const env = { OFFHEAP_SHIM: '/nowhere/liboffheap.so' };
    const message = /the shim \/nowhere\/liboffheap\.so is not there; build it/;
    expectOneLine(await offheap(['run', '--', 'echo', 'ran'], { env }), message);
    expectOneLine(await offheap(['preload'], { env }), message);
  });

  test('in a folder that is no folder, or not this user’s alone', async () => {
    const folder = scratchFolder();
    const file = join(folder, 'file');
    writeFileSync(file, '');
    expectOneLine(await offheap(['run', '--dir', file, '--', 'echo', 'ran']), /file.*; give another/);
    chmodSync(folder, 0o777);
    expectOneLine(
      await offheap(['run', '--dir', folder, '--', 'echo', 'ran']),
      /can be written by other users; give/,
    );
  });
});

describe('a command that the loader keeps the shim from', () => {
  test('statically linked: runs as it would, and one line says that nothing is recorded', async () => {
    const command = buildC('malloc_churn', { as: 'malloc_churn-static', flags: ['-static'] });
    const without = await finish(command, ['100']);
    const ended = await offheap(['run', '--dir', channelFolder(), '--', command, '100']);
    expect([ended.status, ended.stdout]).toEqual([without.status, without.stdout]);
    expect(ended.stderr).toBe(
      `${without.stderr}offheap: ${command} is statically linked, so there is no loader to load the shim; nothing was recorded\n`,
    );
  });

  test('setuid: the same', async (context) => {
    if (!isRoot) context.skip('needs root, to make a program setuid and to be another user');
    const folder = scratchFolder();
    chmodSync(folder, 0o755);
    const command = join(folder, 'setuid-id');
    copyFileSync('/usr/bin/id', command);
    chmodSync(command, 0o4755);
    const dir = join(channelFolder(), 'nobody');
    mkdirSync(dir, { mode: 0o700 });
    chmodSync(join(dir, '..'), 0o755);
    chownSync(dir, NOBODY, NOBODY);
    const asNobody = ['--reuid', String(NOBODY), '--regid', String(NOBODY), '--clear-groups'];
    const run = [process.execPath, join(ROOT, 'bin/offheap.mjs'), 'run', '--dir', dir, '--', command, '-u'];
    const ended = await finish('setpriv', [...asNobody, ...run]);
    expect([ended.stderr, ended.status, ended.stdout]).toEqual([
      `offheap: ${command} is setuid or setgid, so the loader ignores the shim; run it as its owner\n`,
      0,
      '0\n',
    ]);
  });
});

describe('a shared-memory file system that is', () => {
  /** Runs the holder under the tool in a file system of its own of this size. */
  function runIn(size: string, commands: string): Promise<Ended> {
    const script = `mount -t tmpfs -o size=${size},mode=700 none "$1" && exec "$2" "$3" run --dir "$1" -- "$4"`;
    const [node, cli] = [process.execPath, join(ROOT, 'bin/offheap.mjs')];
    const args = ['-m', 'sh', '-c', script, 'sh', scratchFolder(), node, cli, buildC('holder')];
    return finish('unshare', args, { input: commands });
  }
  const commands = 'map 1000000\nkeep 3000\nchurn 20000\nexit 6\n';
  const mountable = () => {
    try {
      execFileSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'none', '/mnt']);
      return true;
    } catch {
      return false;
    }
  };

  test.for([
    [
      'full: nothing is recorded',
      '64k',
      /^offheap: .*left no channel: its shared-memory file system may be full/m,
    ],
    ['tiny: what fits is recorded, what is lost counted', '1m', /[\d,]+ mapping events, (none|[\d,]+) lost/],
    ['small', '4m', /[\d,]+ mapping events, (none|[\d,]+) lost/],
  ] as const)('%s', async ([, size, said], context) => {
    if (!mountable()) context.skip('needs permission to mount in a namespace of its own');
    const { status, stdout, stderr } = await runIn(size, commands);
    expect(status).toBe(6);
    expect(stdout).toMatch(/^READY \d+\nmapped 0x[0-9a-f]+\nkept\nchurned\n$/);
    expect(stderr).toMatch(said);
  });
});

describe('a channel that', () => {
  /** A channel that a process has left, with what is done to the file. */
  async function damaged(damage: (path: string) => void): Promise<{ dir: string; pid: string }> {
    const dir = channelFolder();
    const holder = await Holder.alone(preloaded(dir));
    await holder.map(1 << 20);
    await holder.leave();
    damage(join(dir, readdirSync(dir)[0]!));
    return { dir, pid: String(holder.pid) };
  }

  const overwrite = (path: string, offset: number, bytes: Buffer) => {
    const file = readFileSync(path);
    bytes.copy(file, offset);
    writeFileSync(path, file);
  };
  const damages: [string, (path: string) => void, RegExp][] = [
    [
      'is of another version',
      (path) => {
        overwrite(path, fieldOffset(Header, 'layout_hash'), Buffer.alloc(8, 7));
        overwrite(path, fieldOffset(Header, 'version0'), Buffer.from('9.8.7\0\0\0'));
      },
      /written by offheap 9\.8\.7 \(.*\), this is \d+\.\d+\.\d+ \(.*\); use the shim of the same version/,
    ],
    ['is truncated within its head', (path) => truncateSync(path, 300), /was truncated/],
    ['is truncated within its data', (path) => truncateSync(path, statSync(path).size / 2), /was truncated/],
    ['is text', (path) => writeFileSync(path, 'text '.repeat(10_000)), /not a channel/],
    [
      'points outside of itself',
      (path) => overwrite(path, fieldOffset(Header, 'ring_offset'), Buffer.alloc(8, 0x7f)),
      /channel/,
    ],
  ];

  test.each(damages)('%s', async (_, damage, message) => {
    const { dir, pid } = await damaged(damage);
    expectOneLine(await offheap(['snapshot', pid, '--dir', dir]), message);
    expectOneLine(await offheap(['top', pid, '--dir', dir]), message);
    const { status, stdout } = await offheap(['ps', '--json', '--dir', dir]);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject([
      { state: 'unreadable', problem: expect.stringMatching(message) },
    ]);
    expect((await offheap(['ps', '--dir', dir])).stdout).toContain('unreadable');
  });

  test('is empty, as one is at its very beginning: no channel yet', async () => {
    const { dir, pid } = await damaged((path) => truncateSync(path, 0));
    expectOneLine(await offheap(['snapshot', pid, '--dir', dir]), /there is no process \d+; offheap ps/);
    expect((await offheap(['ps', '--json', '--dir', dir])).stdout).toBe('[]\n');
  });

  test('is full of noise, behind a head that is in order', async () => {
    const { dir, pid } = await damaged((path) => {
      const file = readFileSync(path);
      let state = 12345;
      for (let at = 4096; at < file.length; at++) {
        state = (state * 1103515245 + 12345) % 2147483648;
        file[at] = state >> 16;
      }
      writeFileSync(path, file);
    });
    const { status, stdout, stderr } = await offheap(['snapshot', pid, '--dir', dir]);
    if (status === 0) expect(JSON.parse(stdout).completeness.mappingEventsLost).toBeGreaterThan(0);
    else expect([status, stderr]).toEqual([1, expect.stringMatching(/^offheap: [^\n]+\n$/)]);
  });

  test('is another user’s', async (context) => {
    if (!isRoot) context.skip('needs root, to be two users');
    const { dir, pid } = await damaged(() => {});
    const asNobody = ['--reuid', String(NOBODY), '--regid', String(NOBODY), '--clear-groups'];
    const cli = [process.execPath, join(ROOT, 'bin/offheap.mjs'), 'snapshot', pid, '--dir', dir];
    expectOneLine(await finish('setpriv', [...asNobody, ...cli]), /belongs to user 0; give another folder/);
    // A folder of theirs with a file of ours in it is no better.
    chownSync(dir, NOBODY, NOBODY);
    expectOneLine(await finish('setpriv', [...asNobody, ...cli]), /refused|belongs to|permission/i);
  });
});

describe('a process that', () => {
  test('does not exist', async () => {
    for (const command of ['snapshot', 'flamegraph', 'top', 'repl']) {
      expectOneLine(
        await offheap([command, '4194000', '--dir', channelFolder()]),
        /there is no process 4194000; offheap ps/,
      );
    }
  });

  test('runs without the shim', async () => {
    const ended = await offheap(['snapshot', String(process.pid), '--dir', channelFolder()]);
    expectOneLine(ended, /process \d+ has no channel in .*; start it with offheap run/);
  });

  test('is not named, and there are none or several', async () => {
    const dir = channelFolder();
    expectOneLine(await offheap(['top', '--dir', dir]), /no process has a channel; start one/);
    const holders = [await Holder.alone(preloaded(dir)), await Holder.alone(preloaded(dir))];
    expectOneLine(await offheap(['top', '--dir', dir]), /2 processes have a channel \(\d+, \d+\); name one/);
    for (const holder of holders) await holder.leave();
  });
});

test('a target that is killed at any moment: what it held is read', async () => {
  const dir = channelFolder();
  for (const delayMs of [0, 1, 3, 10, 30]) {
    const holder = await Holder.alone(preloaded(dir));
    const address = await holder.map(2 << 20);
    holder.running.write('churn 1000000\n');
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    process.kill(holder.pid, 'SIGKILL');
    await holder.running.ended;
    const snapshot = await snapshotOf(holder.pid, dir);
    expect(snapshot.process.state).toBe('killed');
    const held = snapshot.mappings.find(({ start }) => Number(start) === address);
    expect(held).toMatchObject({ bytes: 2 << 20, owner: 'holder' });
    // The event that it was just writing, if any.
    expect(snapshot.completeness.mappingEventsLost).toBeLessThanOrEqual(1);
    // At most the one block that it was churning, and what was under way.
    expect(
      snapshot.mappings.filter(({ owner, bytes }) => owner === 'holder' && bytes === 64 << 10).length,
    ).toBeLessThan(3);
  }
});

test('a command under `run` that is killed: the report says so', async () => {
  const holder = await Holder.underRun(['--dir', channelFolder()]);
  await holder.map(2 << 20);
  process.kill(holder.pid, 'SIGKILL');
  const { status, stderr } = await holder.running.ended;
  expect(status).toBe(128 + 9);
  expect(stderr).toMatch(/holder \(pid \d+\), killed/);
  expect(stderr).toMatch(/^holder +program/m);
});
