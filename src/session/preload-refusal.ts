import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { ElfError } from '../modules/bounded-file.js';
import { ElfStore } from '../modules/elf-store.js';

const SET_ID_BITS = 0o6000;
const PT_INTERP = 3;

/** Why a command left no channel: the loader ignored the preload, or the shim could not make one. One line. */
export function whyUnrecorded(command: string): string {
  const path = findCommand(command);
  if (path === undefined) return `${command} left no channel; nothing was recorded`;
  if ((statSync(path).mode & SET_ID_BITS) !== 0 && process.geteuid?.() !== 0) {
    return `${path} is setuid or setgid, so the loader ignores the shim; run it as its owner`;
  }
  if (!usesLoader(path)) {
    return `${path} is statically linked, so there is no loader to load the shim; nothing was recorded`;
  }
  return `${path} left no channel: its shared-memory file system may be full or it runs elsewhere; try --dir`;
}

function findCommand(command: string): string | undefined {
  const candidates = command.includes('/')
    ? [command]
    : (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, command));
  return candidates.find((candidate) => {
    try {
      accessSync(candidate, constants.X_OK);
      return statSync(candidate).isFile();
    } catch {
      return false;
    }
  });
}

function usesLoader(path: string): boolean {
  try {
    return new ElfStore().open(path).segments.some(({ type }) => type === PT_INTERP);
  } catch (error) {
    // A script: its interpreter is another matter.
    if (error instanceof ElfError) return true;
    throw error;
  }
}
