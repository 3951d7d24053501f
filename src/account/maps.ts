import { ADDRESS_LIMIT } from '../ledger/memory-abi.js';
import { type MappingColumns, mappings } from '../wire/addon.js';
import { asked, readProcessFile } from './process-file.js';

/** Bytes [start, end). */
export interface Range {
  start: number;
  end: number;
}

/**
 * What stands behind a mapping's pages:
 * `anonymous`: private memory without a file, heap and stacks included;
 * `sharedAnonymous`: shared memory without a name: MAP_SHARED | MAP_ANONYMOUS, System V segments;
 * `sharedFile`: shared memory by descriptor: memfd, memfd_secret, files in /dev/shm;
 * `file`: all other files; `kernel`: mapped by the kernel itself (vdso).
 */
export type MappingKind = 'anonymous' | 'sharedAnonymous' | 'sharedFile' | 'file' | 'kernel';

/** A mapping as the kernel lists it: a line of /proc/PID/maps. */
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
  /** 4096, or more for explicit huge pages; the text tells only of those without a file. */
  pageBytes: number;
}

const DELETED = ' (deleted)';
/** By memfd_secret: memory that the kernel itself can't reach. It counts as a file's. */
export const SECRET_MEMORY = '/secretmem';
const PAGE_BYTES = 4096;
const HUGE_PAGE_BYTES = 2 << 20;
const KERNEL = new Set([
  '[vdso]',
  '[vvar]',
  '[vvar_vclock]',
  '[vsyscall]',
  '[uprobes]',
  '[sigpage]',
  '[vectors]',
]);

/** The owner by which the shim has named an area, where it is asked to (OFFHEAP_LABEL); null for all other names. */
export function labelIn(path: string): string | null {
  return /^\[anon:offheap:(.+)\]$/.exec(path)?.[1] ?? null;
}

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
  // The kernel escapes line feeds in names, and nothing else.
  const name = line.slice(path).replaceAll('\\012', '\n');
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
    ...named(name, shared),
    pageBytes: name.startsWith('/anon_hugepage') ? HUGE_PAGE_BYTES : PAGE_BYTES,
  };
}

function named(name: string, shared: boolean): Pick<ProcMapping, 'path' | 'deleted' | 'kind'> {
  const deleted = name.endsWith(DELETED);
  const path = deleted ? name.slice(0, -DELETED.length) : name;
  return { path, deleted, kind: kindOf(path, shared, deleted) };
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
  if (deleted && path === SECRET_MEMORY) return 'sharedFile';
  return 'file';
}

/** How the kernel is asked for a process's mappings; the text is there on every kernel. */
export type MapsWay = 'query' | 'text';

/**
 * The mappings of a process in address order, but for [vsyscall], which every process shows; none when it has ended but
 * was not waited for. Throws `PROCESS_MISSING` or `PROCESS_REFUSED`.
 */
export function readMaps(pid: number, way: MapsWay = 'query'): ProcMapping[] {
  const columns = way === 'query' ? asked(pid, () => mappings(pid)) : null;
  if (columns !== null) return apart(fromColumns(columns));
  return apart(parseMaps(readProcessFile(pid, 'maps')).filter(({ end }) => end <= ADDRESS_LIMIT));
}

/**
 * The kernel goes on where the last answer ended. A mapping that has grown towards that place meanwhile begins before it:
 * what was told already is cut off, in place.
 */
export function apart(mappings: ProcMapping[]): ProcMapping[] {
  let end = 0;
  let overlaps = false;
  for (const mapping of mappings) {
    if (mapping.start < end) {
      overlaps = true;
      const toldBytes = Math.min(end, mapping.end) - mapping.start;
      mapping.start += toldBytes;
      if (mapping.inode !== 0) mapping.offset += toldBytes;
    }
    end = Math.max(end, mapping.end);
  }
  return overlaps ? mappings.filter((mapping) => mapping.start < mapping.end) : mappings;
}

function fromColumns(columns: MappingColumns): ProcMapping[] {
  const { starts, ends, offsets, inodes, majors, minors, permissions, pageBytes, names, texts } = columns;
  const result: ProcMapping[] = new Array(starts.length);
  const hexadecimal = (number: number) => number.toString(16).padStart(2, '0');
  // Neighbours mostly share their file: what is computed from it is kept from one to the next.
  let device = '';
  let name = -1;
  let kept = named('', false);
  for (let i = 0; i < starts.length; i++) {
    const bits = permissions[i]!;
    const shared = (bits & 8) !== 0;
    const isSame = i > 0 && names[i] === name && (bits & 8) === (permissions[i - 1]! & 8);
    if (!isSame) kept = named(texts[names[i]!]!, shared);
    name = names[i]!;
    if (i === 0 || majors[i] !== majors[i - 1] || minors[i] !== minors[i - 1]) {
      device = `${hexadecimal(majors[i]!)}:${hexadecimal(minors[i]!)}`;
    }
    result[i] = {
      start: starts[i]!,
      end: ends[i]!,
      readable: (bits & 1) !== 0,
      writable: (bits & 2) !== 0,
      executable: (bits & 4) !== 0,
      shared,
      offset: offsets[i]!,
      device,
      inode: inodes[i]!,
      path: kept.path,
      deleted: kept.deleted,
      kind: kept.kind,
      pageBytes: pageBytes[i]!,
    };
  }
  return result;
}
