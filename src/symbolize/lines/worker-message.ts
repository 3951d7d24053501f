import { OffheapError } from '../../wire/error.js';
import { type Chain, NO_CHAIN, type SourceFrame } from './chain.js';

/** A file as whoever checked it saw it: another one at its path is refused. */
export interface CheckedFile {
  path: string;
  /** As `BoundedFile.identity`. */
  identity: string;
}

export interface LinesRequest {
  module: CheckedFile;
  /** What dwz has moved out of several files, and the name by which the module calls it. */
  alternate: (CheckedFile & { name: string }) | null;
  /** Virtual addresses in the file. */
  addresses: readonly number[];
}

export interface LinesAnswer {
  /** One for each address. */
  chains: Chain[];
  /** What was wrong with the debug information, as far as it was read; empty where nothing. */
  problem: string;
  /** Of the worker, at the end. */
  residentBytes: number;
}

const REFUSED = 1;
const U32_LIMIT = 0x1_0000_0000;

/** A request with its length in front; native/lines/message.h says how. */
export function encodeRequest({ module, alternate, addresses }: LinesRequest): Buffer {
  const texts = [module.path, module.identity, alternate?.name, alternate?.path, alternate?.identity].map(
    (text) => Buffer.from(text ?? '', 'utf8'),
  );
  const bytes = texts.reduce((sum, text) => sum + 4 + text.length, 4) + 8 * addresses.length;
  const request = Buffer.alloc(4 + bytes);
  let at = request.writeUInt32LE(bytes, 0);
  for (const text of texts) {
    at = request.writeUInt32LE(text.length, at);
    at += text.copy(request, at);
  }
  at = request.writeUInt32LE(addresses.length, at);
  for (const address of addresses) {
    at = request.writeUInt32LE(address % U32_LIMIT, at);
    at = request.writeUInt32LE(Math.floor(address / U32_LIMIT), at);
  }
  return request;
}

/** Reads an answer without its length. Throws `LINES_REFUSED`, and `LINES_BROKEN` where it makes no sense. */
export function decodeAnswer(answer: Buffer): LinesAnswer {
  try {
    return read(answer);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new OffheapError('LINES_BROKEN', 'the answer of the worker that reads lines makes no sense');
  }
}

function read(answer: Buffer): LinesAnswer {
  let at = 1;
  const u32 = () => {
    at += 4;
    return answer.readUInt32LE(at - 4);
  };
  const text = () => {
    const end = u32() + at;
    if (end > answer.length) throw new RangeError('a text beyond the end');
    const value = answer.toString('utf8', at, end);
    at = end;
    return value;
  };
  if (answer.readUInt8(0) === REFUSED) throw new OffheapError('LINES_REFUSED', text());
  const problem = text();
  const residentBytes = u32() + u32() * U32_LIMIT;
  const texts: string[] = [];
  for (let left = count(u32(), 4, answer.length - at); left > 0; left--) texts.push(text());
  const textAt = (number: number) => (number === 0 ? null : (texts[number - 1] ?? null));
  const frames: SourceFrame[] = [];
  for (let left = count(u32(), 12, answer.length - at); left > 0; left--) {
    const rawFunction = textAt(u32());
    const file = textAt(u32());
    frames.push({ rawFunction, file, line: u32() || null });
  }
  const distinct: Chain[] = [];
  for (let left = count(u32(), 4, answer.length - at); left > 0; left--) {
    const length = count(u32(), 4, answer.length - at);
    const chain = Array.from({ length }, () => existing(frames, u32()));
    distinct.push(length === 0 ? NO_CHAIN : chain);
  }
  const chains: Chain[] = [];
  for (let left = count(u32(), 4, answer.length - at); left > 0; left--)
    chains.push(existing(distinct, u32()));
  return { chains, problem, residentBytes };
}

function existing<T>(things: readonly T[], index: number): T {
  const thing = things[index];
  if (thing === undefined) throw new RangeError('a number of nothing');
  return thing;
}

/** A number of things of at least so many bytes each, as far as there is room for them. */
function count(number: number, eachBytes: number, roomBytes: number): number {
  if (number * eachBytes > roomBytes) throw new RangeError('more than there is room for');
  return number;
}
