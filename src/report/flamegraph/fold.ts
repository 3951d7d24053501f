import { type FrameFilter, onlyFrames } from '../frame-filter.js';
import type { Snapshot, SnapshotFrame } from '../schema.js';
import { printable } from '../text.js';
import { enclosedName, type FlameSubject, type Held, heldOf, noStackName } from './held.js';
import { type FrameKind, frameKinds, ownerFrameKind } from './kind.js';
import { type FrameLabel, frameLabels } from './label.js';
import { foldPlumbing, plumbingOf } from './plumbing.js';

/** A frame of the folded tree: everything live whose stack goes through it. */
export interface FlameNode {
  name: string;
  /** Module, function, source line and owner: what the hover text adds. */
  detail: string;
  kind: FrameKind;
  /** Bytes that go through this frame; those of the children included. */
  bytes: number;
  /** Mappings or allocations that go through it. */
  count: number;
  children: Map<string, FlameNode>;
  /** Of a box that stands for several frames: their names. */
  inside?: Set<string>;
}

export interface FoldOptions {
  what?: FlameSubject | undefined;
  /** Draws what grew after that snapshot. */
  since?: Snapshot | undefined;
  /** Draws the frames of one language alone. */
  only?: FrameFilter | undefined;
  /** Draws frames that only lead from one function to the next, of the C library or an interpreter, as one box. */
  foldPlumbing?: boolean | undefined;
}

export interface Folded {
  root: FlameNode;
  what: FlameSubject;
  /** Mapped without any access: addresses set aside, which hold nothing; not in the tree. */
  reservedBytes: number;
  /** Growth only: bytes that stacks of the earlier snapshot have given back since; not in the tree. */
  shrunkBytes: number;
}

interface Tower {
  frames: FrameLabel[];
  bytes: number;
  count: number;
}

/**
 * The live bytes of a snapshot by stack, root first; with `since`, the bytes by which each stack grew after that
 * snapshot. An enclosing operation stands at the tip, as `[mmap inside munmap]`; what has no stack stands by owner
 * under one frame that says so. Reservations are left out: a runtime may set aside a hundred times what it uses.
 */
export function fold(snapshot: Snapshot, options: FoldOptions = {}): Folded {
  const { what = 'mappings', since } = options;
  const towers = towersOf(snapshot, options);
  let shrunkBytes = 0;
  for (const [key, before] of since === undefined ? [] : towersOf(since, options)) {
    const now = towers.get(key);
    shrunkBytes += Math.max(0, before.bytes - (now?.bytes ?? 0));
    if (now === undefined) continue;
    now.bytes -= before.bytes;
    now.count = Math.max(0, now.count - before.count);
    if (now.bytes <= 0) towers.delete(key);
  }

  const { command, pid } = snapshot.process;
  const root: FlameNode = {
    ...leafless(`${printable(command.join(' ')) || '?'} (pid ${pid})`),
    detail: 'the whole process',
  };
  for (const tower of towers.values()) {
    let node = root;
    node.bytes += tower.bytes;
    node.count += tower.count;
    for (const { name, detail, kind, inside } of tower.frames) {
      const key = `${name}\0${detail}`;
      let child = node.children.get(key);
      if (child === undefined) {
        child = { ...leafless(name), detail, kind };
        node.children.set(key, child);
      }
      child.bytes += tower.bytes;
      child.count += tower.count;
      if (inside !== undefined) child.inside = new Set([...(child.inside ?? []), ...inside]);
      node = child;
    }
  }
  return { root, what, reservedBytes: what === 'heap' ? 0 : reservedBytes(snapshot), shrunkBytes };
}

/** Children as they are drawn and written: most bytes first, names break ties. */
export function orderedChildren(node: FlameNode): FlameNode[] {
  return [...node.children.values()].sort((a, b) => b.bytes - a.bytes || (a.name < b.name ? -1 : 1));
}

function leafless(name: string): FlameNode {
  return { name, detail: '', kind: 'process', bytes: 0, count: 0, children: new Map() };
}

function reservedBytes({ mappings }: Snapshot): number {
  return mappings.reduce((sum, { bytes, reserved }) => sum + (reserved ? bytes : 0), 0);
}

/** Keyed by what the frames say, not by stack ids: those of two recordings differ. */
function towersOf(
  whole: Snapshot,
  { what = 'mappings', only, foldPlumbing }: FoldOptions,
): Map<string, Tower> {
  const snapshot = onlyFrames(whole, only);
  const drawing: Drawing = {
    label: frameLabels(),
    noStack: ({ stack }) => noStackName(what, only, whole.stacks[stack] !== undefined),
    folds: foldPlumbing ?? false,
  };
  const byStack = new Map<string, Tower>();
  for (const held of heldOf(snapshot, what)) {
    const { stack, owner, kind, enclosed } = held;
    const key = `${stack}\0${owner}\0${kind}\0${enclosed?.enclosing}\0${enclosed?.operation}`;
    let tower = byStack.get(key);
    if (tower === undefined) {
      tower = { frames: framesOf(snapshot, held, drawing), bytes: 0, count: 0 };
      byStack.set(key, tower);
    }
    tower.bytes += held.bytes;
    tower.count += held.count;
  }
  const towers = new Map<string, Tower>();
  for (const tower of byStack.values()) {
    const key = tower.frames.map(({ name, detail }) => `${name}\0${detail}`).join('\n');
    const same = towers.get(key);
    if (same === undefined) towers.set(key, tower);
    else {
      same.bytes += tower.bytes;
      same.count += tower.count;
    }
  }
  return towers;
}

/** How all frames of a picture are drawn. */
interface Drawing {
  label: (frame: SnapshotFrame) => FrameLabel;
  /** What stands for a stack without frames. */
  noStack: (held: Held) => string;
  folds: boolean;
}

function framesOf(snapshot: Snapshot, held: Held, { label, noStack, folds }: Drawing): Tower['frames'] {
  const { owner, kind, enclosed } = held;
  const stack = snapshot.stacks[held.stack] ?? [];
  const kinds = frameKinds(stack, held, (frame) => label(frame).kind);
  const plumbing = folds ? plumbingOf(stack) : [];
  const labelled = stack
    .map((frame, index) => ({
      ...label(frame),
      module: frame.module,
      kind: kinds[index] ?? 'unknown',
      plumbing: plumbing[index] ?? null,
    }))
    .reverse();
  const frames = folds ? foldPlumbing(labelled) : [...labelled];
  if (frames.length === 0) {
    frames.push(
      { name: noStack(held), detail: 'no stack is known', kind: 'unknown' },
      { name: printable(owner), detail: kind, kind: ownerFrameKind(kind) },
    );
  }
  if (enclosed !== undefined) {
    const { operation, enclosing } = enclosed;
    frames.push({
      name: enclosedName(enclosed),
      detail: `owner ${printable(owner)}: this ${operation} happened while the thread was inside ${enclosing}`,
      kind: 'enclosed',
    });
  }
  return frames;
}
