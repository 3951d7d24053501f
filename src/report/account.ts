import pc from 'picocolors';
import { askedLines } from './asked.js';
import { formatBytes, formatChange, formatCount, formatPercent, percentOf } from './bytes.js';
import { pinLines, savingsLines } from './savings.js';
import type { AccountNode, AccountReport, AccountUnexplained } from './schema.js';
import { printable } from './text.js';
import { isTold, verdictLines } from './verdict.js';
import { cut, padTo } from './width.js';

export interface AccountTreeOptions {
  columns: number;
  colors?: boolean;
  /** Children of a node that are shown; the rest is summed up. */
  children?: number;
  /** Unexplained ranges that are listed, the largest. */
  ranges?: number;
}

const BAR_COLUMNS = 20;
const NAME_MINIMUM = 24;

/** The account for people: what the kernel counts, the tree with bars, what is unexplained and what is doubtful. */
export function accountTree(account: AccountReport, options: AccountTreeOptions): string {
  const { columns, colors = false, children = 8, ranges = 10 } = options;
  const color = pc.createColors(colors);
  const bold = (line: string, index: number) => (index === 0 ? color.bold(line) : line);
  const sections = [headLines(account).map(bold), verdictOf(account, columns).map(bold)];
  if (account.tree === null) sections.push(ownerLines(account));
  else sections.push(treeLines(account.tree, columns, children));
  sections.push(askedLines(account), savingsLines(account), pinLines(account));
  const outside = account.outside.filter(({ residentBytes }) => residentBytes > 0);
  if (outside.length > 0) {
    sections.push([
      'beside the resident size:',
      ...outside.map(({ name, residentBytes }) => `  ${formatBytes(residentBytes)} ${printable(name)}`),
    ]);
  }
  const listed = account.unexplained
    .filter(({ residentBytes, swapBytes }) => residentBytes + swapBytes > 0)
    .sort((a, b) => heldBytes(b) - heldBytes(a));
  if (listed.length > 0) sections.push(unexplainedLines(listed, ranges));
  sections.push(doubts(account).map((line) => color.yellow(`! ${line}`)));
  return sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.map((line) => cut(line, columns + (line.length - plain(line)))).join('\n'))
    .join('\n\n');
}

/** Escape sequences take no columns. */
function plain(line: string): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours begin with this one.
  return line.replace(/\u001b\[[0-9;]*m/g, '').length;
}

function verdictOf({ recorded, verdict }: AccountReport, columns: number): string[] {
  // Who was looked at once, by a collector that came for it, is not told that this was too short.
  return recorded && isTold(verdict) ? verdictLines(verdict, columns) : [];
}

function headLines({ process, ...account }: AccountReport): string[] {
  const command = printable(process.command.join(' ')) || '?';
  const parts = [
    `resident ${formatBytes(account.totalBytes)}`,
    `anonymous ${formatBytes(account.anonymousBytes)}`,
    `files ${formatBytes(account.fileBytes)}`,
    `shared ${formatBytes(account.sharedBytes)}`,
    `swapped ${formatBytes(account.swapBytes)}`,
  ];
  const explained = `explained ${formatPercent(account.explainedPercent)} of anonymous and swapped memory`;
  const special = specialParts(account.special);
  return [
    `${command} (pid ${process.pid}), ${process.state}`,
    parts.join(' · '),
    explained,
    ...(special.length > 0 ? [`in it: ${special.join(' · ')}`] : []),
  ];
}

function specialParts(special: AccountReport['special']): string[] {
  if (special === null) return [];
  const { lazilyFreedBytes, mergedBytes, hugePageBytes, lockedBytes, sharedSwapBytes } = special;
  const parts: [number, string][] = [
    [lazilyFreedBytes, 'freed, and there until memory runs short (MADV_FREE)'],
    [hugePageBytes, 'in transparent huge pages'],
    [mergedBytes ?? 0, 'merged with pages of the same content (KSM)'],
    [lockedBytes, 'locked'],
    [sharedSwapBytes, 'of shared memory in swap, beside it'],
  ];
  return parts.filter(([bytes]) => bytes > 0).map(([bytes, what]) => `${formatBytes(bytes)} ${what}`);
}

