import { type ProcMapping, readMaps } from '../account/maps.js';
import { ElfError } from '../modules/bounded-file.js';
import type { ElfFile } from '../modules/elf.js';
import { systemCallsIn } from '../modules/system-calls.js';
import { fileAddress } from '../modules/table.js';
import type { ProcessRecording } from './recording.js';
import { TargetMemory } from './target-memory.js';

/** A system-call instruction that maps memory and that the shim has not rewritten. */
export interface UnseenCall {
  /** The file that holds it; null for code that was made at run time. */
  module: string | null;
  /** What it asks for; null where another place in the code says so. */
  operation: string | null;
  /** In the file, or, where there is none, in memory. */
  address: number;
}

/** The calls after which there is more memory than before. */
const MAPPING_CALLS: ReadonlyMap<number, string> = new Map([
  [9, 'mmap'],
  [12, 'brk'],
  [25, 'mremap'],
  [30, 'shmat'],
]);
/** Some milliseconds for each 8 MiB, once for each file. */
const MOST_FILE_BYTES = 256 << 20;
const MOST_BYTES = 512 << 20;
/** Its own calls are recorded as its own. */
const SHIM = /^liboffheap/;
const MOST_MADE_BYTES = 16 << 20;
const BLOCK_BYTES = 8 << 20;

/** What code that the shim has not rewritten can map memory, as far as its instructions tell. Each file is read once. */
export class UnseenCalls {
  /** By file and place: where its mapping calls lie in the file. */
  readonly #known = new Map<string, { offset: number; operation: string }[]>();

  /** Those of files first. Throws `PROCESS_MISSING` or `PROCESS_REFUSED`. */
  find({ modules, ledger, drain }: ProcessRecording): UnseenCall[] {
    const rewritten = new Set<number>();
    for (const { address, state } of drain.channel.sites()) if (state === 'patched') rewritten.add(address);
    const found: UnseenCall[] = [];
    const made: ProcMapping[] = [];
    let bytes = 0;
    for (const area of readMaps(drain.processId)) {
      if (!area.executable || area.kind === 'kernel') continue;
      if (area.kind === 'anonymous') {
        if (!ledger.at(area.start)?.origin.byProfiler) made.push(area);
        continue;
      }
      bytes += area.end - area.start;
      const module = modules.current.find(({ start, end }) => area.start >= start && area.start < end);
      if (module === undefined || module.elf === null || module.stale !== null) continue;
      if (bytes > MOST_BYTES || SHIM.test(module.name)) continue;
      for (const { offset, operation } of this.#callsOf(module.elf, area)) {
        const address = area.start + offset - area.offset;
        if (rewritten.has(address)) continue;
        found.push({ module: module.name, operation, address: fileAddress(module, address) });
      }
    }
    return [...found, ...callsMadeAtRunTime(drain.processId, made)];
  }

  #callsOf(elf: ElfFile, { offset, start, end }: ProcMapping) {
    const key = `${elf.file.identity}:${offset}:${end - start}`;
    let calls = this.#known.get(key);
    if (calls === undefined) {
      calls = readCalls(elf, offset, Math.min(end - start, MOST_FILE_BYTES));
      this.#known.set(key, calls);
    }
    return calls;
  }
}

function readCalls(elf: ElfFile, from: number, bytes: number): { offset: number; operation: string }[] {
  const calls: { offset: number; operation: string }[] = [];
  try {
    for (let done = 0; done < bytes; done += BLOCK_BYTES) {
      const code = elf.file.readUpTo(from + done, Math.min(BLOCK_BYTES, bytes - done));
      for (const { offset, number } of systemCallsIn(code)) {
        const operation = number === null ? undefined : MAPPING_CALLS.get(number);
        if (operation !== undefined) calls.push({ offset: from + done + offset, operation });
      }
    }
  } catch (error) {
    // Cut off or replaced meanwhile: what was found till then may still be the cause.
    if (!(error instanceof ElfError)) throw error;
  }
  return calls;
}

/** In code without a file any call may be the one: its number need not stand beside it. */
function callsMadeAtRunTime(pid: number, areas: readonly ProcMapping[]): UnseenCall[] {
  const calls: UnseenCall[] = [];
  let left = MOST_MADE_BYTES;
  TargetMemory.during(pid, (memory) => {
    for (const { start, end } of areas) {
      const code = memory.read(start, Math.min(end - start, left));
      if (code === null) continue;
      left -= code.length;
      for (const { offset, number } of systemCallsIn(code)) {
        const operation = number === null ? null : MAPPING_CALLS.get(number);
        if (operation !== undefined) calls.push({ module: null, operation, address: start + offset });
      }
    }
  });
  return calls;
}
