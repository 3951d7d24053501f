/** Reads what `strace -f -X raw -o FILE` wrote: which process made which memory system call, and whether it failed. */

export interface TracedCall {
  threadId: number;
  /** The call's name as strace prints it. */
  name: string;
  /** The arguments as strace prints them with -X raw. */
  args: string;
  /** `unfinished`: the thread ended inside the call. */
  outcome: 'ok' | 'failed' | 'unfinished';
  /** What stands behind the equals sign. */
  result: string;
}

/** One program in one process: from its birth or its exec to its end or the next exec. */
export interface TracedImage {
  processId: number;
  /** 0 for what a process is born with, then one more for each exec. */
  execs: number;
  parentProcessId: number | null;
  /** Born by a clone with CLONE_VM, so its calls change its parent's memory until it execs. */
  sharesParentMemory: boolean;
  /** Calls from the marker on; in an image that is not exec'ed, all of them. */
  calls: TracedCall[];
  /** Calls before the marker. Where the marker never came, all of them, and `marked` is false. */
  callsBeforeMarker: TracedCall[];
  marked: boolean;
}

/** What the shim says with OFFHEAP_MARK=1 when recording begins: a call that no program makes. */
export const START_MARKER = /^madvise\(NULL, 0, 0x6f6666\)/;

const PROCESS_CALLS = new Set(['clone', 'clone3', 'fork', 'vfork', 'execve', 'execveat']);
const CLONE_VM = 0x100;
const CLONE_THREAD = 0x10000;

interface Line extends TracedCall {
  isMarker: boolean;
}

/** Sets arguments, result and outcome from what stands behind a call's opening parenthesis. */
function finish(line: Line, rest: string): void {
  const parts = /^(.*)\) += (.*)$/.exec(rest);
  if (!parts) throw new Error(`strace: line not understood: ${line.threadId} ${line.name}(${rest}`);
  line.args = parts[1]!;
  line.result = parts[2]!;
  line.outcome = line.result.startsWith('-1 ') ? 'failed' : line.result.startsWith('?') ? 'unfinished' : 'ok';
}

/** Puts the two halves of interrupted lines together. A call stands where it began, in file order. */
function wholeLines(text: string, marker: RegExp | null): Line[] {
  const open = new Map<number, Line>();
  const lines: Line[] = [];
  for (const printed of text.split('\n')) {
    const [, thread, body] = /^(\d+) +(.*)$/.exec(printed) ?? [];
    if (thread === undefined || body === undefined) continue;
    const threadId = Number(thread);

    const superseded = /^\+\+\+ superseded by execve in pid (\d+)/.exec(body);
    if (superseded) {
      // A thread that execs goes on under the number of its process, where its call is resumed.
      const line = open.get(Number(superseded[1]));
      if (line) open.set(threadId, line);
      continue;
    }
    if (/^(\+\+\+|---)/.test(body)) continue;

    const [, resumedName, rest] = /^<\.\.\. (\w+) resumed>(.*)$/.exec(body) ?? [];
    if (resumedName !== undefined) {
      const line = open.get(threadId);
      open.delete(threadId);
      if (line?.name !== resumedName)
        throw new Error(`strace: resumed line without its beginning: ${printed}`);
      finish(line, line.args + rest!);
      continue;
    }
    const [, name, tail] = /^(\w+)\((.*)$/.exec(body) ?? [];
    if (name === undefined) throw new Error(`strace: line not understood: ${printed}`);
    if (name.startsWith('syscall_0x')) continue; // a number that is no system call passes every filter
    const isMarker = marker?.test(body) ?? false;
    const line: Line = { threadId, name, args: '', outcome: 'unfinished', result: '?', isMarker };
    lines.push(line);
    const [unfinished, args] = /^(.*) <unfinished \.\.\.>$/.exec(tail!) ?? [];
    if (unfinished === undefined) {
      finish(line, tail!);
    } else {
      line.args = args!;
      open.set(threadId, line);
    }
  }
  return lines;
}

interface Birth {
  creatorThreadId: number;
  isThread: boolean;
  sharesMemory: boolean;
}

function birthOf(line: Line): Birth {
  // clone prints flags=0x3d0f00 or flags=0x1200000|17 with the exit signal behind the bar.
  const flags = Number(/flags=(0x[0-9a-f]+|\d+)/.exec(line.args)?.[1] ?? 0);
  return {
    creatorThreadId: line.threadId,
    isThread: (flags & CLONE_THREAD) !== 0,
    sharesMemory: line.name === 'vfork' || (flags & CLONE_VM) !== 0,
  };
}

/**
 * Parses a trace into images, in order of their first line. `marker` tells where an exec'ed image begins to count; null
 * counts from the beginning. A child's lines may stand before the line that says who made it, hence the two passes.
 */
export function parseStrace(text: string, marker: RegExp | null = START_MARKER): TracedImage[] {
  const lines = wholeLines(text, marker);
  const births = new Map<number, Birth>();
  for (const line of lines) {
    if (!PROCESS_CALLS.has(line.name) || line.name.startsWith('exec')) continue;
    if (line.outcome === 'ok') births.set(Number(line.result.split(' ')[0]), birthOf(line));
  }
  const processOf = (threadId: number): number => {
    const birth = births.get(threadId);
    return birth?.isThread ? processOf(birth.creatorThreadId) : threadId;
  };

  const images: TracedImage[] = [];
  const current = new Map<number, TracedImage>();
  const begin = (processId: number, execs: number): TracedImage => {
    const birth = births.get(processId);
    const image: TracedImage = {
      processId,
      execs,
      parentProcessId: birth ? processOf(birth.creatorThreadId) : null,
      sharesParentMemory: execs === 0 && birth !== undefined && birth.sharesMemory,
      calls: [],
      callsBeforeMarker: [],
      // A forked child is recorded from its first call on: its parent's shim is already there.
      marked: marker === null || (execs === 0 && birth !== undefined),
    };
    images.push(image);
    current.set(processId, image);
    return image;
  };

  for (const { isMarker, ...call } of lines) {
    const processId = processOf(call.threadId);
    const image = current.get(processId) ?? begin(processId, 0);
    if (call.name.startsWith('exec')) {
      if (call.outcome === 'ok') begin(processId, image.execs + 1);
    } else if (isMarker) {
      image.marked = true;
    } else if (!PROCESS_CALLS.has(call.name)) {
      (image.marked ? image.calls : image.callsBeforeMarker).push(call);
    }
  }
  // The first image of a trace is strace's own child before its exec: it calls nothing.
  return images.filter((image) => image.execs > 0 || image.parentProcessId !== null);
}

export interface CallCount {
  ok: number;
  failed: number;
  unfinished: number;
}

/** How often each system call was made, by name. */
export function countCalls(calls: readonly TracedCall[]): Record<string, CallCount> {
  const counts: Record<string, CallCount> = {};
  for (const { name, outcome } of calls) {
    counts[name] ??= { ok: 0, failed: 0, unfinished: 0 };
    counts[name][outcome] += 1;
  }
  return counts;
}
