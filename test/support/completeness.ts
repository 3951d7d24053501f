import type { RecordedCount, RecordedProcess } from './recorded-process.js';
import type { TracedCall, TracedImage } from './strace-parse.js';

/** Calls that the shim makes for itself, by purpose: strace sees them, and they are none of the target's. */
export interface OwnCalls {
  /** madvise MADV_POPULATE_WRITE inside the channel: space is reserved before it is touched. */
  reserveChannel: number;
  /** A forked child's own channel: mmap MAP_SHARED, madvise MADV_DONTFORK and MADV_DONTDUMP, its break. */
  startChild: number;
  /** Memory for thread states and deep stacks, in the ledger as the profiler's; stubs of scanned libraries. */
  ownMemory: number;
  /** mprotect of a scanned library's code and its stubs, and the search for room near it. */
  rewriteLibrary: number;
}

/** All that changed one address space while one program ran in it, and what was recorded of it. */
export interface ProgramTrace {
  /** The program's own image, then those that borrowed its memory: vfork's children, raw clones with CLONE_VM. */
  images: TracedImage[];
  recorded: RecordedProcess;
}

const MADV_DONTFORK = 0xa;
const MADV_DONTDUMP = 0x10;
const OWN_ADVICE = new Set([MADV_DONTFORK, MADV_DONTDUMP]);
const MADV_POPULATE_WRITE = 0x17;
const MAP_SHARED = 1;
const MAP_FIXED_NOREPLACE = 0x100000;
const PAGE_BYTES = 4096;
/** Recorded before the kernel is asked: counted although the thread ended inside. */
const RECORDED_FIRST = new Set(['munmap', 'shmdt', 'mremap']);

/**
 * Brings traces and recordings together. A program without a recording must have made no call worth one.
 * @throws Error where it did make some.
 */
export function groupByProgram(
  images: readonly TracedImage[],
  recorded: readonly RecordedProcess[],
): ProgramTrace[] {
  const left = [...recorded];
  const groups: ProgramTrace[] = [];
  const newest = new Map<number, ProgramTrace>();
  for (const image of images) {
    if (image.sharesParentMemory) {
      newest.get(image.parentProcessId!)!.images.push(image);
      continue;
    }
    const at = left.findIndex(({ pid }) => pid === image.processId);
    if (at < 0 || (image.execs === 0 && image.calls.length === 0)) {
      if (image.calls.length > 0) throw new Error(`nothing is recorded of process ${image.processId}`);
      continue;
    }
    const group = { images: [image], recorded: left.splice(at, 1)[0]! };
    groups.push(group);
    newest.set(image.processId, group);
  }
  return groups;
}

/** Takes the shim's own calls out of a trace and counts what is left: what the target itself called. */
export function targetCalls(
  images: readonly TracedImage[],
  recorded: RecordedProcess,
): { own: OwnCalls; traced: Record<string, RecordedCount> } {
  const own: OwnCalls = { reserveChannel: 0, startChild: 0, ownMemory: 0, rewriteLibrary: 0 };
  const traced: Record<string, RecordedCount> = {};
  for (const image of images) {
    const purposeOf = ownPurposes(image, recorded);
    for (const call of image.calls) {
      const purpose = purposeOf(call);
      if (purpose !== undefined) own[purpose]++;
      else count(call, traced);
    }
  }
  return { own, traced };
}

function count({ name, outcome }: TracedCall, traced: Record<string, RecordedCount>): void {
  if (outcome === 'unfinished' && !RECORDED_FIRST.has(name)) return;
  traced[name] ??= { ok: 0, failed: 0 };
  traced[name][outcome === 'failed' ? 'failed' : 'ok']++;
}

/** What the shim made a call for; undefined for the target's. Ask for each call of the image in order. */
function ownPurposes(
  image: TracedImage,
  { recording }: RecordedProcess,
): (call: TracedCall) => keyof OwnCalls | undefined {
  const ownMappings = new Set(recording.ownMappings.map(({ start, bytes }) => `${start} ${bytes}`));
  const scanned = scannedSites(recording);
  const channels = keptFromChildren(image);
  let starting = image.execs === 0 && !image.sharesParentMemory;
  return ({ name, args: text, result }) => {
    const args = text.split(', ').map(Number);
    if (name === 'madvise' && args[2] === MADV_POPULATE_WRITE) return 'reserveChannel';
    if (name === 'mmap' && ownMappings.has(`${Number(result)} ${args[1]}`)) return 'ownMemory';
    if (name === 'madvise' && ownMappings.has(`${args[0]} ${args[1]}`)) return 'ownMemory';
    if (name === 'mmap' && scanned.length > 0 && isProbe(args)) return 'rewriteLibrary';
    if (name === 'mprotect' && (ownMappings.has(`${args[0]} ${args[1]}`) || covers(args, scanned)))
      return 'rewriteLibrary';
    if (!starting) return undefined;
    if (name === 'mmap' && channels.has(Number(result))) return 'startChild';
    if (name === 'madvise' && OWN_ADVICE.has(args[2]!) && channels.has(args[0]!)) return 'startChild';
    if (name !== 'brk' || text !== 'NULL') return undefined;
    starting = false; // the last step
    return 'startChild';
  };
}

/** Addresses of system-call instructions in others than libc and the loader. */
function scannedSites({ drain }: RecordedProcess['recording']): number[] {
  const others = drain.channel.sites().filter(({ path }) => !/^(libc|ld-linux)/.test(path ?? ''));
  return others.map(({ address }) => address);
}

function covers([start, bytes]: readonly number[], addresses: readonly number[]): boolean {
  return addresses.some((address) => address >= start! && address < start! + bytes!);
}

/** Looks for room for stubs. */
function isProbe([, bytes, , flags]: readonly number[]): boolean {
  return bytes === PAGE_BYTES && (flags! & MAP_FIXED_NOREPLACE) !== 0;
}

/** Shared mappings that are kept from children: no target does that, the shim does it with its channels. */
function keptFromChildren({ calls }: TracedImage): Set<number> {
  const kept = calls.flatMap(({ name, args }) => {
    const [start, , advice] = args.split(', ').map(Number);
    return name === 'madvise' && advice === MADV_DONTFORK ? [start!] : [];
  });
  const isShared = ({ name, args }: TracedCall) =>
    name === 'mmap' && (Number(args.split(', ')[3]) & MAP_SHARED) !== 0;
  const shared = new Set(calls.filter(isShared).map(({ result }) => Number(result)));
  return new Set(kept.filter((start) => shared.has(start)));
}
