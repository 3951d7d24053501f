import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import fc from '../../test/support/properties.js';
import { BoundedFile, ElfError } from '../modules/bounded-file.js';
import { ElfFile } from '../modules/elf.js';
import { PF_X, PT_LOAD } from '../modules/elf-headers.js';
import type { Module } from '../modules/table.js';
import type { SymbolTable } from '../wire/symbol-table.js';
import { demangle } from './demangle.js';
import { describeFrame } from './frame.js';
import { DebugFiles } from './lines/debug-files.js';
import { SymbolCache } from './symbol-cache.js';
import { readSymbolTable } from './symbol-reader.js';
import { displayName, Symbolizer } from './symbols.js';

const LIBSTDCXX = '/usr/lib/x86_64-linux-gnu/libstdc++.so.6';
const PROGRAM = `
#include <cstdio>
#include <cstdlib>
#include <string>
namespace shop { struct Till { int count(const std::string& what); }; }
int shop::Till::count(const std::string& what) { return std::puts(what.c_str()); }
// sized (8 bytes) holding inner (2 bytes), then padding without a name, then a label without a size.
asm(R"(.text
.balign 16
.globl sized; .type sized, @function
sized: nop; nop; nop
.globl inner; .type inner, @function
inner: nop; nop
.size inner, .-inner
nop; nop; nop
.size sized, .-sized
.balign 16
.globl unsized; .type unsized, @function
unsized: nop; nop; nop; nop
.globl after; .type after, @function
after: ret
.size after, .-after
.globl left; .type left, @function
left: ret
.globl right; .type right, @function
right: nop; nop; ret
.size right, 2
.size left, 2
.globl __alias_x, alias, alias64; .type __alias_x, @function; .type alias, @function; .type alias64, @function
__alias_x: alias64: alias: ret
.size alias, 1; .size alias64, 1; .size __alias_x, 1
)");
#ifdef STRIPPED
// A label without a size, then a function that only its unwind information tells from it once it is stripped.
asm(R"(.text
.balign 16
.globl bare_label; .type bare_label, @function
bare_label: nop; nop; nop; nop
.type hidden_part, @function
hidden_part: .cfi_startproc; nop; nop; ret; .cfi_endproc
.size hidden_part, .-hidden_part
)");
#endif
int main() { shop::Till till; till.count("x"); std::exit(0); }
`;

let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'offheap-symbols-'));
  writeFileSync(join(folder, 'program.cc'), PROGRAM);
});
afterAll(() => rmSync(folder, { recursive: true }));

function compile(name: string, ...options: string[]): string {
  const path = join(folder, name);
  execFileSync('g++', ['-o', path, join(folder, 'program.cc'), '-O1', ...options]);
  return path;
}

const BASE = 0x7f00_0000_0000;

/** The executable part of a file as it would be mapped `BASE` above its own addresses. */
function moduleOf(path: string, changes: Partial<Module> = {}): Module {
  const elf = new ElfFile(new BoundedFile(path));
  const code = elf.segments.find(({ type, flags }) => type === PT_LOAD && (flags & PF_X) !== 0)!;
  const into = code.offset % 4096;
  return {
    id: 1,
    name: 'module',
    path,
    start: BASE + code.address - into,
    end: BASE + code.address + code.memoryBytes,
    fileOffset: code.offset - into,
    isProgram: false,
    deleted: false,
    stale: null,
    elf,
    problem: null,
    ...changes,
  };
}

interface Listed {
  address: number;
  bytes: number;
  name: string;
}

function run(command: string, args: string[], input = ''): string {
  return execFileSync(command, args, {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    input,
    stdio: ['pipe', 'pipe', 'ignore'],
  });
}

/** The functions that readelf lists; of the full table where there is one. */
function listedFunctions(path: string): Listed[] {
  const said = run('readelf', ['-sW', path]);
  const from = Math.max(0, said.indexOf("Symbol table '.symtab'"));
  const line = /^ *\d+: (\w+) +(\w+) (?:FUNC|IFUNC) +\w+ +\w+ +(?!UND)\w+ ([^\s@]+)/gm;
  return [...said.slice(from).matchAll(line)].map(([, address, bytes, name]) => ({
    address: Number.parseInt(address!, 16),
    bytes: Number(bytes),
    name: name!,
  }));
}

/** A different place each, the same ones in each run. */
function* places(count: number): Generator<number> {
  for (let i = 0, state = 12345; i < count; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    yield state / 2 ** 32;
  }
}

