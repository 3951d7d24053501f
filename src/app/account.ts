import { accountTree } from '../report/account.js';
import type { AccountReport } from '../report/schema.js';
import { OffheapError } from '../wire/error.js';
import { connectOrAttach } from './connect.js';
import { columnsOf, print, waiting, wantsColors } from './streams.js';

/** `offheap account`: as a tree for people, or as JSON. */
export async function account(pid: number, { dir, json }: { dir?: string; json?: boolean }): Promise<void> {
  const report = await waiting(`reading process ${pid}`, take(pid, dir));
  if (json) return print(JSON.stringify(report));
  const { stdout } = process;
  return print(accountTree(report, { columns: columnsOf(stdout), colors: wantsColors(stdout) }));
}

async function take(pid: number, dir: string | undefined): Promise<AccountReport> {
  try {
    const collector = await connectOrAttach(pid, { ...(dir === undefined ? {} : { dir }) });
    try {
      return await collector.account();
    } finally {
      await collector.close();
    }
  } catch (error) {
    if (!(error instanceof OffheapError) || error.code !== 'NO_CHANNEL') throw error;
    const { accountUnrecorded } = await import('../session/index.js');
    return accountUnrecorded(pid);
  }
}
