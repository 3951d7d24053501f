import { type FlameNode, orderedChildren } from './fold.js';

/** One rectangle: `startBytes` from the left, `depth` rows below the root. */
export interface Box {
  node: FlameNode;
  depth: number;
  startBytes: number;
}

export interface Layout {
  boxes: Box[];
  /** What a box counts: "mapping". */
  noun: string;
  rows: number;
  /** Frames left out since nobody could see them. */
  hidden: { narrow: number; deep: number };
}

/** A frame this much narrower than the whole is under a tenth of a pixel on a wide screen. */
const NARROWEST = 1 / 10_000;
/** Runaway recursion would make a picture that no browser draws. */
const DEEPEST = 1_000;

export function layout(root: FlameNode, noun: string): Layout {
  const boxes: Box[] = [];
  const hidden = { narrow: 0, deep: 0 };
  let rows = 1;
  const pending: Box[] = [{ node: root, depth: 0, startBytes: 0 }];
  for (let box = pending.pop(); box !== undefined; box = pending.pop()) {
    boxes.push(box);
    rows = Math.max(rows, box.depth + 1);
    let startBytes = box.startBytes;
    for (const node of orderedChildren(box.node)) {
      if (node.bytes < root.bytes * NARROWEST) hidden.narrow += 1;
      else if (box.depth + 1 >= DEEPEST) hidden.deep += 1;
      else pending.push({ node, depth: box.depth + 1, startBytes });
      startBytes += node.bytes;
    }
  }
  return { boxes, noun, rows, hidden };
}
