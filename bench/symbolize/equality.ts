import { execFileSync } from 'node:child_process';
import { type Chain, NO_CHAIN } from '../../src/symbolize/lines/chain.js';
import { askInstalled, installedSymbolizers } from '../../src/symbolize/lines/installed-symbolizer.js';
import { SourceLines } from '../../src/symbolize/lines/source-lines.js';
import { plainRow, type Row, skippedRow } from '../support/row.js';
import { moduleOf, randomAddresses, variousBinaries } from './binaries.js';

const GROUP = 'other than llvm-symbolizer says, of 10,000 addresses';
const ADDRESSES = 10_000;
const TARGET_PERCENT = 0.1;
const LIMIT_MS = 120_000;
const SHOWN = 3;

/** One address at which the two say something else. */
export interface Difference {
  binary: string;
  address: number;
  kind: 'depth' | 'function' | 'file' | 'line';
  ours: Chain;
  theirs: Chain;
}

/** Compares functions, files, lines and inlined calls of random addresses in each binary. */
export async function equalityRows(report: (difference: Difference) => void): Promise<Row[]> {
  const llvm = installedSymbolizers().find(({ name }) => name === 'llvm-symbolizer');
  if (llvm === undefined) return [skippedRow(GROUP, 'all', 'llvm-symbolizer is not installed')];
  const rows: Row[] = [];
  for (const [what, { path, symbols: listed }] of variousBinaries()) {
    const module = moduleOf(path);
    const addresses = randomAddresses(path, ADDRESSES, 3);
    const lines = new SourceLines();
    for (const address of addresses) lines.want(module, address);
    await lines.settled();
    const theirs = await askInstalled(llvm, path, addresses, LIMIT_MS);
    const names = namesOf(listed);
    const kinds = new Map<Difference['kind'], number>();
    for (const [index, address] of addresses.entries()) {
      const chain = { ours: withLines(lines.chain(module, address) ?? NO_CHAIN), theirs: theirs[index]! };
      const kind = differenceOf(chain.ours, chain.theirs, names(address));
      if (kind === null) continue;
      const count = (kinds.get(kind) ?? 0) + 1;
      kinds.set(kind, count);
      if (count <= SHOWN) report({ binary: what, address, kind, ...chain });
    }
    lines.close();
    const different = [...kinds.values()].reduce((sum, count) => sum + count, 0);
    const percent = (100 * different) / ADDRESSES;
    const known = theirs.filter((chain) => chain.length > 0).length;
    const differences = [...kinds].map(([kind, count]) => `${count} in ${kind}`).join(', ');
    const note = `${known} with lines${differences === '' ? '' : `; ${differences}`}`;
    rows.push(plainRow({ group: GROUP, what, unit: '%', target: TARGET_PERCENT, note }, [percent]));
  }
  return rows;
}

/** All names that a symbol table has for the place before or at an address: aliases are one function. */
function namesOf(path: string): (address: number) => ReadonlySet<string> {
  const listing = execFileSync('nm', ['-n', path], { encoding: 'utf8', maxBuffer: 1 << 28, stdio: 'pipe' });
  const names = new Map<number, Set<string>>();
  for (const [, address, name] of listing.matchAll(/^([0-9a-f]+) [tTwWiV] (\S+)$/gm)) {
    const start = Number.parseInt(address!, 16);
    names.set(start, (names.get(start) ?? new Set()).add(withoutVersion(name!)));
  }
  const starts = Float64Array.from(names.keys()).sort();
  return (address) => {
    let low = 0;
    let high = starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (starts[middle]! <= address) low = middle + 1;
      else high = middle;
    }
    return names.get(starts[low - 1]!) ?? new Set();
  };
}

function withoutVersion(name: string): string {
  return name.replace(/@.*/, '');
}

function differenceOf(ours: Chain, theirs: Chain, symbols: ReadonlySet<string>): Difference['kind'] | null {
  if (ours.length !== theirs.length) return 'depth';
  for (const [index, mine] of ours.entries()) {
    const other = theirs[index]!;
    if (mine.file !== withoutDoubling(other.file)) return 'file';
    if (mine.line !== other.line) return 'line';
    const isWhole = index === ours.length - 1;
    const isAlias = isWhole && other.rawFunction !== null && symbols.has(withoutVersion(other.rawFunction));
    if (mine.rawFunction !== other.rawFunction && !isAlias) return 'function';
  }
  return null;
}

/** llvm-symbolizer puts a compilation's folder before itself where it is relative: "./csu/./csu/init.c". */
function withoutDoubling(file: string | null): string | null {
  return file?.replace(/^(\.\/.+?\/)\1/, '$1') ?? null;
}

/** Code that the compiler gives no line at all is told of by the one and not by the other. */
function withLines(chain: Chain): Chain {
  return chain.some(({ line }) => line !== null) ? chain : NO_CHAIN;
}
