import { type MappingEvent, OPERATIONS, type Operation } from '../wire/event.js';
import { ByteReader, ByteWriter, CheckpointError } from './byte-codec.js';
import {
  MAP_GROWSDOWN,
  MAP_STACK,
  MEMORY_CLASSES,
  type MemoryClass,
  memoryClass,
  roundUp,
  seedMemoryClass,
} from './memory-abi.js';

/** All that decides to whom a mapping belongs, beside the modules of its stack. */
export interface SiteFacts {
  /** Node in a channel's stack tree; 0 where there is no stack. */
  readonly stack: number;
  /** Whose stack tree: 0 is this process's channel, 1 its parent's, which it was forked from, and so on. */
  readonly ancestor: number;
  readonly operation: Operation;
  /** As the event told; the stack may tell more, see `attribute`. */
  readonly enclosing: Operation | null;
  readonly class: MemoryClass;
  readonly stackArea: boolean;
  readonly byProfiler: boolean;
  /** The size, where it is one that CPython's arenas have; 0 for all others, so that they share a site. */
  readonly arenaBytes: number;
  /** Seeds: what /proc/self/maps named; for the anonymous range right behind a file's data (its .bss), that file. */
  readonly path: string | null;
}

/** Far above what a target produces; a checkpoint that claims more would only cost memory. */
export const SITE_LIMIT = 2 ** 24;

/** CPython's arenas: 256 KiB before 3.10, 1 MiB since. */
export const CPYTHON_ARENA_BYTES: readonly number[] = [256 * 1024, 1024 * 1024];

const ACQUIRING: ReadonlySet<Operation> = new Set(['seed', 'mmap', 'mremap', 'brk', 'shmat']);
const FORMAT = 'offheap.sites';
const VERSION = 1;
const NO_SITE: SiteFacts = {
  stack: 0,
  ancestor: 0,
  operation: 'none',
  enclosing: null,
  class: 'anonymous',
  stackArea: false,
  byProfiler: false,
  arenaBytes: 0,
  path: null,
};

const OPERATION_CODES = new Map<Operation | null, number>(
  OPERATIONS.map((operation, code) => [operation, code]),
);

/** Numbers the places that memory is mapped from. Site 0 stands for "none": releases and queries. */
export class SiteTable {
  #facts: SiteFacts[] = [NO_SITE];
  readonly #numbers = new Map<number, number>();
  readonly #seeds = new Map<string, number>();
  #seedReached = -1;
  #seedFile: string | null = null;

  get size(): number {
    return this.#facts.length;
  }

  facts(site: number): SiteFacts {
    return this.#facts[site] ?? NO_SITE;
  }

