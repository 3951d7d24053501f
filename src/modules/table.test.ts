import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ProcessFiles } from './process-files.js';
import { type MappedRange, ModuleTable } from './table.js';

const OVERLAY_FILE_SYSTEM = 0x794c7630;
const TARGET = `
#include <dlfcn.h>
#include <stdio.h>
int main(int, char** argv) {
    void* library = dlopen(argv[1], RTLD_NOW);
    printf("%p\\n", library ? dlsym(library, "twice") : nullptr);
    fflush(stdout);
    getchar();
}
`;

let folder = '';
let program = '';
let library = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'offheap-table-'));
  program = join(folder, 'target');
  library = join(folder, 'libplugin-1.2.so');
  writeFileSync(join(folder, 'target.cc'), TARGET);
  writeFileSync(join(folder, 'plugin.cc'), 'extern "C" int twice(int x) { return 2 * x; }');
  execFileSync('g++', ['-o', program, join(folder, 'target.cc')]);
  const shared = ['-shared', '-fPIC', '-Wl,-soname,libplugin.so.1'];
  execFileSync('g++', [...shared, '-o', library, join(folder, 'plugin.cc')]);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** The executable ranges of a living process, as seeds tell them. */
function executableRanges(pid: number): (MappedRange & { inode: number })[] {
  const ranges: (MappedRange & { inode: number })[] = [];
  for (const line of readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')) {
    const match = /^(\w+)-(\w+) ..x. (\w+) \S+ (\d+)\s*(.*)$/.exec(line);
    if (match === null) continue;
    const [start, end, fileOffset] = match.slice(1, 4).map((hex) => Number.parseInt(hex, 16));
    ranges.push({
      start: start!,
      end: end!,
      fileOffset: fileOffset!,
      path: match[5] || null,
      generation: 0,
      timeNs: 0,
      inode: Number(match[4]),
    });
  }
  return ranges;
}

/** Runs `action` while the target, having loaded `path`, waits; then lets it end. */
async function withTarget(
  path: string,
  action: (target: ChildProcess, twice: number) => void,
): Promise<void> {
  const target = spawn(program, [path], { stdio: ['pipe', 'pipe', 'inherit'] });
  try {
    const [line] = await once(target.stdout!, 'data');
    action(target, Number.parseInt(String(line), 16));
  } finally {
    const ended = once(target, 'exit');
    target.stdin!.end();
    await ended;
  }
}

function seededTable(pid: number): ModuleTable {
  const table = new ModuleTable(new ProcessFiles({ pid }));
  for (const range of executableRanges(pid)) table.mapped(range);
  return table;
}

describe('ModuleTable of a real process', () => {
  it('names program, libraries by SONAME, and the vdso; file addresses are those of nm', async () => {
    await withTarget(library, ({ pid }, twice) => {
      const table = seededTable(pid!);
      const names = table.current.map(({ name }) => name);
      expect(names).toEqual(
        expect.arrayContaining(['target', 'libc.so.6', 'ld-linux-x86-64.so.2', '[vdso]']),
      );
      expect(table.current.filter(({ isProgram }) => isProgram).map(({ path }) => path)).toEqual([program]);
      expect(table.current.filter(({ stale }) => stale !== null)).toEqual([]);

      const module = table.find(twice, 0)!;
      expect(module).toMatchObject({
        name: 'libplugin.so.1',
        path: library,
        isProgram: false,
        deleted: false,
      });
      const symbols = execFileSync('nm', ['-D', library], { encoding: 'utf8' });
      const address = Number.parseInt(/^(\w+) T twice$/m.exec(symbols)![1]!, 16);
      expect(table.fileAddress(module, twice)).toBe(address);
      expect(table.find(module.start - 1, 0)).not.toBe(module);
      expect(table.find(module.end - 1, 0)).toBe(module);
      expect(table.find(module.end, 0)).not.toBe(module);
    });
  });

  it('says that a library was replaced on disk, and never takes the new file for it', async () => {
    const path = join(folder, 'replaced.so');
    copyFileSync(library, path);
    const { ino } = statSync(path);
    await withTarget(path, ({ pid }, twice) => {
      const other = join(folder, 'other.so');
      copyFileSync(library, other);
      renameSync(other, path);
      const module = seededTable(pid!).find(twice, 0)!;
      expect(module).toMatchObject({ path, deleted: true });
      // Following map_files needs a privilege: with it the true file is read, else the new one is said to be stale.
      if (module.stale === null) expect(module.elf?.file.inode).toBe(ino);
      else expect(module.stale).toContain('replaced');
    });
  });

  it('takes no library for another one that lay there before', async () => {
    const before = join(folder, 'before.so');
    execFileSync('g++', [
      '-shared',
      '-fPIC',
      '-o',
      before,
      join(folder, 'plugin.cc'),
      '-Wl,-soname,libbefore.so',
    ]);
    await withTarget(library, ({ pid }, twice) => {
      const there = executableRanges(pid!).find(({ start, end }) => start <= twice && twice < end)!;
      // Told late: meanwhile the target has unloaded it and loaded the other one to the same place.
      const module = new ModuleTable(new ProcessFiles({ pid: pid! })).mapped({
        ...there,
        path: before,
        inode: 0,
      });
      expect(module).toMatchObject({ name: 'libbefore.so', path: before, stale: null, deleted: false });
    });
  });

  it('reads by the plain path after the process has ended, unless it holds another file by then', async () => {
    const path = join(folder, 'later.so');
    copyFileSync(library, path);
    let ranges: MappedRange[] = [];
    let pid = 0;
    await withTarget(path, (target) => {
      pid = target.pid!;
      ranges = executableRanges(pid);
    });
    const files = new ProcessFiles({ pid, startTicks: 1 });
    const find = () => {
      const table = new ModuleTable(files);
      return ranges.map((range) => table.mapped(range)).find((module) => module.path === path)!;
    };
    expect(find()).toMatchObject({ name: 'libplugin.so.1', stale: null });
    rmSync(path);
    const gone = find();
    expect(gone).toMatchObject({ name: 'later.so', elf: null });
    expect(gone.problem).toContain('ENOENT');
    const held = ranges.find((range) => range.path === path)!;
    copyFileSync(library, path);
    const replaced = new ModuleTable(files).mapped({ ...held, path: `${path} (deleted)` });
    expect(replaced).toMatchObject({
      path,
      deleted: true,
      stale: expect.stringContaining('deleted or replaced'),
    });
    const other = new ModuleTable(files).mapped({ ...held, inode: statSync(path).ino + 1 });
    // On an overlay, maps and stat may disagree on a file's inode, so it proves nothing there.
    if (statfsSync(folder).type === OVERLAY_FILE_SYSTEM) expect(other.stale).toBeNull();
    else expect(other.stale).toContain('another file');
  });

  it('does not take a later process with the same PID for the target', () => {
    const files = new ProcessFiles({ pid: process.pid, startTicks: 1 });
    expect(files.programPath()).toBeNull();
    expect(new ProcessFiles({ pid: process.pid }).programPath()).toBe(process.execPath);
  });
});

