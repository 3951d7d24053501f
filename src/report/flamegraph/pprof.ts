import { gzipSync } from 'node:zlib';
import {
  type FunctionInput,
  type LineInput,
  type LocationInput,
  type MappingInput,
  Profile,
  StringTable,
} from 'pprof-format';
import { lineName } from '../../symbolize/short-name.js';
import type { Snapshot, SnapshotFrame } from '../schema.js';
import { printable } from '../text.js';
import type { FoldOptions } from './fold.js';
import { frameKey, functionName, type StackSample, stackSamples } from './samples.js';

/** A profile of pprof's, compressed: samples have a number and bytes, and labels for owner and enclosing operation. */
export function pprofFile(snapshot: Snapshot, options: FoldOptions): Uint8Array {
  const tables = new Tables();
  const text = (value: string) => tables.strings.dedup(value);
  const isHeap = options.what === 'heap';
  const types: [string, string][] = isHeap
    ? [
        ['inuse_objects', 'count'],
        ['inuse_space', 'bytes'],
      ]
    : [
        ['mappings', 'count'],
        ['mapped_space', 'bytes'],
      ];
  const sample = stackSamples(snapshot, options).map((each) => ({
    locationId: tables.locationsOf(each),
    value: [each.count, each.bytes],
    label: Object.entries({ owner: each.owner, kind: each.kind }).map(([key, value]) => ({
      key: text(key),
      str: text(printable(value)),
    })),
  }));
  const { pid, command } = snapshot.process;
  const profile = new Profile({
    sampleType: types.map(([type, unit]) => ({ type: text(type), unit: text(unit) })),
    sample,
    mapping: tables.mappings,
    location: tables.locations,
    function: tables.functions,
    timeNanos: BigInt(Date.parse(snapshot.takenAt)) * 1_000_000n,
    durationNanos: Math.round(snapshot.observedSeconds * 1e9),
    comment: [text(`offheap: ${printable(command.join(' '))} (pid ${pid})`)],
    defaultSampleType: text(types[1]![0]),
    stringTable: tables.strings,
  });
  return gzipSync(profile.encode());
}

/** What samples refer to by number, each once; numbers start at 1. */
class Tables {
  readonly strings = new StringTable();
  readonly mappings: MappingInput[] = [];
  readonly locations: LocationInput[] = [];
  readonly functions: FunctionInput[] = [];
  readonly #ids = new Map<string, number>();

  /** Leaf first. */
  locationsOf({ frames, tip, owner }: StackSample): number[] {
    const locations: number[] = [];
    if (tip !== null) {
      if (frames.length === 0) locations.push(this.#named(printable(owner)));
      locations.push(this.#named(tip));
    }
    for (let at = 0; at < frames.length; ) {
      // Calls that were inlined share the location of the function that holds them.
      const from = at;
      while (frames[at]?.inlined && at + 1 < frames.length) at++;
      at++;
      locations.push(this.#location(frames.slice(from, at)));
    }
    return locations;
  }

  #location(frames: readonly SnapshotFrame[]): number {
    const key = frames.map((frame) => `${frameKey(frame)}\0${frame.address}`).join('\n');
    return this.#once(`location ${key}`, this.locations, (id) => ({
      id,
      mappingId: this.#mapping(frames[0]!),
      address: BigInt(frames[0]!.address),
      line: frames.map((frame) => this.#line(frame)),
    }));
  }

  #line(frame: SnapshotFrame): LineInput {
    const functionId = this.#function(functionName(frame), frame.file ?? '');
    return { functionId, line: frame.line ?? 0 };
  }

  #named(name: string): number {
    const functionId = this.#function(name, '');
    return this.#once(`named ${name}`, this.locations, (id) => ({ id, line: [{ functionId, line: 0 }] }));
  }

  #function(name: string, file: string): number {
    const systemName = this.strings.dedup(printable(name));
    const short = this.strings.dedup(printable(lineName(name)));
    const filename = this.strings.dedup(printable(file));
    return this.#once(`function ${name}\0${file}`, this.functions, (id) => ({
      ...{ id, name: short, systemName, filename },
    }));
  }

  #mapping({ module }: SnapshotFrame): number {
    const filename = this.strings.dedup(printable(module));
    return this.#once(`mapping ${module}`, this.mappings, (id) => ({ id, filename, hasFunctions: true }));
  }

  #once<T>(key: string, table: T[], make: (id: number) => T): number {
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    // What it refers to may be new as well: its own place comes after theirs only in other tables.
    const made = make(table.length + 1);
    const id = table.push(made);
    this.#ids.set(key, id);
    return id;
  }
}
