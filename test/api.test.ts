// The JavaScript API, from the built package, as a program of somebody else's uses it.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { buildC } from './support/build.js';
import { HeapHolder } from './support/heap-holder.js';
import { channelFolder, Holder, preloaded, scratchFolder } from './support/offheap.js';
import { ROOT } from './support/paths.js';
import { finish, Running } from './support/running.js';
import { shapeProblems } from './support/snapshot-shape.js';

const MIB = 1 << 20;

/** A module that imports offheap; it prints what `report` is given, and must end by itself. */
function moduleFile(body: string): string {
  const file = join(scratchFolder(), 'program.mjs');
  const entry = join(ROOT, 'dist', 'index.js');
  writeFileSync(
    file,
    `import { attach, launch, OffheapError } from ${JSON.stringify(entry)};
const report = (value) => console.log('REPORT ' + JSON.stringify(value));
${body}`,
  );
  return file;
}

async function reportOf(body: string, env: Record<string, string> = {}): Promise<Record<string, unknown>> {
  const { status, stdout, stderr } = await finish(process.execPath, [moduleFile(body)], { env });
  expect(stderr).toBe('');
  // A program whose event loop does not end is killed, and has no status.
  expect(status).toBe(0);
  return JSON.parse(/^REPORT (.*)$/m.exec(stdout)![1]!) as Record<string, unknown>;
}

test('attach: what is held, by owner, by stack, by address, and what changed since a mark', async () => {
  const dir = channelFolder();
  const holder = await Holder.alone(preloaded(dir));
  const address = await holder.map(5 * MIB);
  const program = new Running(process.execPath, [
    moduleFile(`
      const session = await attach(${holder.pid}, { dir: ${JSON.stringify(dir)} });
      const first = {
        pid: session.pid,
        owner: session.ledger.byOwner().find(({ owner, kind }) => owner === 'holder' && kind === 'program'),
        stack: session.ledger.byStack().find(({ frames }) => frames.some((each) => each === 'hold_block (holder)')),
        at: session.ledger.at(${address + 5}), atText: session.ledger.at('0x${address.toString(16)}'),
        nowhere: session.ledger.at(4096) ?? null,
        snapshot: session.snapshot(), account: session.account(),
      };
      const mark = session.ledger.mark();
      console.log('marked');
      await new Promise((resolve) => process.stdin.once('data', resolve));
      process.stdin.destroy();
      report({ ...first, diff: session.diff(mark), sinceMark: session.diff(),
        live: await session.flamegraph({ format: 'folded', of: 'live' }),
        growth: await session.flamegraph({ format: 'folded', of: 'growth' }),
        svg: (await session.flamegraph()).slice(-10) });
      await session.close();`),
  ]);
  await program.line(/^marked$/);
  await holder.map(2 * MIB);
  const { status, stdout, stderr } = await program.end('go\n');
  expect([status, stderr]).toEqual([0, '']);
  const said = JSON.parse(/^REPORT (.*)$/m.exec(stdout)![1]!);
  expect(said.pid).toBe(holder.pid);
  expect(said.owner.bytes).toBeGreaterThanOrEqual(5 * MIB);
  expect(said.stack).toMatchObject({ owner: 'holder', bytes: 5 * MIB });
  expect(said.at).toMatchObject({ start: `0x${address.toString(16)}`, bytes: 5 * MIB, owner: 'holder' });
  expect(said.atText).toEqual(said.at);
  expect(said.nowhere).toBeNull();
  expect(shapeProblems(said.snapshot)).toEqual([]);
  expect(said.account).toMatchObject({ unexplained: [], explainedPercent: 100 });
  expect(said.account.owners.length).toBe(said.snapshot.owners.length);
  expect(said.diff.owners).toMatchObject([{ owner: 'holder', bytes: 2 * MIB }]);
  expect(said.sinceMark.owners).toEqual(said.diff.owners);
  expect(said.live).toMatch(/;hold_block;.* 7340032$/m);
  expect(said.growth).toMatch(/^[^\n]*;hold_block;[^\n]* 2097152\n$/);
  expect(said.svg).toMatch(/<\/svg>\s*$/);
});

