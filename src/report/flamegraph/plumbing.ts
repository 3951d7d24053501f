import {
  JAVA_MODULES,
  JAVASCRIPT_MODULES,
  matches,
  PYTHON_MODULES,
  RUNTIME_MODULES,
  V8_BUILTIN,
} from '../../ledger/plumbing.js';
import type { SnapshotFrame } from '../schema.js';
import type { FrameLabel } from './label.js';

const ENGINE_MODULES: Record<SnapshotFrame['language'], readonly RegExp[]> = {
  native: [],
  python: PYTHON_MODULES,
  javascript: JAVASCRIPT_MODULES,
  java: JAVA_MODULES,
};
/** Modules that a folded box names. */
const MOST_MODULES = 3;

/** Why a frame says little: it relays calls, or is how an interpreter or engine gets from one function to the next. */
type Plumbing = 'runtime' | 'engine' | null;

/** Which frames of a stack can be folded; leaf first, as the stack. */
export function plumbingOf(stack: readonly SnapshotFrame[]): Plumbing[] {
  // What the engine does below the last function is not on the way to another one.
  const innermost = stack.findIndex((frame) => frame.language !== 'native' && !isNodeOwn(frame));
  const engines = new Set(stack.flatMap(({ language }) => ENGINE_MODULES[language]));
  return stack.map((frame, index) => {
    const { language, module, function: name } = frame;
    const isBetween = innermost >= 0 && index > innermost;
    if (language !== 'native') return isBetween && isNodeOwn(frame) ? 'engine' : null;
    if (V8_BUILTIN.test(name ?? '')) return 'engine';
    // Stubs and the JVM's interpreter: code made at run time that is nobody's function.
    if (isBetween && (matches([...engines], module) || module.startsWith('[anon'))) return 'engine';
    return matches(RUNTIME_MODULES, module) ? 'runtime' : null;
  });
}

/** JavaScript that is Node's: `node:internal/modules/cjs/loader`. */
function isNodeOwn({ language, file }: SnapshotFrame): boolean {
  return language === 'javascript' && (file?.startsWith('node:') ?? false);
}

/** A frame on its way to the picture. */
export interface FoldableFrame extends FrameLabel {
  module: string;
  plumbing: Plumbing;
}

/**
 * Replaces each run of plumbing by one box. The box is named by modules alone, so that functions that call each other by
 * different ways through an interpreter meet again behind it. A lone frame of a runtime library stays: it may say much.
 */
export function foldPlumbing(frames: readonly FoldableFrame[]): FrameLabel[] {
  const folded: FrameLabel[] = [];
  for (let from = 0; from < frames.length; ) {
    let to = from;
    while (to < frames.length && isFoldable(frames[to]!)) to++;
    const run = frames.slice(from, to);
    if (run.length > 1 || run[0]?.plumbing === 'engine') {
      folded.push(boxOf(run));
      from = to;
    } else {
      folded.push(frames[from]!);
      from++;
    }
  }
  return folded;
}

/** What an allocator has mapped is not relayed by it. */
function isFoldable({ plumbing, kind }: FoldableFrame): boolean {
  return plumbing !== null && kind !== 'allocator';
}

function boxOf(run: readonly FoldableFrame[]): FrameLabel {
  const modules = [...new Set(run.map(({ module }) => module))].filter((name) => !name.startsWith('['));
  const named = modules.slice(0, MOST_MODULES).sort().join(', ') || 'made at run time';
  const isMore = modules.length > MOST_MODULES;
  return {
    name: `⋯ ${named}${isMore ? ', …' : ''}`,
    detail: 'folded',
    kind: 'plumbing',
    inside: run.map(({ name }) => name),
  };
}