describe.each([
  LIBSTDCXX,
  '/lib/x86_64-linux-gnu/libc.so.6',
  '/lib64/ld-linux-x86-64.so.2',
  '/usr/bin/python3',
  process.execPath,
])('%s', (path) => {
  it.skipIf(!existsSync(path))('has at 2,500 places the innermost function that readelf lists there', () => {
    const sized = listedFunctions(path).filter(({ bytes }) => bytes > 0);
    const symbolizer = new Symbolizer();
    const module = moduleOf(path);
    for (const place of places(2500)) {
      const { address, bytes } = sized[Math.floor(place * sized.length)]!;
      // Also the two bytes beyond the function, which mostly belong to none.
      const asked = address + Math.floor(((place * 7919) % 1) * (bytes + 2));
      const holders = sized.filter(
        (symbol) => symbol.address <= asked && asked < symbol.address + symbol.bytes,
      );
      const start = Math.max(...holders.map((symbol) => symbol.address));
      const names = holders.filter((symbol) => symbol.address === start).map(({ name }) => name);
      const found = symbolizer.function(module, BASE + asked, true);
      if (found === null || found.rawName.endsWith('@plt')) expect(names).toEqual([]);
      else if (names.length > 0) {
        expect(names).toContain(found.rawName);
        expect(found.offset).toBe(asked - start);
      }
    }
  });
});

describe('libstdc++', () => {
  it.each([0, 8192])('is read anew where its cached table is cut to %i bytes while in use', async (bytes) => {
    const module = moduleOf(LIBSTDCXX);
    const sized = listedFunctions(LIBSTDCXX).filter(({ bytes }) => bytes > 0);
    const asked = [...places(200)].map((place) => BASE + sized[Math.floor(place * sized.length)]!.address);
    const cached = join(folder, `cut-${bytes}`, 'symbols');
    const looks = [
      (symbolizer: Symbolizer) => asked.map((address) => symbolizer.function(module, address, true)?.rawName),
      (symbolizer: Symbolizer) => asked.map((address) => symbolizer.rawName(module, address, true)),
    ];
    for (const look of looks) {
      const expected = look(new Symbolizer({ cache: new SymbolCache(cached) }));
      // Tables are written when names have been told.
      await setImmediate();
      const symbolizer = new Symbolizer({ cache: new SymbolCache(cached) });
      expect(symbolizer.rawName(module, asked[0]!, true)).toBe(expected[0]);
      const [file] = readdirSync(cached);
      truncateSync(join(cached, file!), bytes);
      expect(look(symbolizer)).toEqual(expected);
      await setImmediate();
      expect(look(new Symbolizer({ cache: new SymbolCache(cached) }))).toEqual(expected);
    }
  });

  it('has the functions that addr2line says, at 2,500 places', () => {
    const sized = listedFunctions(LIBSTDCXX).filter(({ bytes }) => bytes > 0);
    const aliases = new Map<string, number>(sized.map(({ name, address }) => [name, address]));
    const symbolizer = new Symbolizer();
    const module = moduleOf(LIBSTDCXX);
    const asked = [...places(2500)].map((place) => {
      const { address, bytes } = sized[Math.floor(place * sized.length)]!;
      return address + Math.floor(((place * 7919) % 1) * bytes);
    });
    const said = run(
      'addr2line',
      ['-fe', LIBSTDCXX],
      asked.map((address) => address.toString(16)).join('\n'),
    ).split('\n');
    asked.forEach((address, i) => {
      const found = symbolizer.function(module, BASE + address, true);
      const theirs = said[2 * i]!.replace(/@.*/, '');
      expect(aliases.get(found?.rawName ?? ''), `${found?.rawName} and ${theirs}`).toBe(aliases.get(theirs));
    });
  });

  it('has names demangled as by nm -C, but for other words for the same', () => {
    const raw = [...new Set(listedFunctions(LIBSTDCXX).map(({ name }) => name))].filter((name) =>
      name.startsWith('_Z'),
    );
    const theirs = run('c++filt', [], `${raw.join('\n')}\n`).split('\n');
    expect(raw.length).toBeGreaterThan(2000);
    // Known differences: return types and parameters, which names don't show, and the standard's abbreviations.
    const abbreviated = /std::(string|[io]+stream)\b/;
    raw.forEach((name, i) => {
      const ours = displayName(name);
      if (abbreviated.test(ours) || abbreviated.test(demangle(name)!)) return;
      const other = theirs[i]!.replaceAll(' ', '');
      const pieces = ours.replaceAll(' ', '').split('<…>');
      expect([ours, theirs[i], pieces.every((piece) => other.includes(piece))]).toEqual([
        ours,
        theirs[i],
        true,
      ]);
    });
  });
});

