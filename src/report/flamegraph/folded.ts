import { type FlameNode, orderedChildren } from './fold.js';

/**
 * One line per stack, root first: `process;main;…;mmap 151552`, weights in bytes. The form that flamegraph.pl,
 * inferno and speedscope read.
 */
export function foldedText(root: FlameNode): string {
  const lines: string[] = [];
  // Not recursive: a stack may be deeper than JavaScript's own.
  const pending: { node: FlameNode; path: string }[] = [{ node: root, path: segment(root.name) }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { node, path } = next;
    const children = orderedChildren(node);
    const self = node.bytes - children.reduce((sum, child) => sum + child.bytes, 0);
    if (self > 0) lines.push(`${path} ${self}\n`);
    for (const child of children.reverse()) {
      pending.push({ node: child, path: `${path};${segment(child.name)}` });
    }
  }
  return lines.join('');
}

/** `;` separates frames, so a name can't hold one. */
function segment(name: string): string {
  return name.replaceAll(';', ':');
}