function treeLines(root: AccountNode, columns: number, most: number): string[] {
  const whole = heldBytes(root);
  const lines: string[] = [];
  const nameColumns = Math.max(NAME_MINIMUM, columns - BAR_COLUMNS - 22);
  const line = (indent: string, name: string, bytes: number, note: string) => {
    const share = percentOf(bytes, whole);
    const size = `${formatBytes(bytes).padStart(9)} ${formatPercent(share).padStart(7)}`;
    const text = padTo(cut(`${indent}${printable(name)}${note}`, nameColumns), nameColumns);
    return `${size}  ${text}  ${bar(share)}`.trimEnd();
  };
  const visit = (node: AccountNode, indent: string) => {
    lines.push(line(indent, node.name, heldBytes(node), noteOf(node)));
    const held = node.children.filter((child) => heldBytes(child) > 0);
    for (const child of held.slice(0, most)) visit(child, `${indent}  `);
    const rest = held.slice(most);
    if (rest.length > 0) {
      const bytes = rest.reduce((sum, child) => sum + heldBytes(child), 0);
      lines.push(line(`${indent}  `, `… ${rest.length} more`, bytes, ''));
    }
  };
  visit(root, '');
  return lines;
}

function noteOf({ swapBytes, hugePageBytes }: AccountNode): string {
  const notes = [
    ...(swapBytes > 0 ? [`${formatBytes(swapBytes)} in swap`] : []),
    ...(hugePageBytes > 0 ? [`${formatBytes(hugePageBytes)} in huge pages`] : []),
  ];
  return notes.length === 0 ? '' : ` (${notes.join(', ')})`;
}

const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'] as const;

function bar(percent: number): string {
  const eighths = Math.round((percent * BAR_COLUMNS * 8) / 100);
  return '█'.repeat(Math.floor(eighths / 8)) + EIGHTHS[eighths % 8];
}

function ownerLines({ owners }: AccountReport): string[] {
  return owners
    .filter(({ residentBytes }) => residentBytes > 0)
    .sort((a, b) => b.residentBytes - a.residentBytes)
    .map(
      ({ owner, kind, residentBytes }) =>
        `${formatBytes(residentBytes).padStart(9)}  ${printable(owner)} (${kind})`,
    );
}

function unexplainedLines(listed: readonly AccountUnexplained[], most: number): string[] {
  const lines = listed.slice(0, most).map((range) => {
    const end = (Number(range.start) + range.bytes).toString(16);
    const age = range.ageSeconds === null ? '' : `, ${range.ageSeconds} s old`;
    const beside = [
      ...(range.below === null ? [] : [`above ${printable(range.below)}`]),
      ...(range.above === null ? [] : [`below ${printable(range.above)}`]),
    ];
    const where = beside.length === 0 ? '' : `, ${beside.join(', ')}`;
    return `  ${range.start.slice(2)}-${end} ${range.protection} ${formatBytes(heldBytes(range))} of ${formatBytes(range.bytes)}${age}${where}`;
  });
  const rest = listed.slice(most);
  if (rest.length > 0) {
    const bytes = rest.reduce((sum, range) => sum + heldBytes(range), 0);
    lines.push(`  … ${formatCount(rest.length, 'more range')} with ${formatBytes(bytes)}`);
  }
  return ['unexplained:', ...lines];
}

function doubts(account: AccountReport): string[] {
  const lines = account.problems.map(printable);
  if (!account.recorded) {
    lines.push(
      'this process is not recorded: only what the kernel tells by itself is known; start it with offheap run',
    );
  }
  if (account.differenceBytes !== 0) {
    lines.push(
      `the kernel counts ${formatChange(account.differenceBytes)} beside the tree: pages that came or went while it was read ${account.attempts} times`,
    );
  }
  return lines;
}

function heldBytes({ residentBytes, swapBytes }: { residentBytes: number; swapBytes: number }): number {
  return residentBytes + swapBytes;
}
