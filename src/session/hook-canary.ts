import { basename } from 'node:path';
import { readMaps } from '../account/maps.js';
import type { ElfFile } from '../modules/elf.js';
import { jumpTarget } from '../modules/jumps.js';
import { fileAddress, type Module } from '../modules/table.js';
import type { SnapshotHooker } from '../report/schema.js';
import { type ExportedFunction, exportedFunctions } from '../symbolize/exports.js';
import { OffheapError } from '../wire/error.js';
import type { Operation } from '../wire/event.js';
import type { ProcessRecording } from './recording.js';
import { TargetMemory } from './target-memory.js';

/** What hookers put their jumps on. */
const FUNCTIONS: readonly Operation[] = ['mmap', 'munmap', 'mremap', 'madvise', 'brk', 'shmat', 'shmdt'];
const NAMES: ReadonlySet<string> = new Set(FUNCTIONS);
/** Libraries that relay memory calls, whichever way these reach them: by libc's entries or by import tables. */
const RELAYS = /^libucm(_\w+)?[-.]/;
/** They call a relay for memory of their own. */
const KIN = /^libuc[a-z]+(_\w+)?[-.]/;
const LIBC = /^libc(-2\.\d+)?\.so/;
const LOADER = /^ld[-.]/;
const SHIM = /^liboffheap/;
const ENTRY_BYTES = 24;
const MADE_CODE = 'code made at run time';
/** The newest calls of an operation without the hooker: fewer may have been on their way when it came or went. */
const FEW = 4;

/** Of each libc, however many processes map it. */
const knownFunctions = new WeakMap<ElfFile, ReadonlyMap<string, ExportedFunction>>();

interface Watched {
  hooker: string;
  operation: Operation;
  /** The last call that was looked at. */
  lookedUpTo: number;
  calls: number;
  heard: number;
  /** Of the calls looked at last, the newest, how many went past the hooker. */
  pastInARow: number;
  /** Who has libc's function now, where a jump stands there. */
  takenBy: string | null;
}

/**
 * Shows by real calls of the target that others who hook its memory functions go on to hear them. A hooker is who has put a
 * jump on a function of libc, or a known relay that calls came through. That a call has reached it and our recording is one
 * and the same event: the hooker stands on its stack.
 */
export class HookCanary {
  readonly #watched = new Map<string, Watched>();
  #recording: ProcessRecording | undefined;
  /** As it was at the last look: by the time of a report the channel may be closed. */
  #rewrites = true;
  #libc: { module: Module; functions: ReadonlyMap<string, ExportedFunction> } | undefined;

  /** Looks at what was called since the last time. */
  check(recording: ProcessRecording): void {
    if (recording !== this.#recording) {
      this.#recording = recording;
      this.#watched.clear();
      this.#libc = undefined;
    }
    this.#findLibc(recording);
    this.#readEntries(recording);
    this.#rewrites = recording.drain.channel.sites().some(({ state }) => state === 'patched');
    for (const operation of FUNCTIONS) this.#look(recording, operation, this.#rewrites);
  }

