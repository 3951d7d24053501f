import { formatBytes } from '../report/bytes.js';
import { growingOwners, heldBytes, isTooShort, largestHolder, totalGrowth } from '../report/culprit.js';
import type { FrameFilter } from '../report/frame-filter.js';
import { type Overview, overviewOf, shownStacks } from '../report/overview.js';
import { reportTable } from '../report/table.js';
import { printable } from '../report/text.js';
import { cut, stringWidth } from '../report/width.js';
import type { LaunchedSession } from '../session/index.js';
import type { Session } from '../session/session.js';
import { columnsOf, wantsColors } from './streams.js';

/** A build starts processes by the thousand; those that hold most are worth a line. */
const CHILDREN_SHOWN = 5;
/** Children that get a table of their own: a shell that starts the server is not what grows. */
const GROWING_SHOWN = 3;

/** What `run` says at the end: the command's table, those of its growing children, and a line about the others. */
export async function runReport(session: LaunchedSession, only?: FrameFilter): Promise<string> {
  const style = { columns: columnsOf(process.stderr), colors: wantsColors(process.stderr) };
  const own = await withLines(session, only);
  const children = await Promise.all(session.children().map((child) => withLines(child, only)));
  const growing = children
    .filter((child) => !isTooShort(child) && growingOwners(child).length > 0)
    .sort((a, b) => totalGrowth(b) - totalGrowth(a))
    .slice(0, GROWING_SHOWN);
  const others = children.filter((child) => !growing.includes(child));
  const sections = [
    // Why there is nothing was said at the start; an empty table would only hide it.
    isEmpty(own) ? '' : reportTable(own, style),
    ...growing.map((child) => reportTable(child, style)),
    childLines(others, session.forgottenChildren(), style.columns).join('\n'),
  ];
  const said = sections.filter((section) => section !== '').join('\n\n');
  // The command's own last line stands above.
  return said === '' ? '' : `\n${said}\n`;
}

/** With the lines of source of the stacks that are shown. */
async function withLines(session: Session, only?: FrameFilter): Promise<Overview> {
  const snapshot = session.snapshot();
  const shown = shownStacks(overviewOf(snapshot, only));
  return overviewOf(await session.withLines(snapshot, shown), only);
}

function isEmpty({ completeness, owners }: Overview): boolean {
  return completeness.mappingEvents === 0 && owners.length === 0;
}

function childLines(children: readonly Overview[], forgotten: number, columns: number): string[] {
  const sorted = [...children].sort((a, b) => heldBytes(b) - heldBytes(a));
  const lines = sorted.slice(0, CHILDREN_SHOWN).map((child) => {
    const { pid, command, state } = child.process;
    const holder = largestHolder(child);
    const mostly = holder === undefined ? '' : `, most by ${holder}`;
    const about = `: ${state}; ${formatBytes(heldBytes(child))}${mostly}`;
    const name = `child ${pid} ${printable(command.join(' '))}`;
    return cut(`${cut(name, Math.max(24, columns - stringWidth(about)))}${about}`, columns);
  });
  const rest = sorted.slice(CHILDREN_SHOWN);
  const running = rest.filter(({ process }) => process.state === 'running').length;
  const ended = rest.length - running + forgotten;
  if (running > 0) lines.push(`… and ${running.toLocaleString('en-US')} more that run on`);
  if (ended > 0) lines.push(`… and ${ended.toLocaleString('en-US')} more that ended`);
  return lines;
}
