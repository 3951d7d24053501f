import { lineName } from '../../symbolize/short-name.js';
import type { Snapshot, SnapshotFrame } from '../schema.js';
import { printable } from '../text.js';
import type { FoldOptions } from './fold.js';
import { functionName, type StackSample, stackSamples } from './samples.js';

/** The name of the format: speedscope's own reader goes by it, and loads nothing from there. */
const SCHEMA = 'https://www.speedscope.app/file-format-schema.json';

interface SpeedscopeFrame {
  name: string;
  file?: string;
  line?: number;
}

/** A file of speedscope's: one profile whose stacks are weighed in bytes. */
export function speedscopeFile(snapshot: Snapshot, options: FoldOptions): string {
  const samples = stackSamples(snapshot, options);
  const frames: SpeedscopeFrame[] = [];
  const indices = new Map<string, number>();
  const indexOf = (frame: SpeedscopeFrame): number => {
    const key = `${frame.name}\0${frame.file}\0${frame.line}`;
    let index = indices.get(key);
    if (index === undefined) {
      index = frames.push(frame) - 1;
      indices.set(key, index);
    }
    return index;
  };
  const { command, pid } = snapshot.process;
  const name = `${printable(command.join(' ')) || '?'} (pid ${pid})`;
  return `${JSON.stringify({
    $schema: SCHEMA,
    exporter: 'offheap',
    name,
    shared: { frames },
    profiles: [
      {
        type: 'sampled',
        name,
        unit: 'bytes',
        startValue: 0,
        endValue: samples.reduce((sum, { bytes }) => sum + bytes, 0),
        // Root first.
        samples: samples.map((sample) => framesOf(sample).map(indexOf)),
        weights: samples.map(({ bytes }) => bytes),
      },
    ],
  })}\n`;
}

function framesOf({ frames, tip, owner }: StackSample): SpeedscopeFrame[] {
  const named = frames.map(frameOf).reverse();
  if (tip === null) return named;
  const ownerFrames = frames.length === 0 ? [{ name: printable(owner) }] : [];
  return [...named, { name: tip }, ...ownerFrames];
}

function frameOf(described: SnapshotFrame): SpeedscopeFrame {
  const { module, file, line } = described;
  const frame: SpeedscopeFrame = { name: printable(lineName(functionName(described))) };
  // Where the source isn't known, the module tells most.
  frame.file = printable(file ?? module);
  if (file !== null && line !== null) frame.line = line;
  return frame;
}
