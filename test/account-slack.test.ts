// What blocks were asked for, and what their allocator set aside for them, against what a program knows of its own.
import { expect, type TestContext, test } from 'vitest';
import type { AccountNode, AccountReport } from '../src/report/schema.js';
import { checkSums } from './support/account.js';
import { AccountedTarget } from './support/accounted.js';
import { buildC } from './support/build.js';
import { libraryPath, needs } from './support/needs.js';

interface Held {
  blocks: number;
  asked: number;
  slack: number;
}

async function slackTarget(mode: string, library?: string): Promise<{ target: AccountedTarget; held: Held }> {
  const target = await AccountedTarget.start([buildC('heap_slack', { flags: ['-pthread'] })], {
    ...(library === undefined ? {} : { preload: [libraryPath(library)!] }),
    env: { OFFHEAP_HEAP: mode, OFFHEAP_SAMPLE_BYTES: '4096' },
  });
  const [, blocks, asked, usable] = (await target.line(/^blocks (\d+) asked (\d+) usable (\d+)$/)).map(
    Number,
  );
  return { target, held: { blocks: blocks!, asked: asked!, slack: usable! - asked! } };
}

function allocatorOf({ tree }: AccountReport, name: string): AccountNode {
  checkSums(tree!);
  return tree!.children
    .find(({ kind }) => kind === 'allocators')!
    .children.find((node) => node.name === name)!;
}

function partOf({ children }: AccountNode, ...kinds: string[]): number {
  return children.reduce((sum, part) => sum + (kinds.includes(part.kind) ? part.residentBytes : 0), 0);
}

/** What the program holds beside what it counts: threads' own blocks, and the one that it holds at the moment. */
const FEW_BLOCKS = 30;
const FEW_BYTES = 4096;
/** What libstdc++ keeps ready for exceptions, in programs that load it. */
const CXX_BYTES = 80_000;

function expectAsked({ asked }: AccountNode, held: Held, moreBytes = 0): void {
  expect(asked).toMatchObject({ coverage: 'all' });
  expect(asked!.allocations - held.blocks).toBeGreaterThanOrEqual(0);
  expect(asked!.allocations - held.blocks).toBeLessThan(FEW_BLOCKS);
  expect(asked!.bytes - held.asked).toBeGreaterThanOrEqual(0);
  expect(asked!.bytes - held.asked).toBeLessThan(FEW_BYTES + moreBytes);
  expect(asked!.slackBytes! - held.slack).toBeGreaterThanOrEqual(0);
  expect(asked!.slackBytes! - held.slack).toBeLessThan(FEW_BYTES + moreBytes / 8);
}

function untilTold(target: AccountedTarget, name: string): Promise<AccountReport> {
  return target.accountTold(
    (account) => account.problems.length === 0 && allocatorOf(account, name).asked?.slackBytes !== null,
  );
}

test('glibc: to the byte, in the main heap, in arenas, and of mapped blocks', async () => {
  const { target, held } = await slackTarget('exact');
  await using _ = target;
  const account = (await target.accountPaused())!;
  const libc = allocatorOf(account, 'libc.so.6');
  expectAsked(libc, held);
  expect(account.problems).toEqual([]);
  // All was written to, so that all of it is in memory.
  expect(partOf(libc, 'slack')).toBe(libc.asked!.slackBytes);
  expect(partOf(libc, 'live')).toBe(libc.asked!.bytes);
  // Freed, and in caches: what no recorded block explains. Every thread has seven of each size at most.
  expect(partOf(libc, 'cached')).toBe(libc.asked!.unrecordedBytes);
  expect(partOf(libc, 'cached')).toBeGreaterThan(4 * 1000);
  expect(partOf(libc, 'cached')).toBeLessThan(4 * 64 * 7 * 1040 + FEW_BYTES);
});

test('glibc: estimated from samples', async () => {
  const { target, held } = await slackTarget('sampled');
  await using _ = target;
  const libc = allocatorOf(target.account(), 'libc.so.6');
  expect(libc.asked).toMatchObject({ coverage: 'sampled', unrecordedBytes: null });
  const { slackBytes, slackErrorBytes } = libc.asked!;
  expect(slackErrorBytes).toBeGreaterThan(0);
  expect(slackErrorBytes).toBeLessThan(0.1 * held.slack);
  expect(Math.abs(slackBytes! - held.slack)).toBeLessThan(6 * slackErrorBytes);
  // Rounded down in each heap.
  expect(Math.abs(partOf(libc, 'slack') - slackBytes!)).toBeLessThan(30);
});

test.for([
  ['jemalloc', 'libjemalloc.so.2'],
  ['tcmalloc', 'libtcmalloc_minimal.so.4'],
] as const)('%s: by its own sizes of blocks', async ([need, library], context: TestContext) => {
  needs(context, need);
  const { target, held } = await slackTarget('exact', library);
  await using _ = target;
  const account = await untilTold(target, library);
  const node = allocatorOf(account, library);
  expect(account.problems).toEqual([]);
  expectAsked(node, held, CXX_BYTES);
  expect(node.asked!.unclassedBytes).toBe(0);
  // The last pages of large blocks were never touched; small blocks' slack lies beside what was.
  expect(partOf(node, 'slack')).toBeLessThanOrEqual(node.asked!.slackBytes!);
  expect(partOf(node, 'slack')).toBeGreaterThan(0.3 * node.asked!.slackBytes!);
  // Both count the same blocks, one by size classes and one by what was asked.
  expect(Math.abs(partOf(node, 'live') - held.asked)).toBeLessThan(0.02 * held.asked);
  expect(partOf(node, 'unread')).toBeLessThan(0.06 * node.residentBytes);
});

test('mimalloc, which tells nothing: by the recorded blocks and the pages that they lie on', async (context) => {
  needs(context, 'mimalloc');
  const library = 'libmimalloc.so.2';
  const { target, held } = await slackTarget('exact', library);
  await using _ = target;
  const account = await untilTold(target, library);
  const node = allocatorOf(account, library);
  expect(account.problems).toEqual([]);
  expect(node.asked!.bytes - held.asked).toBeLessThan(FEW_BYTES);
  expect(node.asked!.bytes).toBeGreaterThanOrEqual(held.asked);
  // Its function knows sizes up to 128 KiB.
  expect(node.asked!.unclassedBytes).toBeGreaterThan(0.7 * 4 * 80 * 130_000);
  expect(node.asked!.slackBytes).toBeGreaterThan(4 * 80_000 * 7);
  expect(node.asked!.slackBytes).toBeLessThan(held.slack);
  expect(Math.abs(partOf(node, 'live') - held.asked)).toBeLessThan(0.02 * held.asked);
  expect(partOf(node, 'unread')).toBe(0);
});

test('what is not known of it is said', async (context) => {
  needs(context, 'mimalloc');
  const off = await slackTarget('off');
  await using _ = off.target;
  const libc = allocatorOf(off.target.account(), 'libc.so.6');
  expect(libc.asked).toBeUndefined();
  expect(libc.askedUnknown).toBe('allocations are not recorded');
  expect(partOf(libc, 'slack')).toBe(0);

  // Recorded from now on: what lives is not known, what comes is.
  off.target.session.heap.mode = 'exact';
  const late = allocatorOf(off.target.account(), 'libc.so.6');
  expect(late.asked).toMatchObject({ coverage: 'some' });
  expect(late.asked!.unrecordedBytes).toBeGreaterThan(off.held.asked);
  expect(late.asked!.bytes).toBeLessThan(FEW_BYTES);
});