describe('ModuleTable by generation', () => {
  const nothing = {
    open: () => ({ elf: null, deleted: false, stale: null, problem: null }),
    programPath: () => null,
  };
  const range = (path: string | null, start: number, end: number, generation: number): MappedRange => ({
    start,
    end,
    fileOffset: 0,
    path,
    generation,
    timeNs: 0,
  });

  it('answers for the moment of the stack, though the address is another module by now', () => {
    const table = new ModuleTable(nothing);
    const first = table.mapped(range('/lib/first.so', 0x1000, 0x5000, 0));
    table.unmapped({ start: 0x1000, end: 0x5000, generation: 0 });
    const second = table.mapped(range('/lib/second.so', 0x2000, 0x3000, 1));
    expect(table.find(0x2500, 0)).toBe(first);
    expect(table.find(0x2500, 1)).toBe(second);
    expect(table.find(0x2500, 7)).toBe(second);
    expect(table.find(0x1500, 1)).toBeNull();
    expect(table.current).toEqual([second]);
  });

  it('keeps what is left of a module that was unmapped in part or overlaid', () => {
    const table = new ModuleTable(nothing);
    const library = table.mapped(range('/lib/big.so', 0x1000, 0x9000, 0));
    table.unmapped({ start: 0x2000, end: 0x3000, generation: 0 });
    const code = table.mapped(range(null, 0x5000, 0x6000, 1));
    expect([0x1000, 0x2000, 0x4fff, 0x5000, 0x6000].map((address) => table.find(address, 1))).toEqual([
      library,
      null,
      library,
      code,
      library,
    ]);
    expect(table.find(0x5000, 0)).toBe(library);
    expect(code.name).toBe('[anon]');
  });

  it('takes a library that is loaded again where it was for the same module', () => {
    const table = new ModuleTable(nothing);
    const first = table.mapped(range('/lib/plugin.so', 0x1000, 0x2000, 0));
    table.unmapped({ start: 0x1000, end: 0x2000, generation: 0 });
    expect(table.mapped(range('/lib/plugin.so', 0x1000, 0x2000, 1))).toBe(first);
    expect(table.mapped(range('/lib/plugin.so', 0x1800, 0x2000, 1))).not.toBe(first);
  });

  it('takes pages whose protection an engine toggles for the same code memory', () => {
    const table = new ModuleTable(nothing);
    const code = table.mapped(range(null, 0x10000, 0x90000, 0));
    for (let page = 0x10000; page < 0x90000; page += 0x1000) {
      expect(table.mapped(range(null, page, page + 0x1000, 0))).toBe(code);
    }
  });

  it('takes the first file for the program, all of its ranges', () => {
    const table = new ModuleTable(nothing);
    expect(table.mapped(range('[vdso]', 1, 2, 0))).toMatchObject({
      name: '[vdso]',
      path: null,
      isProgram: false,
    });
    expect(table.mapped(range('/bin/program', 0x1000, 0x2000, 0)).isProgram).toBe(true);
    expect(table.mapped(range('/lib/x.so', 0x3000, 0x4000, 0)).isProgram).toBe(false);
    expect(table.mapped(range('/bin/program', 0x5000, 0x6000, 0)).isProgram).toBe(true);
  });

  it('lets no control characters through in names', () => {
    const table = new ModuleTable(nothing);
    expect(table.mapped(range('/tmp/\u001b[2Jlib.so (deleted)', 1, 2, 0))).toMatchObject({
      name: '?[2Jlib.so',
      path: '/tmp/\u001b[2Jlib.so',
    });
  });
});
