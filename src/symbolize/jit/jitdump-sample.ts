/** Hand-made parts of jitdump files, for tests. */

export function dumpHeader({ magic = 0x4a695444, version = 1, processId = 1, flags = 0 } = {}): Buffer {
  const header = Buffer.alloc(40);
  header.writeUInt32LE(magic, 0);
  header.writeUInt32LE(version, 4);
  header.writeUInt32LE(40, 8);
  header.writeUInt32LE(62, 12);
  header.writeUInt32LE(processId, 20);
  header.writeUInt32LE(flags, 32);
  return header;
}

export interface LoadedCode {
  stampNs: number;
  start: number;
  bytes: number;
  index: number;
  name: string;
}

export function load({ stampNs, start, bytes, index, name }: LoadedCode): Buffer {
  const code = Buffer.alloc(Math.min(bytes, 1 << 16), 0x90);
  return record(0, stampNs, [u64s(0, start, start, bytes, index), Buffer.from(`${name}\0`), code]);
}

export function move({
  stampNs,
  to,
  bytes,
  index,
}: {
  stampNs: number;
  to: number;
  bytes: number;
  index: number;
}): Buffer {
  return record(1, stampNs, [u64s(0, to, 0, to, bytes, index)]);
}

/** A file of null repeats the one before. */
export function debugInfo(
  code: number,
  entries: readonly { address: number; line: number; file: string | null }[],
): Buffer {
  const lines = entries.map(({ address, line, file }) => {
    const head = Buffer.alloc(16);
    head.writeBigUInt64LE(BigInt(address), 0);
    head.writeInt32LE(line, 8);
    const name = file === null ? Buffer.from([0xff, 0]) : Buffer.from(`${file}\0`);
    return Buffer.concat([head, name]);
  });
  return record(2, 0, [u64s(code, entries.length), ...lines]);
}

function record(kind: number, stampNs: number, parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(16);
  head.writeUInt32LE(kind, 0);
  head.writeUInt32LE(16 + body.length, 4);
  head.writeBigUInt64LE(BigInt(stampNs), 8);
  return Buffer.concat([head, body]);
}

function u64s(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(8 * values.length);
  for (const [index, value] of values.entries()) bytes.writeBigUInt64LE(BigInt(value), 8 * index);
  return bytes;
}
