import { basename } from 'node:path';
import { jumpTarget } from '../modules/jumps.js';
import type { Module } from '../modules/table.js';
import { OffheapError } from '../wire/error.js';
import type { ProcessRecording } from './recording.js';
import { overwrittenSites } from './site-check.js';
import { TargetMemory } from './target-memory.js';
import { type UnseenCall, UnseenCalls } from './unseen-calls.js';

const NAMED = 3;
/** Wide enough for a jump of any sort and what it stands behind. */
const ENTRY_BYTES = 24;

/** Finds out why memory has appeared whose mapping nobody was seen to make. */
export class GapCauses {
  readonly #unseenCalls = new UnseenCalls();

  /** The likely causes, the most certain one first; one line. */
  of(recording: ProcessRecording): string {
    const causes = [...lostEvents(recording), ...overwritten(recording)];
    if (rewroteNothing(recording)) {
      causes.push(
        'no instruction was rewritten, so what libc itself or a hook past the import tables maps is unseen',
      );
    } else causes.push(...notRewritten(recording), ...this.#inlineCalls(recording));
    if (causes.length === 0) return 'a system call in code that was not found';
    return causes.join('; or ');
  }

  #inlineCalls(recording: ProcessRecording): string[] {
    let calls: UnseenCall[];
    try {
      calls = this.#unseenCalls.find(recording);
    } catch (error) {
      if (error instanceof OffheapError) return [];
      throw error;
    }
    const made = calls.filter(({ module }) => module === null);
    return [
      ...byModule(calls.filter(({ module }) => module !== null)),
      ...(made.length === 0
        ? []
        : [`a system call in code that was made at run time (at ${listed(made, place)})`]),
    ];
  }
}

function lostEvents({ drain }: ProcessRecording): string[] {
  const lost = Object.values(drain.lost).reduce((sum, count) => sum + count, 0);
  return lost === 0 ? [] : [`${lost.toLocaleString('en-US')} events were lost`];
}

function overwritten({ drain, modules }: ProcessRecording): string[] {
  const sites = overwrittenSites(drain.processId, drain.channel.sites());
  if (sites.length === 0) return [];
  const names = TargetMemory.during(drain.processId, (memory) =>
    listed(sites, ({ operation, path, address }) => {
      const code = memory.read(address, ENTRY_BYTES);
      const target = code === null ? null : jumpTarget(code, address, (at) => memory.pointer(at));
      const by = target === null ? undefined : moduleAt(modules.current, target);
      const whose = by === undefined ? '' : `, by ${by.name}`;
      return `${operation} in ${path === null ? 'a library' : basename(path)}${whose}`;
    }),
  );
  const count =
    sites.length === 1 ? '1 rewritten system-call site' : `${sites.length} rewritten system-call sites`;
  return [`another hooker has overwritten ${count} (${names})`];
}

function notRewritten({ drain }: ProcessRecording): string[] {
  const unseen = drain.channel.sites().filter(({ state }) => state === 'unpatchable');
  if (unseen.length === 0) return [];
  const names = listed(unseen, ({ operation, path }) => `${operation} in ${path ?? 'a library'}`);
  return [`${unseen.length} system-call sites could not be rewritten (${names})`];
}

function rewroteNothing({ drain }: ProcessRecording): boolean {
  return drain.channel.sites().every(({ state }) => state !== 'patched');
}

function byModule(calls: readonly UnseenCall[]): string[] {
  const modules = new Map<string, UnseenCall[]>();
  for (const call of calls) modules.set(call.module!, [...(modules.get(call.module!) ?? []), call]);
  const names = [...modules].map(
    ([module, its]) => `${module} (${listed(its, (call) => `${call.operation} at ${place(call)}`)})`,
  );
  return names.length === 0 ? [] : [`a system call of its own in ${listed(names, (name) => name)}`];
}

function place({ address }: UnseenCall): string {
  return `0x${address.toString(16)}`;
}

function listed<T>(all: readonly T[], name: (one: T) => string): string {
  const names = [...new Set(all.map(name))];
  const shown = names.slice(0, NAMED).join(', ');
  return names.length > NAMED ? `${shown} and ${names.length - NAMED} more` : shown;
}

function moduleAt(modules: readonly Module[], address: number): Module | undefined {
  return modules.find(({ start, end }) => address >= start && address < end);
}
