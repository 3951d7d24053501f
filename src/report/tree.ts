import { formatBytes, formatPercent, percentOf } from './bytes.js';
import { type FlameNode, fold, orderedChildren } from './flamegraph/fold.js';
import type { Snapshot } from './schema.js';
import { cut } from './width.js';

export interface TreeOptions {
  columns: number;
  /** Branches below this share of the whole are summed up, in percent. */
  leastPercent?: number;
  since?: Snapshot;
}

/**
 * The call tree, root first. A frame with one caller below and one callee above stays at its caller's depth, so that a
 * deep stack doesn't run off the right edge: only a branch indents.
 */
export function callTree(snapshot: Snapshot, options: TreeOptions): string {
  const { columns, leastPercent = 1, since } = options;
  const { root } = fold(snapshot, { since });
  const lines: string[] = [];
  const pending: { node: FlameNode; indent: string }[] = [{ node: root, indent: '' }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { node, indent } = next;
    const size = formatBytes(node.bytes).padStart(9);
    const share = formatPercent(percentOf(node.bytes, root.bytes)).padStart(7);
    const module = node.kind === 'process' || node.kind === 'enclosed' ? '' : ` (${node.detail})`;
    lines.push(cut(`${size} ${share}  ${indent}${node.name}${module}`, columns));

    const children = orderedChildren(node);
    const least = (root.bytes * leastPercent) / 100;
    const shown = children.filter((child) => child.bytes >= least);
    const small = children.slice(shown.length);
    const inner = children.length > 1 ? `${indent}  ` : indent;
    if (small.length > 0) {
      const rest = small.reduce((sum, child) => sum + child.bytes, 0);
      lines.push(
        cut(`${formatBytes(rest).padStart(9)} ${''.padStart(7)}  ${inner}… ${small.length} more`, columns),
      );
    }
    for (const child of shown.reverse()) pending.push({ node: child, indent: inner });
  }
  return lines.join('\n');
}
