import { layout } from './addon.js';
import { OffheapError } from './error.js';
import { type MappingEvent, OPERATIONS, type Operation, PHASES, type Phase } from './event.js';
import { fieldOffset } from './layout.js';
import { unsigned64 } from './record-view.js';

/** What the decoder asks of its surroundings. */
export interface DecodeContext {
  /** The text at an offset of the channel's text section. */
  text(offset: number): string | null;
  /** Nanoseconds since the channel's start of a time stamp given as two 32-bit halves. */
  sinceStartNs(low: number, high: number): number;
}

const structure = layout.structures.Event;
/** Bytes of a record. */
export const EVENT_BYTES = structure.bytes;

// Fields as indexes of 32-bit words, resolved once: the loop below runs for every record.
const word = (name: string) => fieldOffset(structure, name) / 4;
const WORDS = EVENT_BYTES / 4;
const SEQUENCE = word('sequence');
const TIME = word('time');
const ARG0 = word('arg0');
const RESULT = word('result');
const REFERS_TO = word('refers_to');
const EXTRA = word('extra');
const THREAD_ID = word('thread_id');
const STACK = word('stack');
const TEXT = word('text');
const GENERATION = word('generation');
const FLAGS = word('flags');
const OPERATION = fieldOffset(structure, 'operation');
const ENCLOSING = fieldOffset(structure, 'enclosing');
const PHASE = fieldOffset(structure, 'phase');

const { flagStackTruncated, flagByProfiler } = layout.constants;
const KEPT_TEXT_LENGTH = 16 << 20;
const MMAP = OPERATIONS.indexOf('mmap');
const MMAP_FILE_DESCRIPTOR = 4;

/** The one event that a decoder hands out again and again. */
class EventCursor implements MappingEvent {
  position = 0;
  operation: Operation = 'none';
  phase: Phase = 'complete';
  timeNs = 0;
  readonly args: [number, number, number, number, number, number] = [0, 0, 0, 0, 0, 0];
  result = 0;
  refersTo = 0;
  extra = 0;
  threadId = 0;
  stack = 0;
  path: string | null = null;
  generation = 0;
  stackTruncated = false;
  byProfiler = false;
  enclosing: Operation | null = null;
}

/** A raw result: an address or a size, or from -4095 to -1 a negative errno. */
function signed64(low: number, high: number): number {
  return high === 0xffff_ffff && low >= 0xffff_f001 ? low - 0x1_0000_0000 : unsigned64(low, high);
}

/** Decodes drained records. The event it hands out is one object, overwritten by the next: copy what you keep. */
export class EventDecoder {
  readonly #context: DecodeContext;
  readonly #cursor = new EventCursor();
  readonly #texts = new Map<number, string | null>([[0, null]]);
  #textLength = 0;

  constructor(context: DecodeContext) {
    this.#context = context;
  }

  /**
   * Decodes the first `count` records of `buffer` (aligned to 4 bytes) and returns how many were damaged: those whose
   * operation or phase is none that exists or whose text lies nowhere, which are left out.
   */
  decode(buffer: Uint8Array, count: number, handle: (event: MappingEvent) => void): number {
    const words = new Uint32Array(buffer.buffer, buffer.byteOffset, count * WORDS);
    const cursor = this.#cursor;
    let damaged = 0;
    for (let record = 0; record < count; record++) {
      const base = record * WORDS;
      const bytes = record * EVENT_BYTES;
      const operationValue = buffer[bytes + OPERATION]!;
      const enclosingValue = buffer[bytes + ENCLOSING]!;
      const operation = OPERATIONS[operationValue];
      const enclosing = OPERATIONS[enclosingValue];
      const phase = PHASES[buffer[bytes + PHASE]!];
      const path = this.#text(words[base + TEXT]!);
      if (operationValue === 0 || !operation || !enclosing || !phase || path === undefined) {
        damaged++;
        continue;
      }
      cursor.position = unsigned64(words[base + SEQUENCE]!, words[base + SEQUENCE + 1]!) - 1;
      cursor.operation = operation;
      cursor.phase = phase;
      cursor.timeNs = this.#context.sinceStartNs(words[base + TIME]!, words[base + TIME + 1]!);
      for (let index = 0; index < 6; index++) {
        const at = base + ARG0 + 2 * index;
        cursor.args[index] = unsigned64(words[at]!, words[at + 1]!);
      }
      // A C int in a 64-bit register: the upper half is whatever the caller left there.
      if (operationValue === MMAP) {
        cursor.args[MMAP_FILE_DESCRIPTOR] = words[base + ARG0 + 2 * MMAP_FILE_DESCRIPTOR]! | 0;
      }
      cursor.result = signed64(words[base + RESULT]!, words[base + RESULT + 1]!);
      cursor.refersTo = unsigned64(words[base + REFERS_TO]!, words[base + REFERS_TO + 1]!);
      cursor.extra = unsigned64(words[base + EXTRA]!, words[base + EXTRA + 1]!);
      cursor.threadId = words[base + THREAD_ID]!;
      cursor.stack = words[base + STACK]!;
      cursor.path = path;
      cursor.generation = words[base + GENERATION]!;
      const flags = words[base + FLAGS]!;
      cursor.stackTruncated = (flags & flagStackTruncated) !== 0;
      cursor.byProfiler = (flags & flagByProfiler) !== 0;
      cursor.enclosing = enclosingValue === 0 ? null : enclosing;
      handle(cursor);
    }
    return damaged;
  }

  // Undefined for a damaged offset. Texts are written once, before the record that names them is committed: safe to
  // keep, though not without bound, since a hostile channel may name overlapping ones without end.
  #text(offset: number): string | null | undefined {
    const known = this.#texts.get(offset);
    if (known !== undefined) return known;
    try {
      const text = this.#context.text(offset);
      this.#textLength += text?.length ?? 0;
      if (this.#textLength < KEPT_TEXT_LENGTH) this.#texts.set(offset, text);
      return text;
    } catch (error) {
      if (error instanceof OffheapError) return undefined;
      throw error;
    }
  }
}
