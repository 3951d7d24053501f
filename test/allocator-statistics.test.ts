// What allocators tell of themselves, against what a program holds; and what is said where they tell nothing.
import { expect, type TestContext, test } from 'vitest';
import type { AccountNode, AccountReport } from '../src/report/schema.js';
import { checkSums } from './support/account.js';
import { AccountedTarget } from './support/accounted.js';
import { buildC } from './support/build.js';
import { libraryPath, needs } from './support/needs.js';

async function steady(library: string): Promise<{ target: AccountedTarget; heldBytes: number }> {
  const target = await AccountedTarget.start([buildC('heap_steady')], { preload: [libraryPath(library)!] });
  const [, held] = await target.line(/^held (\d+)$/m);
  return { target, heldBytes: Number(held) };
}

function partsOf(
  { tree }: AccountReport,
  owner: string,
): { node: AccountNode; bytes: (kind: string) => number } {
  checkSums(tree!);
  const allocators = tree!.children.find(({ kind }) => kind === 'allocators')!;
  const node = allocators.children.find(({ name }) => name === owner)!;
  const bytes = (wanted: string) =>
    node.children.filter(({ kind }) => kind === wanted).reduce((sum, child) => sum + child.residentBytes, 0);
  return { node, bytes };
}

test.for([
  ['jemalloc', 'libjemalloc.so.2'],
  ['tcmalloc', 'libtcmalloc_minimal.so.4'],
] as const)(
  '%s tells what is in use, and what is free and kept',
  async ([need, library], context: TestContext) => {
    needs(context, need);
    const { target, heldBytes } = await steady(library);
    await using _ = target;
    const account = await target.accountTold();
    expect(account.problems).toEqual([]);
    const { node, bytes } = partsOf(account, library);
    // The program counts its blocks' slack, too. It stands apart where samples tell of it, which depends on when this began to
    // watch.
    expect(Math.abs(bytes('live') + bytes('slack') - heldBytes)).toBeLessThan(0.05 * heldBytes);
    // Two thirds were freed, among blocks that live on: nearly all of it stays.
    const free = bytes('cached') + bytes('retained') + bytes('pinned');
    expect(free).toBeGreaterThan(1.5 * heldBytes);
    expect(bytes('metadata')).toBeGreaterThan(0);
    expect(bytes('unread')).toBeLessThan(0.06 * node.residentBytes);
  },
);

test('mimalloc offers nothing where not every block is recorded, and that is said', async (context) => {
  needs(context, 'mimalloc');
  const { target } = await steady('libmimalloc.so.2');
  await using _ = target;
  const account = target.account();
  expect(account.problems).toEqual([
    expect.stringMatching(/^libmimalloc\.so\.2 offers no figures of what is in use in it; .*--heap exact$/),
  ]);
  const { node, bytes } = partsOf(account, 'libmimalloc.so.2');
  expect(bytes('unread')).toBe(node.residentBytes);
});

test('one that sleeps is not waited for long: that is said, and what it told stays true while it sleeps', async (context) => {
  needs(context, 'jemalloc');
  await using target = await AccountedTarget.start([buildC('heap_fragments')], {
    preload: [libraryPath('libjemalloc.so.2')!],
  });
  await target.line(/^ready/);
  // Whatever was told during the burst of work says nothing about now.
  expect(target.account().problems).toEqual([
    expect.stringMatching(/^libjemalloc\.so\.2 could not be asked what is in use/),
  ]);
  // Somebody comes by while it waits; then it sleeps again, and what it told is as true as before.
  let account = target.account();
  let again = account;
  for (let tries = 0; tries < 20 && again.problems.length > 0; tries++) {
    const done = target.tell('later');
    account = target.account();
    await done;
    // On a loaded machine, where nobody came by in time, or worked on for long after.
    again = target.account();
  }
  expect(account.problems).toEqual([]);
  expect(again.problems).toEqual([]);
  const live = partsOf(again, 'libjemalloc.so.2').bytes('live');
  expect(live).toBeGreaterThan(7500 * 48);
  expect(live).toBe(partsOf(account, 'libjemalloc.so.2').bytes('live'));
});