  get hookers(): SnapshotHooker[] {
    return [...this.#watched.values()].map(({ hooker, operation, calls, heard }) => ({
      hooker,
      operation,
      calls,
      heard,
    }));
  }

  /** One line for each hooker that no longer hears what it has hooked. */
  effects(): string[] {
    const deaf = new Map<string, Watched[]>();
    for (const watched of this.#watched.values()) {
      if (watched.pastInARow < FEW) continue;
      deaf.set(watched.hooker, [...(deaf.get(watched.hooker) ?? []), watched]);
    }
    return [...deaf].map(([hooker, operations]) => {
      const names = operations.map(({ operation }) => operation).join(', ');
      const [{ takenBy }] = operations as [Watched];
      const reason = !this.#rewrites
        ? 'their imports lead to offheap, since no instruction may be rewritten'
        : takenBy === null || takenBy === hooker
          ? `${hooker} has lost its place in libc`
          : `${takenBy} has taken its place in libc`;
      return `${hooker} hooks ${names} and does not hear the calls that are made now: ${reason}`;
    });
  }

  #findLibc({ modules }: ProcessRecording): void {
    if (this.#libc !== undefined) return;
    const module = modules.current.find(({ name, elf }) => elf !== null && LIBC.test(name));
    if (module === undefined || module.elf === null) return;
    const functions = knownFunctions.get(module.elf) ?? exportedFunctions(module.elf, NAMES);
    knownFunctions.set(module.elf, functions);
    this.#libc = { module, functions };
  }

  #readEntries(recording: ProcessRecording): void {
    if (this.#libc === undefined) return;
    const { module, functions } = this.#libc;
    const { processId } = recording.drain;
    const bias = module.start - fileAddress(module, module.start);
    TargetMemory.during(processId, (memory) => {
      for (const [name, { start }] of functions) {
        const operation = name as Operation;
        const code = memory.read(start + bias, ENTRY_BYTES);
        const target = code === null ? null : jumpTarget(code, start + bias, (at) => memory.pointer(at));
        const by = target === null || holds(module, target) ? null : codeAt(recording, target);
        for (const watched of this.#watched.values()) {
          if (watched.operation === operation) watched.takenBy = by;
        }
        if (by !== null && !SHIM.test(by)) this.#watch(operation, by);
      }
    });
  }

  #watch(operation: Operation, hooker: string): Watched {
    const key = `${operation}\0${hooker}`;
    let watched = this.#watched.get(key);
    if (watched === undefined) {
      const lookedUpTo = this.#recording?.recentCalls.count(operation) ?? 0;
      watched = { hooker, operation, lookedUpTo, calls: 0, heard: 0, pastInARow: 0, takenBy: hooker };
      this.#watched.set(key, watched);
    }
    return watched;
  }

  #look(recording: ProcessRecording, operation: Operation, rewrites: boolean): void {
    const { recentCalls } = recording;
    if (recording.modules.current.some(({ name }) => RELAYS.test(name))) {
      for (const stack of new Set(recentCalls.stacks(operation, 0))) {
        const modules = modulesOf(recording, stack);
        const relay = modules.find(({ name }) => RELAYS.test(name))?.name;
        if (relay !== undefined && cameThrough(modules, relay) === true) this.#watch(operation, relay);
      }
    }
    for (const watched of this.#watched.values()) {
      if (watched.operation !== operation) continue;
      for (const stack of recentCalls.stacks(operation, watched.lookedUpTo)) {
        const way = this.#wayOf(recording, stack, watched, rewrites);
        if (way === 'aside') continue;
        watched.calls++;
        if (way === 'heard') watched.heard++;
        watched.pastInARow = way === 'heard' ? 0 : watched.pastInARow + 1;
      }
      watched.lookedUpTo = recentCalls.count(operation);
    }
  }

  /** Whether a call came by the hooker, past it, or by a way on which it does not listen. */
  #wayOf(
    recording: ProcessRecording,
    stack: number,
    { hooker, operation }: Watched,
    rewrites: boolean,
  ): 'heard' | 'past' | 'aside' {
    const modules = modulesOf(recording, stack);
    const through = cameThrough(modules, hooker);
    if (through !== false) return through === true ? 'heard' : 'aside';
    const [leaf] = modules;
    if (leaf === undefined || LOADER.test(leaf.name)) return 'aside';
    // By libc's function, whose place the hooker has; or, where imports lead to us, by no function of libc at all.
    if (!rewrites) return 'past';
    const extent = this.#libc?.functions.get(operation);
    const [frame] = recording.drain.stacks.frames(stack);
    if (extent === undefined || frame === undefined || leaf !== this.#libc?.module) return 'aside';
    const address = fileAddress(leaf, frame.address);
    return address >= extent.start && address < extent.end ? 'past' : 'aside';
  }
}

/** A stack's modules, leaf first. */
function modulesOf({ drain, modules }: ProcessRecording, stack: number): Module[] {
  return drain.stacks.frames(stack).flatMap(({ address, exact, generation }) => {
    return modules.find(exact ? address : address - 1, generation) ?? [];
  });
}

/** Whether the hooker stands between a caller and the kernel; null where it, or its own kin, is who calls. */
function cameThrough(modules: readonly Module[], hooker: string): boolean | null {
  const first = modules.findIndex(({ name }) => name === hooker);
  if (first < 0) return false;
  const caller = modules.slice(first).find(({ name }) => name !== hooker);
  return caller === undefined || (RELAYS.test(hooker) && KIN.test(caller.name)) ? null : true;
}

/** Whose code lies at an address. What was loaded unseen only the kernel knows. */
function codeAt({ modules, drain }: ProcessRecording, address: number): string | null {
  const module = modules.current.find((each) => holds(each, address));
  if (module !== undefined) return module.path === null ? MADE_CODE : module.name;
  try {
    const area = readMaps(drain.processId).find(({ start, end }) => address >= start && address < end);
    return area === undefined ? null : basename(area.path) || MADE_CODE;
  } catch (error) {
    if (error instanceof OffheapError) return null;
    throw error;
  }
}

function holds({ start, end }: Module, address: number): boolean {
  return address >= start && address < end;
}