test('launch: events while it runs, its end, and what is left to ask', async () => {
  const said = await reportOf(
    `
    const events = { snapshot: 0, growth: [], child: [], gap: [] };
    const session = await launch('sh', ['-c', ${JSON.stringify(`(for time in 1 2 3 4 5 6 7 8; do echo map 10000000; sleep 0.5; done) | "$0"; exit 6`)}, ${JSON.stringify(buildC('holder'))}], { intervalMs: 50 });
    session.on('snapshot', () => events.snapshot++);
    session.on('gap', (gap) => events.gap.push(gap));
    session.on('child', (child) => { events.child.push(child.pid); child.on('growth', (owner) => events.growth.push(owner.owner)); });
    const exit = new Promise((resolve) => session.on('exit', resolve));
    const exited = await session.exited;
    report({ events, exit: await exit, exited, problem: session.problem ?? null,
      process: session.snapshot().process, children: session.children().map((child) => child.pid) });
    await session.close();`,
    { OFFHEAP_DIR: channelFolder() },
  );
  expect(said).toMatchObject({
    exit: { state: 'exited', exit: 6 },
    exited: { code: 6, signal: null },
    problem: null,
    process: { state: 'exited', exit: 6 },
  });
  const { events, children } = said as { events: Record<string, unknown[]>; children: number[] };
  expect(events.snapshot).toBeGreaterThan(5);
  expect(events.gap).toEqual([]);
  expect(events.growth).toContain('holder');
  expect(children).toEqual(expect.arrayContaining(events.child!));
});

test('launch: which allocations are recorded, and what lives of them', async () => {
  const input = join(scratchFolder(), 'commands');
  writeFileSync(input, 'keep 40 1000\nchurn 100 10\n');
  const said = await reportOf(
    `
    const session = await launch('sh', ['-c', 'exec "$0" < "$1" > /dev/null', ${JSON.stringify(HeapHolder.path())}, ${JSON.stringify(input)}],
      { heap: 'exact', sampleBytes: 4096 });
    await session.exited;
    report({ same: session.heap === session.ledger.heap, mode: session.heap.mode, totals: session.heap.totals(),
      site: session.heap.bySite(1)[0], owners: session.heap.byOwner() });
    await session.close();`,
    { OFFHEAP_DIR: channelFolder() },
  );
  expect(said).toMatchObject({ same: true, mode: 'exact', totals: { sampleBytes: 4096, estimated: false } });
  expect(said.site).toMatchObject({ owner: 'heap_holder', liveBytes: 40_000, liveAllocations: 40 });
  expect((said.site as { frames: string[] }).frames[0]).toBe('keep_blocks (heap_holder)');
});

test('a session that is closed early leaves the process running and the event loop empty', async () => {
  const dir = channelFolder();
  const holder = await Holder.alone(preloaded(dir));
  for (let time = 0; time < 2; time++) {
    const said = await reportOf(`
      const session = await attach(${holder.pid}, { dir: ${JSON.stringify(dir)} });
      session.on('snapshot', () => {});
      report(session.snapshot().process.state);
      await session.close();`);
    expect(said).toBe('running');
  }
  expect((await holder.leave(2)).status).toBe(2);
});

test('errors have a code and say what to do', async () => {
  const dir = channelFolder();
  const holder = await Holder.alone(preloaded(dir));
  const said = await reportOf(`
    const failed = async (work) => { try { await work(); return null; } catch (error) {
      return { code: error.code, ours: error instanceof OffheapError, message: error.message }; } };
    const options = { dir: ${JSON.stringify(dir)} };
    const session = await attach(${holder.pid}, options);
    report({
      missing: await failed(() => attach(4194001, options)),
      unrecorded: await failed(() => attach(process.pid, options)),
      busy: await failed(() => attach(${holder.pid}, options)),
      mark: await failed(() => session.diff()),
      growth: await failed(() => session.flamegraph({ of: 'growth' })),
      subject: await failed(() => session.flamegraph({ of: 'grwoth' })),
      format: await failed(() => session.flamegraph({ format: 'png' })),
      pages: await failed(() => session.pagemap({ format: 'png' })),
      command: await failed(() => launch('no-such-command', [], options)),
    });
    await session.close();`);
  const error = (code: string) => ({ code, ours: true, message: expect.stringMatching(/^[^\n]+; [^\n]+$/) });
  expect(said).toEqual({
    missing: error('PROCESS_MISSING'),
    unrecorded: error('NO_CHANNEL'),
    busy: error('CHANNEL_BUSY'),
    mark: error('NO_MARK'),
    growth: error('NO_MARK'),
    subject: error('OPTION_REFUSED'),
    format: error('OPTION_REFUSED'),
    pages: error('OPTION_REFUSED'),
    command: error('COMMAND_NOT_FOUND'),
  });
});

test('a program watches itself', async () => {
  const dir = channelFolder();
  const said = await reportOf(
    `
    const session = await attach(process.pid);
    // Less than is kept: what the allocator has free already is used first.
    const before = session.ledger.mark();
    const kept = Array.from({ length: 40 }, () => Buffer.alloc(1 << 20, 1));
    const grown = session.diff(before).owners.reduce((sum, owner) => sum + Math.max(0, owner.bytes), 0);
    report({ grown, kept: kept.length, completeness: session.snapshot().completeness });
    await session.close();`,
    preloaded(dir),
  );
  expect(said.grown).toBeGreaterThanOrEqual(32 * MIB);
  expect(said.completeness).toMatchObject({ mappingEventsLost: 0 });
});