describe('a compiled program', () => {
  const place = (path: string, name: string) =>
    listedFunctions(path).find((symbol) => symbol.name === name)!.address;
  const nameAt = (table: SymbolTable, address: number) => {
    const index = table.indexAt(address);
    return index < 0 ? null : table.rawName(index);
  };

  it('respects sizes, nesting, padding and labels without a size', () => {
    const path = compile('program');
    const table = readSymbolTable(new ElfFile(new BoundedFile(path)));
    const sized = place(path, 'sized');
    const names = Array.from({ length: 21 }, (_, i) => nameAt(table, sized + i));
    expect(names).toEqual([
      ...['sized', 'sized', 'sized', 'inner', 'inner', 'sized', 'sized', 'sized'],
      ...Array(8).fill(null),
      ...['unsized', 'unsized', 'unsized', 'unsized', 'after'],
    ]);
    // left ends within right.
    const behind = Array.from({ length: 5 }, (_, i) => nameAt(table, sized + 21 + i));
    expect(behind).toEqual(['left', 'right', 'right', null, 'alias']);
  });

  it('names functions behind a base address, return addresses by their call', () => {
    const path = compile('program');
    const symbolizer = new Symbolizer();
    const module = moduleOf(path);
    const main = BASE + place(path, 'main');
    const end = main + listedFunctions(path).find(({ name }) => name === 'main')!.bytes;
    expect(symbolizer.function(module, main, true)).toEqual({ name: 'main', rawName: 'main', offset: 0 });
    // exit() never returns, so the address behind its call is the first one behind main.
    expect(symbolizer.function(module, end, false)).toEqual({
      name: 'main',
      rawName: 'main',
      offset: end - main,
    });
    expect(symbolizer.function(module, end, true)?.name).not.toBe('main');
    const count = listedFunctions(path).find(({ name }) => name.startsWith('_ZN4shop4Till5count'))!;
    expect(describeFrame(symbolizer, module, BASE + count.address + 1, false)).toEqual({
      module: 'module',
      function: 'shop::Till::count',
      file: null,
      line: null,
      inlined: false,
      language: 'native',
      address: `0x${(BASE + count.address + 1).toString(16)}`,
      fileAddress: `0x${(count.address + 1).toString(16)}`,
    });
    expect(describeFrame(symbolizer, null, 0x1234, true)).toMatchObject({
      module: '[unknown]',
      function: null,
    });
  });

  it('keeps exported names when stripped, without section headers too', () => {
    const path = compile('stripped', '-s', '-rdynamic');
    const expected = new Set(listedFunctions(path).map(({ address }) => address)).size;
    const bytes = readFileSync(path);
    bytes.fill(0, 40, 48);
    bytes.fill(0, 60, 64);
    const sectionless = join(folder, 'sectionless');
    writeFileSync(sectionless, bytes);
    for (const file of [path, sectionless]) {
      const table = readSymbolTable(new ElfFile(new BoundedFile(file)));
      const names = Array.from({ length: table.functions }, (_, i) => table.rawName(i)).filter(
        (name) => name !== null && !name.endsWith('@plt'),
      );
      expect(names).toEqual(
        expect.arrayContaining([
          'main',
          '_ZN4shop4Till5countERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE',
        ]),
      );
      expect(names.length).toBe(expected);
    }
  });

  it.each([
    ['lazily', []],
    ['at once', ['-Wl,-z,now']],
    ['lazily under CET', ['-fcf-protection', '-Wl,-z,ibtplt']],
    ['at once under CET', ['-fcf-protection', '-Wl,-z,ibtplt', '-Wl,-z,now', '-fno-plt']],
  ])('names the stubs of functions bound %s as objdump does', (name, options) => {
    const path = compile(`bound ${name}`, ...options);
    const table = readSymbolTable(new ElfFile(new BoundedFile(path)));
    // Of a table that is split for CET, the first half only pushes an index: nobody's frame lies in it.
    const isSplit = new ElfFile(new BoundedFile(path)).section('.plt.sec') !== undefined;
    const sections = isSplit ? ['-j.plt.sec', '-j.plt.got'] : ['-j.plt', '-j.plt.got'];
    const said = run('objdump', ['-d', ...sections, path]);
    const labels = [...said.matchAll(/^(\w+) <([^\s@>]+@plt)>:$/gm)];
    expect(labels.length).toBeGreaterThan(name.startsWith('lazily') ? 2 : 0);
    for (const [, address, label] of labels) expect(nameAt(table, Number.parseInt(address!, 16))).toBe(label);
    expect(Array.from({ length: table.functions }, (_, i) => table.rawName(i))).toContain(
      '__cxa_finalize@plt',
    );
  });

  it('knows where functions without a name begin and end, also next to a label without a size', () => {
    const path = compile('whole.so', '-shared', '-fPIC', '-DSTRIPPED');
    const stripped = join(folder, 'stripped.so');
    run('strip', ['-o', stripped, path]);
    const symbolizer = new Symbolizer();
    const module = moduleOf(stripped);
    const hidden = listedFunctions(path).find(({ name }) => name === 'hidden_part')!;
    const label = BASE + place(path, 'bare_label');
    expect(symbolizer.function(module, label + 3, true)?.name).toBe('bare_label');
    for (const offset of [0, hidden.bytes - 1]) {
      const address = BASE + hidden.address + offset;
      expect(symbolizer.function(module, address, true)).toBeNull();
      expect(symbolizer.functionAddress(module, address, true)).toBe(hidden.address);
      expect(describeFrame(symbolizer, module, address, true)).toMatchObject({
        function: null,
        unnamed: 'noSymbols',
        functionAddress: `0x${hidden.address.toString(16)}`,
      });
    }
    expect(symbolizer.function(moduleOf(path), BASE + hidden.address, true)?.name).toBe('hidden_part');
  });

  it('reads the compressed symbols that a stripped file may carry', () => {
    const path = compile('mini-whole.so', '-shared', '-fPIC', '-DSTRIPPED');
    const [mini, packed, carrier] = ['mini', 'mini.xz', 'carrier.so'].map((name) => join(folder, name));
    run('objcopy', ['--only-keep-debug', path, mini!]);
    writeFileSync(packed!, execFileSync('xz', ['-c', mini!]));
    run('strip', ['-o', carrier!, path]);
    run('objcopy', ['--add-section', `.gnu_debugdata=${packed}`, carrier!]);
    const hidden = listedFunctions(path).find(({ name }) => name === 'hidden_part')!;
    const symbolizer = new Symbolizer();
    expect(symbolizer.function(moduleOf(carrier!), BASE + hidden.address + 1, true)?.name).toBe(
      'hidden_part',
    );
    const damaged = readFileSync(carrier!);
    damaged.fill(
      0x55,
      damaged.indexOf(readFileSync(packed!)) + 40,
      damaged.indexOf(readFileSync(packed!)) + 80,
    );
    writeFileSync(carrier!, damaged);
    const again = moduleOf(carrier!, { name: 'damaged' });
    const exported = place(
      path,
      '_ZN4shop4Till5countERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE',
    );
    expect(new Symbolizer().function(again, BASE + hidden.address, true)).toBeNull();
    expect(new Symbolizer().function(again, BASE + exported, true)?.name).toBe('shop::Till::count');
  });

  describe('that was stripped, its symbols put elsewhere', () => {
    const cached = () => ({ cache: new SymbolCache(join(folder, 'separate-cache', 'symbols')) });

    it.each([
      [
        'by build-id',
        'sha1',
        (debug: string, id: string) => join(debug, '.build-id', id.slice(0, 2), `${id.slice(2)}.debug`),
      ],
      ['by build-id, beside it', 'sha1', () => join(folder, 'separate.debug')],
      ['by checksum, in .debug beside it', 'none', () => join(folder, '.debug', 'separate.debug')],
    ])('has their names once they are there: %s', async (_, buildId, debugPath) => {
      const path = compile('separate', `-Wl,--build-id=${buildId}`);
      const hidden = place(path, 'sized');
      const whole = new Symbolizer().function(moduleOf(path), BASE + hidden, true);
      expect(whole?.name).toBe('sized');
      const link = join(folder, 'separate.debug');
      run('objcopy', ['--only-keep-debug', path, link]);
      run('strip', [path]);
      run('objcopy', [`--add-gnu-debuglink=${link}`, path]);
      const module = moduleOf(path);
      const debugFolder = join(folder, 'debug-symbols');
      const debug = debugPath(debugFolder, module.elf!.buildId ?? '');
      renameSync(link, `${link}.later`);
      const name = async () => {
        const debugFiles = new DebugFiles(debugFolder);
        const found = new Symbolizer({ ...cached(), debugFiles }).rawName(module, BASE + hidden, true);
        await setImmediate();
        return found;
      };
      expect([await name(), await name()]).toEqual([null, null]);
      mkdirSync(dirname(debug), { recursive: true });
      // Another build's is not taken.
      const another = compile('another', `-Wl,--build-id=${buildId},-z,now`);
      run('objcopy', ['--only-keep-debug', another, debug]);
      expect(await name()).toBeNull();
      renameSync(`${link}.later`, debug);
      expect([await name(), await name()]).toEqual(['sized', 'sized']);
      // What the file itself tells stays.
      const stub = new Symbolizer({ debugFiles: new DebugFiles(debugFolder) });
      const names = Array.from({ length: 0x400 }, (_, i) => stub.rawName(module, module.start + i, true));
      expect(names).toContain('puts@plt');
      rmSync(debug);
      expect(await name()).toBeNull();
    });
  });

  it('gives no names from a file that may be another one, and says so', () => {
    const symbolizer = new Symbolizer();
    const path = compile('program');
    const module = moduleOf(path, { stale: 'program was deleted or replaced after it was mapped' });
    expect(symbolizer.function(module, module.start + 64, true)).toBeNull();
    expect(symbolizer.problems.get(path)).toContain('replaced');
  });

  it('reads a table again after others took its room', () => {
    const symbolizer = new Symbolizer({ mostMemoryBytes: 1 });
    const program = moduleOf(compile('program'));
    const library = moduleOf(LIBSTDCXX);
    const main = BASE + place(program.path!, 'main');
    const first = listedFunctions(LIBSTDCXX).find(({ bytes }) => bytes > 0)!;
    for (let i = 0; i < 2; i++) {
      expect(symbolizer.function(program, main, true)?.name).toBe('main');
      expect(symbolizer.function(library, BASE + first.address, true)).not.toBeNull();
    }
  });

  it('survives any changed bytes', () => {
    const path = compile('small.so', '-shared', '-fPIC', '-s');
    const original = readFileSync(path);
    const mutant = join(folder, 'mutant.so');
    // The headers; the symbol, hash and relocation tables behind them; the section headers at the end.
    const position = fc.oneof(
      fc.nat(4096),
      fc.nat(original.length - 1),
      fc.integer({ min: 1, max: 2048 }).map((n) => original.length - n),
    );
    const change = fc.tuple(position, fc.constantFrom(0, 1, 0x7f, 0x80, 0xff, 4, 24));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 24 }), (changes) => {
        const bytes = Buffer.from(original);
        for (const [at, value] of changes) bytes[at] = value;
        writeFileSync(mutant, bytes);
        const file = new BoundedFile(mutant);
        try {
          const table = readSymbolTable(new ElfFile(file));
          for (let address = 0; address < 0x5000; address += 0x101) nameAt(table, address);
        } catch (error) {
          if (!(error instanceof ElfError)) throw error;
        } finally {
          file.park();
        }
      }),
      { numRuns: 600 },
    );
  });
});

