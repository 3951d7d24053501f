import type { ElfErrorCode } from '../modules/bounded-file.js';
import type { Module } from '../modules/table.js';

/**
 * Why a frame has no function's name: its file has no symbol there (stripped), is gone, was replaced or overwritten, can't
 * be read, makes no sense; the code was made at run time; or nobody knows what was mapped there.
 */
export const UNNAMED_REASONS = [
  'noSymbols',
  'fileGone',
  'fileReplaced',
  'fileUnreadable',
  'fileDamaged',
  'generatedCode',
  'unknownModule',
] as const;

export type UnnamedReason = (typeof UNNAMED_REASONS)[number];

/** What keeps a whole module from having names; null where nothing does. */
export function moduleFault(module: Module): UnnamedReason | null {
  const { path, elf, stale, problem, problemCode } = module;
  if (stale !== null) return 'fileReplaced';
  if (elf !== null) return null;
  if (problem !== null) return reasonOf(problemCode ?? 'elf/unreadable');
  return path === null ? 'generatedCode' : 'fileUnreadable';
}

export function reasonOf(code: ElfErrorCode): UnnamedReason {
  switch (code) {
    case 'elf/gone':
      return 'fileGone';
    case 'elf/replaced':
      return 'fileReplaced';
    case 'elf/unreadable':
      return 'fileUnreadable';
    case 'elf/not-elf':
    case 'elf/unsupported':
      return 'noSymbols';
    case 'elf/truncated':
    case 'elf/malformed':
    case 'elf/too-large':
      return 'fileDamaged';
  }
}
