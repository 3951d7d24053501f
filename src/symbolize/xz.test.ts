import { execFileSync } from 'node:child_process';
import { beforeAll, describe, expect, it } from 'vitest';
import fc from '../../test/support/properties.js';
import { ElfError } from '../modules/bounded-file.js';
import { decompressXz } from './xz.js';

const text = Buffer.from(Array.from({ length: 40_000 }, (_, i) => `symbol_${(i * 7919) % 4099}\n`).join(''));
let compressed: Buffer = Buffer.alloc(0);

function xz(input: Buffer, ...options: string[]): Buffer {
  return execFileSync('xz', ['-c', ...options], { input, maxBuffer: 1 << 28 });
}

function attempt(bytes: Uint8Array): Buffer | string {
  try {
    return decompressXz(bytes, 'file');
  } catch (error) {
    if (error instanceof ElfError) return error.code;
    throw error;
  }
}

beforeAll(() => {
  compressed = xz(text);
});

describe('decompressXz', () => {
  it.each([[], ['-9e'], ['--check=crc32'], ['--check=none'], ['-T2', '--block-size=65536']])(
    'reads what xz %s writes',
    (...options) => expect(decompressXz(xz(text, ...options), 'file').equals(text)).toBe(true),
  );

  it('refuses what is cut short, empty or no xz', () => {
    for (const length of [0, 1, 12, 100, compressed.length - 1]) {
      expect(attempt(compressed.subarray(0, length))).toBe('elf/malformed');
    }
    expect(attempt(text.subarray(0, 4096))).toBe('elf/malformed');
  });

  it('refuses a few bytes that stand for gigabytes', () => {
    expect(attempt(xz(Buffer.alloc(200 << 20), '-1'))).toBe('elf/too-large');
  });

  it('survives any changed bytes', () => {
    const change = fc.tuple(fc.nat(compressed.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        const bytes = Buffer.from(compressed);
        for (const [at, value] of changes) bytes[at] = value;
        attempt(bytes);
      }),
      { numRuns: 150 },
    );
  });
});
