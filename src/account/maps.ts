import { readProcessFile } from './process-file.js';

/** Bytes [start, end). */
export interface Range {
  start: number;
  end: number;
}

/**
 * What stands behind a mapping's pages:
 * `anonymous`: private memory without a file, heap and stacks included;
 * `sharedAnonymous`: shared memory without a name: MAP_SHARED | MAP_ANONYMOUS, System V segments;
 * `sharedFile`: shared memory by descriptor: memfd, files in /dev/shm;
 * `file`: all other files; `kernel`: mapped by the kernel itself (vdso).
 */
export type MappingKind = 'anonymous' | 'sharedAnonymous' | 'sharedFile' | 'file' | 'kernel';

/** A line of /proc/PID/maps. */
export interface ProcMapping extends Range {
  readable: boolean;
  writable: boolean;
  executable: boolean;
  shared: boolean;
  /** Bytes into the file. */
  offset: number;
  /** `major:minor`, hexadecimal. */
  device: string;
  inode: number;
  /** Empty for plain anonymous memory; a name in brackets where the kernel gives one; without " (deleted)". */
  path: string;
  deleted: boolean;
  kind: MappingKind;
}

const DELETED = ' (deleted)';
const KERNEL = new Set([
  '[vdso]',
  '[vvar]',
  '[vvar_vclock]',
  '[vsyscall]',
  '[uprobes]',
  '[sigpage]',
  '[vectors]',
]);

/** Parses /proc/PID/maps, in address order. A line cut short (the process ended meanwhile) is left out. */
export function parseMaps(text: string): ProcMapping[] {
  const mappings: ProcMapping[] = [];
  for (let at = 0; at < text.length; ) {
    const lineEnd = text.indexOf('\n', at);
    if (lineEnd < 0) break;
    const mapping = parseLine(text.slice(at, lineEnd));
    if (mapping) mappings.push(mapping);
    at = lineEnd + 1;
  }
  return mappings;
}

// Field by field, not by a regular expression: three times as fast, and a large process has thousands of lines.
function parseLine(line: string): ProcMapping | undefined {
  const dash = line.indexOf('-');
  const permissions = line.indexOf(' ', dash) + 1;
  const offset = permissions + 5;
  const device = line.indexOf(' ', offset) + 1;
  const inode = line.indexOf(' ', device) + 1;
  if (dash < 0 || permissions === 0 || device === 0 || inode === 0) return undefined;
  let inodeEnd = line.indexOf(' ', inode);
  if (inodeEnd < 0) inodeEnd = line.length;
  let path = inodeEnd;
  while (line[path] === ' ') path++;
  let name = line.slice(path);
  const deleted = name.endsWith(DELETED);
  if (deleted) name = name.slice(0, -DELETED.length);
  // The kernel escapes line feeds in names, and nothing else.
  if (name.includes('\\012')) name = name.replaceAll('\\012', '\n');
  const shared = line[permissions + 3] === 's';
  return {
    start: Number.parseInt(line.slice(0, dash), 16),
    end: Number.parseInt(line.slice(dash + 1, permissions - 1), 16),
    readable: line[permissions] === 'r',
    writable: line[permissions + 1] === 'w',
    executable: line[permissions + 2] === 'x',
    shared,
    offset: Number.parseInt(line.slice(offset, device - 1), 16),
    device: line.slice(device, inode - 1),
    inode: Number.parseInt(line.slice(inode, inodeEnd), 10),
    path: name,
    deleted,
    kind: kindOf(name, shared, deleted),
  };
}

function kindOf(path: string, shared: boolean, deleted: boolean): MappingKind {
  if (path === '') return 'anonymous';
  if (path[0] === '[') {
    if (path.startsWith('[anon_shmem:')) return 'sharedAnonymous';
    return KERNEL.has(path) ? 'kernel' : 'anonymous';
  }
  // A private mapping of /dev/zero is plain memory; a shared one is a nameless file of its own, always "deleted".
  if (path === '/dev/zero' || path === '/anon_hugepage') return shared ? 'sharedAnonymous' : 'anonymous';
  if (deleted && path.startsWith('/SYSV')) return 'sharedAnonymous';
  if (path.startsWith('/memfd:') || path.startsWith('/dev/shm/')) return 'sharedFile';
  return 'file';
}

/** The mappings of a process as the kernel lists them; none when it has ended but was not waited for. */
export function readMaps(pid: number): ProcMapping[] {
  return parseMaps(readProcessFile(pid, 'maps'));
}
