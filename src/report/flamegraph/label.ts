import { lineName } from '../../symbolize/short-name.js';
import type { SnapshotFrame } from '../schema.js';
import { printable } from '../text.js';
import { type FrameKind, moduleKind } from './kind.js';

/** What a frame says on its own, whatever stack it stands in. */
export interface FrameLabel {
  name: string;
  detail: string;
  kind: FrameKind;
  /** Of a box that stands for several frames: their names. */
  inside?: readonly string[];
}

/** Labels each distinct frame once: the same few thousand make up all the stacks of a large snapshot. */
export function frameLabels(): (frame: SnapshotFrame) => FrameLabel {
  const labels = new Map<string, FrameLabel>();
  return (frame) => {
    const { module, function: name, file, line, inlined, language } = frame;
    // Of a function without a name its calls are told by where it begins, so that they fall together.
    const begin = frame.functionAddress ?? frame.fileAddress;
    const key = `${module}\0${name ?? begin}\0${file}\0${line}\0${inlined}\0${language}`;
    let label = labels.get(key);
    if (label === undefined) {
      const source = file === null ? null : `${file}${line === null ? '' : `:${line}`}`;
      // Code that is interpreted or made at run time stands in no module that would say more.
      const place = language === 'native' ? module : source === null ? language : null;
      const details = [place, source, inlined ? 'inlined' : null];
      label = {
        name: printable(name === null ? `${module}+${begin}` : lineName(name)),
        detail: printable(details.filter((each) => each !== null).join(', ')),
        kind: moduleKind(frame),
      };
      labels.set(key, label);
    }
    return label;
  };
}
