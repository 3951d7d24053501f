import type { PythonCode } from '../drain/python-codes.js';
import type { Frame } from './frame.js';

const UNKNOWN_MODULE = '[python]';

/** Folders that modules are looked for in, as far as a path shows them. */
const SEARCH_FOLDER =
  /^.*\/(?:site-packages|dist-packages|lib-dynload|lib\/python3\.\d+t?|python3\d*\.zip)\//;

/** Describes a position in a Python function; `code` is null where its name is unknown, `line` 0 where it has none. */
export function describePythonFrame(code: PythonCode | null, line: number): Frame {
  return {
    module: code === null ? UNKNOWN_MODULE : pythonModule(code.file),
    function: code === null ? null : printable(code.name),
    file: code === null ? null : printable(code.file),
    line: line === 0 ? null : line,
    inlined: false,
    language: 'python',
    address: '0x0',
    fileAddress: '0x0',
    ...(code === null ? { unnamed: 'unknownModule' } : {}),
  };
}

/**
 * The module whose code a file is, by where it lies: `json.decoder` for …/lib/python3.11/json/decoder.py. Outside the
 * folders that packages are installed in only the file's own name is known, or that of its package's folder.
 */
export function pythonModule(file: string): string {
  const frozen = /^<frozen (.+)>$/.exec(file)?.[1];
  if (frozen !== undefined) return printable(frozen);
  if (!file.endsWith('.py')) return printable(file.startsWith('<') ? file : baseName(file));
  const inside = file.replace(SEARCH_FOLDER, '');
  const parts = inside.slice(0, -'.py'.length).split('/');
  const isPackage = parts.at(-1) === '__init__' && parts.length > 1;
  if (isPackage) parts.pop();
  return printable(inside === file ? parts.at(-1)! : parts.join('.'));
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** What a process says of itself may hold anything, escape sequences of a terminal included. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, '?');
}