  /** The event's site, 0 if it maps nothing. Keeps no reference to `event`. */
  intern(event: MappingEvent): number {
    const { operation } = event;
    if (!ACQUIRING.has(operation)) return 0;
    if (operation === 'seed') return this.#internSeed(event);
    const flags = operation === 'mmap' ? event.args[3] : 0;
    const stackArea = (flags & (MAP_STACK | MAP_GROWSDOWN)) !== 0;
    const memory = operation === 'mmap' ? memoryClass(flags) : operation === 'shmat' ? 'shared' : 'anonymous';
    const arena = operation === 'mmap' ? CPYTHON_ARENA_BYTES.indexOf(event.args[1]) + 1 : 0;
    const { stack, enclosing, byProfiler } = event;
    const known = this.#numbers.get(keyOf(stack, operation, enclosing, memory, arena, stackArea, byProfiler));
    if (known !== undefined) return known;
    const arenaBytes = CPYTHON_ARENA_BYTES[arena - 1] ?? 0;
    return this.#add({
      stack,
      ancestor: 0,
      operation,
      enclosing,
      class: memory,
      stackArea,
      byProfiler,
      arenaBytes,
      path: null,
    });
  }

  /** The table of a forked child: inherited sites keep their numbers and point to the parent's stack tree. */
  fork(): SiteTable {
    const child = new SiteTable();
    child.#facts = this.#facts.map((facts, site) =>
      site === 0 ? facts : { ...facts, ancestor: facts.ancestor + 1 },
    );
    return child;
  }

  serialize(): Uint8Array {
    const writer = new ByteWriter();
    writer.text(FORMAT);
    writer.unsigned(VERSION);
    writer.unsigned(this.#facts.length - 1);
    for (const facts of this.#facts.slice(1)) {
      writer.unsigned(facts.stack);
      writer.unsigned(facts.ancestor);
      writer.unsigned(OPERATIONS.indexOf(facts.operation));
      writer.unsigned(facts.enclosing === null ? 0 : OPERATIONS.indexOf(facts.enclosing));
      writer.unsigned(MEMORY_CLASSES.indexOf(facts.class));
      writer.unsigned((facts.stackArea ? 1 : 0) | (facts.byProfiler ? 2 : 0) | (facts.path === null ? 0 : 4));
      writer.unsigned(CPYTHON_ARENA_BYTES.indexOf(facts.arenaBytes) + 1);
      if (facts.path !== null) writer.text(facts.path);
    }
    return writer.sealed();
  }

  /** @throws CheckpointError if the bytes are not a sound table of this version. */
  static restore(bytes: Uint8Array): SiteTable {
    const reader = new ByteReader(bytes);
    if (reader.text('the format') !== FORMAT) throw new CheckpointError('it is of another kind');
    const version = reader.unsigned('the version');
    if (version !== VERSION)
      throw new CheckpointError(`it has version ${version}, this is version ${VERSION}`);
    const table = new SiteTable();
    for (let left = reader.count('sites'); left > 0; left--) {
      const stack = reader.unsigned('a stack', 2 ** 32 - 1);
      const ancestor = reader.unsigned('an ancestor');
      const operation = OPERATIONS[reader.unsigned('an operation', OPERATIONS.length - 1)]!;
      const enclosing = reader.unsigned('an enclosing operation', OPERATIONS.length - 1);
      const memory = MEMORY_CLASSES[reader.unsigned('a class', MEMORY_CLASSES.length - 1)]!;
      const bits = reader.unsigned('the flags', 7);
      const arena = reader.unsigned('an arena size', CPYTHON_ARENA_BYTES.length);
      table.#add({
        stack,
        ancestor,
        operation,
        enclosing: enclosing === 0 ? null : OPERATIONS[enclosing]!,
        class: memory,
        stackArea: (bits & 1) !== 0,
        byProfiler: (bits & 2) !== 0,
        arenaBytes: CPYTHON_ARENA_BYTES[arena - 1] ?? 0,
        path: (bits & 4) !== 0 ? reader.text('a path') : null,
      });
    }
    reader.finish();
    return table;
  }

  #internSeed(event: MappingEvent): number {
    const [start, length, , flags] = event.args;
    const memory = seedMemoryClass(flags, event.extra, event.path);
    // Seeds come in the order of /proc/self/maps, where a file's .bss follows its data without a gap or a name.
    const besideFile = memory === 'anonymous' && event.path === null && start === this.#seedReached;
    const path = besideFile ? this.#seedFile : event.path;
    this.#seedReached = start + roundUp(length, 4096);
    this.#seedFile = memory === 'file' ? event.path : null;

    const stackArea = event.path === '[stack]' || (flags & (MAP_STACK | MAP_GROWSDOWN)) !== 0;
    const facts: SiteFacts = {
      stack: event.stack,
      ancestor: 0,
      operation: 'seed',
      enclosing: null,
      class: memory,
      stackArea,
      byProfiler: event.byProfiler,
      arenaBytes: 0,
      path,
    };
    return this.#seeds.get(seedKeyOf(facts)) ?? this.#add(facts);
  }

  #add(facts: SiteFacts): number {
    const site = this.#facts.push(facts) - 1;
    if (facts.ancestor > 0) return site;
    if (facts.operation === 'seed') {
      this.#seeds.set(seedKeyOf(facts), site);
    } else {
      const { stack, operation, enclosing, stackArea, byProfiler } = facts;
      const arena = CPYTHON_ARENA_BYTES.indexOf(facts.arenaBytes) + 1;
      this.#numbers.set(keyOf(stack, operation, enclosing, facts.class, arena, stackArea, byProfiler), site);
    }
    return site;
  }
}

/** 46 bits: exact as a number, and far cheaper than a text as a key. */
function keyOf(
  stack: number,
  operation: Operation,
  enclosing: Operation | null,
  memory: MemoryClass,
  arena: number,
  stackArea: boolean,
  byProfiler: boolean,
): number {
  const bits =
    OPERATION_CODES.get(operation)! |
    ((enclosing === null ? 0 : OPERATION_CODES.get(enclosing)!) << 4) |
    (MEMORY_CLASSES.indexOf(memory) << 8) |
    (arena << 10) |
    (stackArea ? 1 << 12 : 0) |
    (byProfiler ? 1 << 13 : 0);
  return stack * 2 ** 14 + bits;
}

function seedKeyOf(facts: SiteFacts): string {
  return `${facts.class} ${facts.stackArea} ${facts.byProfiler} ${facts.stack} ${facts.path ?? ''}`;
}
