import { execFile, execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import fc from '../../test/support/properties.js';
import { BoundedFile } from '../modules/bounded-file.js';
import { ElfFile } from '../modules/elf.js';
import { SymbolTable } from '../wire/symbol-table.js';
import { SymbolCache } from './symbol-cache.js';
import { readSymbolTable } from './symbol-reader.js';

const HEAD_BYTES = 64;
let top = '';
let folder = '';
let table: SymbolTable;
let round = 0;

beforeAll(() => {
  top = mkdtempSync(join(tmpdir(), 'offheap-cache-'));
  writeFileSync(join(top, 'a.c'), 'int one(void) { return 1; } int two(void) { return 2; }');
  const library = join(top, 'a.so');
  execFileSync('cc', ['-shared', '-fPIC', '-o', library, join(top, 'a.c')]);
  table = readSymbolTable(new ElfFile(new BoundedFile(library)));
});
beforeEach(() => {
  folder = join(top, `${round++}`, 'offheap', 'symbols');
});
afterAll(() => rmSync(top, { recursive: true }));

function files(): string[] {
  return readdirSync(folder).map((name) => join(folder, name));
}

function namesOf(read: SymbolTable | null): (string | null)[] | null {
  return read && Array.from({ length: read.functions }, (_, index) => read.rawName(index));
}

/** A cache that has one table, as another collector would find it. */
function filled(): SymbolCache {
  new SymbolCache(folder).write('key', table);
  return new SymbolCache(folder);
}

describe('SymbolCache', () => {
  it('gives back what was kept, to another collector too', () => {
    const cache = filled();
    expect(namesOf(cache.read('key'))).toEqual(namesOf(table));
    expect(cache.read('other')).toBeNull();
    expect(cache.problem).toBeNull();
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(statSync(files()[0]!).mode & 0o777).toBe(0o600);
  });

  it('is in the folder that the environment names', () => {
    const base = join(top, 'xdg');
    SymbolCache.ofUser({ XDG_CACHE_HOME: base })!.write('key', table);
    expect(readdirSync(join(base, 'offheap', 'symbols'))).toHaveLength(1);
    expect(SymbolCache.ofUser({ XDG_CACHE_HOME: 'relative' })).not.toBeNull();
  });

  it.each(['group-writable', 'a link', 'a file'])('is not used where its folder is %s', (what) => {
    mkdirSync(join(folder, '..'), { recursive: true, mode: 0o700 });
    if (what === 'a link') symlinkSync(top, folder);
    else if (what === 'a file') writeFileSync(folder, '');
    else {
      mkdirSync(folder);
      chmodSync(folder, 0o770);
    }
    const cache = new SymbolCache(folder);
    cache.write('key', table);
    expect(cache.read('key')).toBeNull();
    expect(cache.problem).toContain('not kept');
    if (what === 'group-writable') expect(files()).toEqual([]);
  });

  it.skipIf(process.getuid?.() !== 0)('is not used where folder or file are another user’s', () => {
    const cache = filled();
    chownSync(files()[0]!, 12345, 0);
    expect(cache.read('key')).toBeNull();
    chownSync(folder, 12345, 0);
    const other = new SymbolCache(folder);
    expect(other.read('key')).toBeNull();
    expect(other.problem).toContain('not this user');
  });

  it('drops what is cut short, and follows no link', () => {
    const cache = filled();
    const [path] = files();
    truncateSync(path!, statSync(path!).size - 1);
    expect(cache.read('key')).toBeNull();
    expect(files()).toEqual([]);
    symlinkSync('/etc/passwd', path!);
    expect(cache.read('key')).toBeNull();
    expect(lstatSync(path!).isSymbolicLink()).toBe(true);
    cache.write('key', table);
    expect(namesOf(cache.read('key'))).toEqual(namesOf(table));
  });

  it('drops what is damaged, whatever byte it is', () => {
    const cache = filled();
    const [path] = files();
    const original = readFileSync(path!);
    fc.assert(
      fc.property(fc.nat(original.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const bytes = Buffer.from(original);
        bytes[at]! ^= change;
        writeFileSync(path!, bytes, { mode: 0o600 });
        expect(cache.read('key')).toBeNull();
      }),
      { numRuns: 200 },
    );
  });

  it('survives a table of nonsense whose checksum is right', () => {
    filled();
    const original = readFileSync(files()[0]!).subarray(HEAD_BYTES);
    const change = fc.tuple(fc.nat((original.length >> 2) - 1), fc.integer());
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 8 }), (changes) => {
        const bytes = new Uint8Array(Buffer.from(original));
        const words = new DataView(bytes.buffer, bytes.byteOffset);
        // The head's sizes stay: a table of another size is refused when it is opened.
        for (const [word, value] of changes) if (word >= 5) words.setInt32(4 * word, value);
        const cache = new SymbolCache(folder);
        cache.write('key', SymbolTable.of(bytes));
        const read = cache.read('key')!;
        for (let address = 0; address < 0x5000; address += 0x71) {
          read.rawNameAt(address);
          const index = read.indexAt(address);
          if (index >= 0) read.rawName(index);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('makes room by what was used longest ago, and clears away what a killed collector left', () => {
    const bytes = table.bytes + HEAD_BYTES;
    const cache = new SymbolCache(folder, 4 * bytes);
    for (let i = 0; i < 4; i++) {
      cache.write(`key ${i}`, table);
      const path = files().find((each) => statSync(each).mtimeMs > 2_000_000)!;
      utimesSync(path, 1000 + i, 1000 + i);
    }
    writeFileSync(join(folder, '.1-0-0'), '');
    utimesSync(join(folder, '.1-0-0'), 1000, 1000);
    expect(cache.read('key 0')).not.toBeNull();
    cache.write('key 4', table);
    expect(files()).toHaveLength(3);
    const kept = [0, 1, 2, 3, 4].filter((i) => new SymbolCache(folder).read(`key ${i}`) !== null);
    // The first was read again meanwhile.
    expect(kept).toEqual([0, 3, 4]);
  });

  it('is safe for collectors that write at once', async () => {
    const script = `
      const { SymbolCache } = await import(process.argv[1]);
      const { SymbolTable } = await import(process.argv[2]);
      const table = SymbolTable.of((await import('node:fs')).readFileSync(process.argv[3]).subarray(64));
      const cache = new SymbolCache(process.argv[4], 20000);
      for (let i = 0; i < 200; i++) {
        cache.write('key ' + i % 7, table);
        const read = cache.read('key ' + (i + 3) % 7);
        if (read !== null && read.functions !== table.functions) throw new Error('another table');
      }
      if (cache.problem !== null) throw new Error(cache.problem);`;
    const raw = join(top, 'table');
    filled();
    copyFileSync(files()[0]!, raw);
    const urls = ['symbol-cache', '../wire/symbol-table'].map(
      (name) => new URL(`./${name}.ts`, import.meta.url).href,
    );
    const args = ['--import', 'tsx', '--input-type=module', '-e', script, ...urls, raw, folder];
    await Promise.all([0, 1, 2].map(() => promisify(execFile)(process.execPath, args)));
  });
});
