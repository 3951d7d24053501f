import { expect } from 'vitest';
import type { AccountNode } from '../../src/account/tree.js';

/** A node's figures are the sums of its children's, all the way down. */
export function checkSums(node: AccountNode): void {
  if (node.children.length === 0) return;
  for (const field of ['residentBytes', 'swapBytes', 'anonymousBytes'] as const) {
    expect([node.name, field, node[field]]).toEqual([
      node.name,
      field,
      node.children.reduce((sum, child) => sum + child[field], 0),
    ]);
  }
  for (const child of node.children) checkSums(child);
}
