import type { ElfFile } from '../../modules/elf.js';
import { SHT_NOBITS } from '../../modules/elf-sections.js';
import type { LinesRequest } from './worker-message.js';

/** Where a module's debug information is. */
export type DebugSource = Pick<LinesRequest, 'module' | 'alternate'>;

/** Whether a file has the sections that tell lines; files that point to separate debug files have not. */
export function hasDebugInformation(elf: ElfFile): boolean {
  return elf.sections.some(
    ({ name, type }) => (name === '.debug_info' || name === '.zdebug_info') && type !== SHT_NOBITS,
  );
}

/** Null where there is none. */
export function debugSource(elf: ElfFile): DebugSource | null {
  const { sharedPath: path, identity } = elf.file;
  if (path === null || !hasDebugInformation(elf)) return null;
  return { module: { path, identity }, alternate: null };
}
