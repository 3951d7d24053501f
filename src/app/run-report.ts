import { formatBytes } from '../report/bytes.js';
import { overviewOf } from '../report/overview.js';
import type { Snapshot } from '../report/schema.js';
import { reportTable } from '../report/table.js';
import { printable } from '../report/text.js';
import type { LaunchedSession } from '../session/index.js';
import { columnsOf, wantsColors } from './streams.js';

/** A build starts processes by the thousand; those that hold most are worth a line. */
const CHILDREN_SHOWN = 10;

/** What `run` says at the end: the command's table, and a line about each of the largest children. */
export function runReport(session: LaunchedSession): string {
  const about = session.snapshot();
  const lines: string[] = [];
  if (about.completeness.mappingEvents === 0 && about.mappings.length === 0) {
    // An empty table would only hide why it is empty.
    lines.push(...about.completeness.degraded.map((reason) => `offheap: ${printable(reason)}`));
  } else {
    const style = { columns: columnsOf(process.stderr), colors: wantsColors(process.stderr) };
    lines.push(reportTable(overviewOf(about), style));
  }
  lines.push(...childLines(session));
  return `${lines.join('\n')}\n`;
}

function childLines(session: LaunchedSession): string[] {
  const children = session
    .children()
    .map((child) => child.snapshot())
    .map((snapshot) => ({ snapshot, bytes: heldBytes(snapshot) }))
    .sort((a, b) => b.bytes - a.bytes);
  const lines = children.slice(0, CHILDREN_SHOWN).map(({ snapshot: { process, owners }, bytes }) => {
    const largest = [...owners].sort((a, b) => b.bytes - b.reservedBytes - (a.bytes - a.reservedBytes))[0];
    const mostly = largest === undefined ? '' : `, most by ${printable(largest.owner)}`;
    const command = printable(process.command.join(' '));
    return `child ${process.pid} ${command}: ${process.state}; ${formatBytes(bytes)}${mostly}`;
  });
  const rest = children.slice(CHILDREN_SHOWN);
  const running = rest.filter(({ snapshot }) => snapshot.process.state === 'running').length;
  const ended = rest.length - running + session.forgottenChildren();
  if (running > 0) lines.push(`… and ${running.toLocaleString('en-US')} more that run on`);
  if (ended > 0) lines.push(`… and ${ended.toLocaleString('en-US')} more that ended`);
  return lines;
}

/** Mapped bytes; addresses set aside hold nothing. */
function heldBytes({ owners }: Snapshot): number {
  return owners.reduce((total, { bytes, reservedBytes }) => total + bytes - reservedBytes, 0);
}
