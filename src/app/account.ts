import { accountTree } from '../report/account.js';
import type { AccountReport, TrimReport } from '../report/schema.js';
import { trimLines } from '../report/trim.js';
import { OffheapError } from '../wire/error.js';
import { connectOrAttach } from './connect.js';
import { columnsOf, print, waiting, wantsColors } from './streams.js';

export interface AccountOptions {
  dir?: string;
  json?: boolean;
  /** Have the process give memory back first. */
  trim?: boolean;
}

interface Taken {
  report: AccountReport;
  trim?: TrimReport;
}

/** `offheap account`: as a tree for people, or as JSON. */
export async function account(pid: number, { json, ...options }: AccountOptions): Promise<void> {
  const { report, trim } = await waiting(`reading process ${pid}`, take(pid, options));
  if (json) return print(JSON.stringify(trim === undefined ? report : { ...report, trim }));
  const { stdout } = process;
  const columns = columnsOf(stdout);
  const tree = accountTree(report, { columns, colors: wantsColors(stdout) });
  return print(trim === undefined ? tree : `${trimLines(trim, columns).join('\n')}\n\n${tree}`);
}

async function take(pid: number, { dir, trim }: AccountOptions): Promise<Taken> {
  try {
    const collector = await connectOrAttach(pid, { ...(dir === undefined ? {} : { dir }) });
    try {
      return trim
        ? { trim: await collector.trim(), report: await collector.account() }
        : { report: await collector.account() };
    } finally {
      await collector.close();
    }
  } catch (error) {
    // Nobody can ask a process for something that has no shim.
    if (trim || !(error instanceof OffheapError) || error.code !== 'NO_CHANNEL') throw error;
    const { accountUnrecorded } = await import('../session/index.js');
    return { report: accountUnrecorded(pid) };
  }
}
