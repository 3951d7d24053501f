import type { Snapshot, SnapshotFrame, SnapshotMapping } from '../schema.js';
import { printable } from '../text.js';
import { type FrameKind, frameKinds, ownerFrameKind } from './kind.js';
import { type FrameLabel, frameLabels } from './label.js';

/** A frame of the folded tree: everything live whose stack goes through it. */
export interface FlameNode {
  name: string;
  /** Module, function, source line and owner: what the hover text adds. */
  detail: string;
  kind: FrameKind;
  /** Bytes that go through this frame; those of the children included. */
  bytes: number;
  mappings: number;
  children: Map<string, FlameNode>;
}

export interface Folded {
  root: FlameNode;
  /** Mapped without any access: addresses set aside, which hold nothing; not in the tree. */
  reservedBytes: number;
  /** Growth only: bytes that stacks of the earlier snapshot have given back since; not in the tree. */
  shrunkBytes: number;
}

export const NO_STACK = '[mapped before the recording began]';

interface Tower {
  frames: FrameLabel[];
  bytes: number;
  mappings: number;
}

/**
 * The live bytes of a snapshot by stack, root first; with `since`, the bytes by which each stack grew after that
 * snapshot. An enclosing operation stands at the tip, as `[mmap inside munmap]`; what has no stack stands by owner
 * under one frame that says so. Reservations are left out: a runtime may set aside a hundred times what it uses.
 */
export function fold(snapshot: Snapshot, since?: Snapshot): Folded {
  const towers = towersOf(snapshot);
  let shrunkBytes = 0;
  for (const [key, before] of since === undefined ? [] : towersOf(since)) {
    const now = towers.get(key);
    shrunkBytes += Math.max(0, before.bytes - (now?.bytes ?? 0));
    if (now === undefined) continue;
    now.bytes -= before.bytes;
    now.mappings = Math.max(0, now.mappings - before.mappings);
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
    node.mappings += tower.mappings;
    for (const { name, detail, kind } of tower.frames) {
      const key = `${name}\0${detail}`;
      let child = node.children.get(key);
      if (child === undefined) {
        child = { ...leafless(name), detail, kind };
        node.children.set(key, child);
      }
      child.bytes += tower.bytes;
      child.mappings += tower.mappings;
      node = child;
    }
  }
  return { root, reservedBytes: reservedBytes(snapshot), shrunkBytes };
}

/** Children as they are drawn and written: most bytes first, names break ties. */
export function orderedChildren(node: FlameNode): FlameNode[] {
  return [...node.children.values()].sort((a, b) => b.bytes - a.bytes || (a.name < b.name ? -1 : 1));
}

function leafless(name: string): FlameNode {
  return { name, detail: '', kind: 'process', bytes: 0, mappings: 0, children: new Map() };
}

function reservedBytes({ mappings }: Snapshot): number {
  return mappings.reduce((sum, { bytes, reserved }) => sum + (reserved ? bytes : 0), 0);
}

/** Keyed by what the frames say, not by stack ids: those of two recordings differ. */
function towersOf(snapshot: Snapshot): Map<string, Tower> {
  const label = frameLabels();
  const byStack = new Map<string, Tower>();
  for (const mapping of snapshot.mappings) {
    if (mapping.reserved) continue;
    const key = `${mapping.stack}\0${mapping.owner}\0${mapping.kind}\0${mapping.enclosing}\0${mapping.operation}`;
    let tower = byStack.get(key);
    if (tower === undefined) {
      tower = { frames: framesOf(snapshot, mapping, label), bytes: 0, mappings: 0 };
      byStack.set(key, tower);
    }
    tower.bytes += mapping.bytes;
    tower.mappings += 1;
  }
  const towers = new Map<string, Tower>();
  for (const tower of byStack.values()) {
    const key = tower.frames.map(({ name, detail }) => `${name}\0${detail}`).join('\n');
    const same = towers.get(key);
    if (same === undefined) towers.set(key, tower);
    else {
      same.bytes += tower.bytes;
      same.mappings += tower.mappings;
    }
  }
  return towers;
}

function framesOf(
  snapshot: Snapshot,
  mapping: SnapshotMapping,
  label: (frame: SnapshotFrame) => FrameLabel,
): Tower['frames'] {
  const { owner, kind, enclosing, operation } = mapping;
  const stack = snapshot.stacks[mapping.stack] ?? [];
  const kinds = frameKinds(stack, mapping, (frame) => label(frame).kind);
  const frames = stack.map((frame, index) => ({ ...label(frame), kind: kinds[index] ?? 'unknown' }));
  frames.reverse();
  if (frames.length === 0) {
    frames.push(
      { name: NO_STACK, detail: 'no stack is known', kind: 'unknown' },
      { name: printable(owner), detail: kind, kind: ownerFrameKind(kind) },
    );
  }
  if (enclosing !== null) {
    frames.push({
      name: `[${operation} inside ${enclosing}]`,
      detail: `owner ${printable(owner)}: this ${operation} happened while the thread was inside ${enclosing}`,
      kind: 'enclosed',
    });
  }
  return frames;
}
