// The last in the guest of boot.sh, in a run of its own: nobody can lower kernel.yama.ptrace_scope again once it is 3.
import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { AccountReport, Snapshot } from '../../src/report/schema.js';
import { HeapHolder } from '../support/heap-holder.js';
import { channelFolder, offheap } from '../support/offheap.js';

test('kernel.yama.ptrace_scope 3: root, too, reads no memory, is told so, and knows whose all of it is', async ({
  annotate,
}) => {
  writeFileSync('/proc/sys/kernel/yama/ptrace_scope', '3');
  const dir = channelFolder();
  const holder = await HeapHolder.alone(dir);
  await holder.tell('keep 4000 1000');
  const asked = async (...command: string[]) => {
    const { status, stdout, stderr } = await offheap([...command, '--dir', dir]);
    expect([status, stderr]).toEqual([0, '']);
    return JSON.parse(stdout);
  };
  const account: AccountReport = await asked('account', String(holder.pid), '--json');
  const snapshot: Snapshot = await asked('snapshot', String(holder.pid));
  await annotate([...account.problems, ...snapshot.completeness.degraded].join('; '));
  const refusal = `memory of process ${holder.pid} may not be read: kernel.yama.ptrace_scope is 3, for everybody and until the next boot; start the machine with a lower one`;
  expect(account).toMatchObject({ explainedPercent: 100, differenceBytes: 0, unexplainedBytes: 0 });
  expect(account.problems).toContain(`the inside of libc.so.6 can't be read: ${refusal}`);
  expect(snapshot.completeness.degraded.join('; ')).toContain(refusal);
  const heap = snapshot.owners.find(({ owner, kind }) => owner === 'libc.so.6' && kind === 'allocator');
  expect(heap?.residentBytes).toBeGreaterThan(4_000_000);
  await holder.leave();
});