const hasRust = ((): boolean => {
  try {
    return run('rustc', ['--version']) !== '';
  } catch {
    return false;
  }
})();

describe('a Rust program', () => {
  it.skipIf(!hasRust)(`has its names without hashes${hasRust ? '' : ' (skipped: no rustc here)'}`, () => {
    writeFileSync(
      join(folder, 'demo.rs'),
      `mod store { pub struct Pool(pub Vec<u8>);
         impl Pool { #[inline(never)] pub fn grow(&mut self) -> usize { self.0.push(1); self.0.len() } } }
       fn main() { let mut pool = store::Pool(Vec::new()); println!("{}", pool.grow()); }`,
    );
    for (const version of ['legacy', 'v0']) {
      const path = join(folder, `demo-${version}`);
      const mangling = version === 'v0' ? ['-Csymbol-mangling-version=v0'] : [];
      run('rustc', ['-o', path, ...mangling, join(folder, 'demo.rs')]);
      const symbolizer = new Symbolizer();
      const grow = listedFunctions(path).find(({ name }) => name.includes('store') && name.includes('grow'))!;
      expect(symbolizer.function(moduleOf(path), BASE + grow.address, true)?.name).toMatch(
        /^(demo::store::Pool::grow|<demo::store::Pool>::grow)$/,
      );
    }
  });
});
