// CPython's arenas, read from outside, against what the interpreter counts itself.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { insidePython, readPythonArenas } from '../src/account/allocators/python.js';
import type { AccountNode } from '../src/account/tree.js';
import { processStatus } from '../src/drain/process-identity.js';
import { AccountedTarget } from './support/accounted.js';
import { needs, pythonPath } from './support/needs.js';
import { scratchFolder } from './support/offheap.js';
import { TARGET_SOURCES } from './support/paths.js';
import { pythons } from './support/pythons.js';

const freeThreaded = pythons().filter((python) => python.isFreeThreaded);

/** Debian's has no symbols, and is often not the one on the PATH; OFFHEAP_PYTHONS names more, separated by colons. */
const INTERPRETERS = [
  'python3',
  '/usr/bin/python3',
  ...(process.env.OFFHEAP_PYTHONS ?? '').split(':').filter((path) => path !== ''),
].filter((path) => !freeThreaded.some(({ command }) => command === path));

/** What `sys._debugmallocstats` writes. */
function ownCount(text: string) {
  const count = (name: RegExp) => Number(name.exec(text)?.[1]?.replaceAll(',', ''));
  const classes = [...text.matchAll(/^ +(\d+) +(\d+) +(\d+) +(\d+) +(\d+)$/gm)].map((line) =>
    line.slice(1).map(Number),
  );
  return {
    blocks: classes.reduce((sum, [, , , inUse]) => sum + inUse!, 0),
    pools: classes.reduce((sum, [, , pools]) => sum + pools!, 0),
    blockBytes: count(/^# bytes in allocated blocks += +([\d,]+)$/m),
    availableBytes: count(/^# bytes in available blocks += +([\d,]+)$/m),
    poolBytes: count(/unused pools \* ([\d,]+) bytes/),
    unusedBytes: count(/unused pools \* [\d,]+ bytes += +([\d,]+)$/m),
    headerBytes: count(/^# bytes lost to pool headers += +([\d,]+)$/m),
    quantizationBytes: count(/^# bytes lost to quantization += +([\d,]+)$/m),
  };
}

/** From its count to its standing still it runs on a little. */
const FEW_BLOCKS = 60;

test.for(INTERPRETERS)(
  '%s: blocks, pools and what lies beside them are as it counts them',
  async (name, context) => {
    needs(context, 'python');
    if (!name.includes('python3') || (name.startsWith('/') && !existsSync(name)))
      context.skip(`there is no ${name}`);
    const file = join(scratchFolder(), 'count');
    const python = name === 'python3' ? pythonPath() : name;
    await using target = await AccountedTarget.start([python, `${TARGET_SOURCES}/python_arenas.py`, file]);
    while (!existsSync(file) && target.running) await sleep(5);
    // It stands still.
    while (processStatus(target.pid)?.state !== 'S' && target.running) await sleep(5);
    const own = ownCount(readFileSync(file, 'utf8'));
    const account = (await target.accountPaused())!;
    const arenas = account
      .tree!.children.find(({ kind }) => kind === 'allocators')!
      .children.find((child) => /python/.test(child.name))!;
    const bytes = (kind: AccountNode['kind'], part: RegExp) =>
      arenas.children.find((child) => child.kind === kind && part.test(child.name))?.residentBytes ?? 0;

    const few = FEW_BLOCKS * 512;
    expect(own.blocks).toBeGreaterThan(60_000);
    expect(Math.abs(bytes('live', /objects/) - own.blockBytes)).toBeLessThan(few);
    expect(Math.abs(bytes('metadata', /headers/) - own.headerBytes)).toBeLessThan(10 * 48);
    // Pages that were never touched are not resident.
    const freeBytes = own.availableBytes + own.unusedBytes + own.quantizationBytes;
    const beside = bytes('pinned', /beside/) + bytes('retained', /pools/);
    expect(beside).toBeLessThan(freeBytes + few);
    expect(beside).toBeGreaterThan(0.8 * freeBytes);
    expect(bytes('retained', /pools/)).toBeGreaterThan(0.5 * own.unusedBytes);
    // Nothing of an arena is left over, but for what others of the interpreter's mappings hold.
    expect(bytes('unread', /./)).toBeLessThan(0.01 * arenas.residentBytes);
    expect(account.problems).toEqual([]);
  },
);

test.each(freeThreaded)(
  '$name: its objects are in memory of its own, in which no arenas are looked for',
  async (python) => {
    const file = join(scratchFolder(), 'count');
    await using target = await AccountedTarget.start([
      python.command,
      ...python.args,
      `${TARGET_SOURCES}/python_arenas.py`,
      file,
    ]);
    while (!existsSync(file) && target.running) await sleep(5);
    const account = (await target.accountPaused())!;
    const branch = (kind: AccountNode['kind']) =>
      account
        .tree!.children.find((child) => child.kind === kind)!
        .children.find(({ name }) => /python/.test(name));
    expect(branch('anonymous')!.residentBytes).toBeGreaterThan(0.9 * account.anonymousBytes!);
    expect(branch('allocators')?.children.map(({ name }) => name) ?? []).toEqual(['evaluation stacks']);
    expect(account.problems).toEqual([]);
  },
);

test('memory that holds no pools is not taken for arenas', () => {
  const memory = {
    owner: 'python3.11',
    path: null,
    ranges: [{ start: 0, end: 4096, residentBytes: 0, swapBytes: 0 }],
    areas: [],
  };
  expect(readPythonArenas(process.pid, memory.ranges).poolBytes).toBe(0);
  expect(insidePython(process.pid, memory)).toMatchObject({
    parts: [],
    problems: [expect.stringContaining('python3.11')],
  });
  expect(insidePython(process.pid, { ...memory, owner: 'libc.so.6' })).toBeUndefined();
});
