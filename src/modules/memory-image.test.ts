import { describe, expect, it } from 'vitest';
import fc from '../../test/support/properties.js';
import { ElfError } from './bounded-file.js';
import { ElfFile } from './elf.js';
import { MemoryImage } from './memory-image.js';
import { ProcessMaps } from './process-maps.js';
import { type ReadMemory, readProcessMemory } from './process-memory.js';

const vdso = new ProcessMaps(process.pid).find('[vdso]')!;
const bytes = readProcessMemory(process.pid, vdso.start, vdso.end - vdso.start)!;

/** A process that has `content` at `head` and nothing else. */
function memoryOf(content: Buffer, head: number): ReadMemory {
  return (address, length) => {
    const at = address - head;
    return at >= 0 && at + length <= content.length ? Buffer.from(content.subarray(at, at + length)) : null;
  };
}

function open(content: Buffer): ElfFile {
  return new ElfFile(new MemoryImage('image', memoryOf(content, 0x7000_0000), 0x7000_0000, content.length));
}

describe('MemoryImage', () => {
  it('is the ELF file that a process has mapped', () => {
    const elf = open(bytes);
    expect(elf.soname).toBe('linux-vdso.so.1');
    expect(elf.buildId).toMatch(/^[0-9a-f]{40}$/);
  });

  it('ends where something else is mapped in its place', () => {
    const content = Buffer.alloc(64 << 10);
    bytes.copy(content);
    // What lies behind the beginning is not kept, but read when it is asked for.
    const memory = memoryOf(content, 0x7000_0000);
    const image = new MemoryImage('image', memory, 0x7000_0000, 4096);
    expect(image.read(4096, 16)).toEqual(content.subarray(4096, 4112));
    content.fill(0, 16, 64);
    expect(() => image.read(4096, 16)).toThrow('no longer mapped');
  });

  it('survives whatever a process has there', () => {
    const change = fc.tuple(fc.nat(1024), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff, 4, 24));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 16 }), (changes) => {
        const content = Buffer.from(bytes);
        for (const [at, value] of changes) content[at] = value;
        try {
          const elf = open(content);
          elf.section('.text');
          elf.offsetOf(0x100);
          elf.file.readUpTo(0, 2 ** 40);
        } catch (error) {
          if (!(error instanceof ElfError)) throw error;
        }
      }),
      { numRuns: 500 },
    );
  });
});
