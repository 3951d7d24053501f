import { execFileSync } from 'node:child_process';
import { constants, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { open as openFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import fc from '../../test/support/properties.js';
import { BoundedFile, ElfError } from './bounded-file.js';
import { ElfFile } from './elf.js';
import { ElfStore } from './elf-store.js';

const SOURCE = `
asm(".pushsection .note.go.buildid,\\"a\\",@note\\n.long 3,4,4\\n.asciz \\"Go\\"\\n.byte 0\\n.ascii \\"id42\\"\\n.popsection");
extern "C" int twice(int x) { return 2 * x; }
extern "C" int thrice(int x) { return 3 * x; }
`;

let folder = '';
let library = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'offheap-elf-'));
  writeFileSync(join(folder, 'tiny.cc'), SOURCE);
  library = join(folder, 'libtiny.so');
  const soname = '-Wl,-soname,libtiny.so.7,--build-id=0x0123456789abcdef';
  execFileSync('g++', ['-shared', '-fPIC', '-nostdlib', soname, '-o', library, join(folder, 'tiny.cc')]);
});
afterAll(() => rmSync(folder, { recursive: true }));

function open(path: string): ElfFile {
  return new ElfFile(new BoundedFile(path));
}

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof ElfError) return error.code;
    throw error;
  }
  return 'none';
}

/** Asks a file everything; an `ElfError` is an answer too. */
function interrogate(path: string): void {
  const file = new BoundedFile(path);
  try {
    const elf = new ElfFile(file);
    elf.section('.text');
    for (const address of [0, 0x1000, 0x3ff0, 2 ** 47]) {
      elf.offsetOf(address);
      elf.addressOf(address);
      elf.isExecutable(address);
    }
  } catch (error) {
    if (!(error instanceof ElfError)) throw error;
  } finally {
    file.park();
  }
}

