import type { Command } from 'commander';
import { Option } from 'commander';
import type { FrameFilter } from '../report/frame-filter.js';

/** What a command was told of the frames that it shows. */
export interface FrameOptions {
  nativeOnly?: boolean;
  pythonOnly?: boolean;
}

/** Offers the options by which stacks are narrowed down to one language. */
export function withFrameOptions(command: Command): Command {
  return command
    .addOption(new Option('--native-only', 'of stacks, frames of native code alone').conflicts('pythonOnly'))
    .addOption(new Option('--python-only', 'of stacks, frames of Python alone').conflicts('nativeOnly'));
}

export function filterOf({ nativeOnly, pythonOnly }: FrameOptions): FrameFilter | undefined {
  if (nativeOnly) return 'native';
  return pythonOnly ? 'python' : undefined;
}