describe('ElfFile', () => {
  it('reads the name, build-id and language of a library', () => {
    const elf = open(library);
    expect(elf.soname).toBe('libtiny.so.7');
    expect(elf.buildId).toBe('0123456789abcdef');
    expect(elf.language).toBe('go');
    expect(elf.sections.map(({ name }) => name)).toContain('.dynsym');
  });

  it.each(['/lib/x86_64-linux-gnu/libc.so.6', '/lib64/ld-linux-x86-64.so.2', process.execPath])(
    'agrees with readelf on %s',
    (path) => {
      const elf = open(path);
      const said = execFileSync('readelf', ['-WndS', path], {
        encoding: 'utf8',
        maxBuffer: 1 << 26,
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      expect(elf.soname).toBe(/soname: \[(.*?)\]/.exec(said)?.[1] ?? null);
      expect(elf.buildId).toBe(/Build ID: ([0-9a-f]+)/.exec(said)?.[1] ?? null);
      expect(elf.language).toBeNull();
      const text = /\] \.text +PROGBITS +([0-9a-f]+) ([0-9a-f]+) ([0-9a-f]+)/.exec(said)!;
      const [address, offset, bytes] = text.slice(1).map((hex) => Number.parseInt(hex, 16));
      expect(elf.section('.text')).toMatchObject({ address, offset, bytes });
      expect(elf.offsetOf(address!)).toBe(offset);
      expect(elf.addressOf(offset!)).toBe(address);
      expect(elf.isExecutable(address!)).toBe(true);
    },
  );

  it('still knows a library whose section headers were stripped', () => {
    const bytes = readFileSync(library);
    bytes.fill(0, 40, 48);
    bytes.fill(0, 60, 64);
    const path = join(folder, 'sectionless.so');
    writeFileSync(path, bytes);
    const elf = open(path);
    expect(elf.sections).toEqual([]);
    expect(elf.soname).toBe('libtiny.so.7');
  });

  it('says of every shortened file what is wrong, or reads what is left', () => {
    const bytes = readFileSync(library);
    const path = join(folder, 'short.so');
    for (let length = 0; length < bytes.length; length += length < 1024 ? 1 : 61) {
      writeFileSync(path, bytes.subarray(0, length));
      interrogate(path);
      if (length < 64) expect(codeOf(() => open(path))).toBe(length < 4 ? 'elf/not-elf' : 'elf/truncated');
    }
  });

  it('survives any changed bytes', () => {
    const original = readFileSync(library);
    const path = join(folder, 'mutant.so');
    // Headers, the dynamic section and the section headers decide; half of the changes aim at the first.
    const place = fc.oneof(fc.nat(1024), fc.nat(original.length - 1));
    const change = fc.tuple(place, fc.constantFrom(0, 1, 0x7f, 0x80, 0xff, 4, 24));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 24 }), (changes) => {
        const bytes = Buffer.from(original);
        for (const [at, value] of changes) bytes[at] = value;
        writeFileSync(path, bytes);
        interrogate(path);
      }),
      { numRuns: 600 },
    );
  });

  it('survives garbage behind a sound start', () => {
    const path = join(folder, 'garbage.so');
    const head = readFileSync(library).subarray(0, 20);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2048 }), (garbage) => {
        writeFileSync(path, Buffer.concat([head, garbage]));
        interrogate(path);
      }),
    );
  });

  it('refuses what is no regular file, without waiting for it', () => {
    expect(codeOf(() => open('/dev/zero'))).toBe('elf/not-elf');
    expect(codeOf(() => open(folder))).toBe('elf/not-elf');
    expect(codeOf(() => open(join(folder, 'absent')))).toBe('elf/gone');
    expect(codeOf(() => open('/tmp/\0'))).toBe('elf/unreadable');
  });

  it('does not even open a pipe: its writer would notice', async () => {
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    let isOpened = false;
    const writer = openFile(pipe, 'w').then((file) => {
      isOpened = true;
      return file;
    });
    for (let i = 0; i < 20; i++) {
      expect(codeOf(() => open(pipe))).toBe('elf/not-elf');
      await setTimeout(5);
    }
    expect(isOpened).toBe(false);
    const reader = await openFile(pipe, constants.O_RDONLY | constants.O_NONBLOCK);
    await (await writer).close();
    await reader.close();
  });

  it('refuses other machines and classes', () => {
    const path = join(folder, 'other.so');
    const bytes = readFileSync(library);
    for (const [at, value] of [
      [4, 1],
      [5, 2],
      [18, 183],
    ] as const) {
      const other = Buffer.from(bytes);
      other[at] = value;
      writeFileSync(path, other);
      expect(codeOf(() => open(path))).toBe('elf/unsupported');
    }
  });
});

describe('BoundedFile', () => {
  it('reads on from a parked file, but not from another one in its place', () => {
    const path = join(folder, 'parked.so');
    writeFileSync(path, 'first');
    const file = new BoundedFile(path);
    file.park();
    expect(file.read(1, 3).toString()).toBe('irs');
    rmSync(path);
    writeFileSync(path, 'other');
    expect(codeOf(() => file.read(0, 1))).toBe('elf/replaced');
  });

  it('refuses reads beyond the end and notices that the file was written to', () => {
    const path = join(folder, 'shrinking');
    writeFileSync(path, 'abcdef');
    const file = new BoundedFile(path);
    expect(codeOf(() => file.read(4, 3))).toBe('elf/truncated');
    expect(codeOf(() => file.read(-1, 1))).toBe('elf/truncated');
    expect(codeOf(() => file.read(2 ** 60, 2 ** 60))).toBe('elf/truncated');
    expect(file.readUpTo(4, 100).toString()).toBe('ef');
    writeFileSync(path, 'ab');
    expect(codeOf(() => file.read(0, 6))).toBe('elf/replaced');
    file.park();
  });
});

describe('ElfStore', () => {
  it('parses a file once, whatever the path', () => {
    const store = new ElfStore();
    const alias = join(folder, 'alias.so');
    symlinkSync(library, alias);
    expect(store.open(alias)).toBe(store.open(library));
    store.close();
    expect(store.open(library).soname).toBe('libtiny.so.7');
    store.close();
  });
});
