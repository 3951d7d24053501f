import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { needs } from '../../test/support/needs.js';
import { ProcessFiles, type ProcessFilesOptions } from '../modules/process-files.js';
import { type MappedRange, type Module, ModuleTable } from '../modules/table.js';
import { Symbolizer } from './symbols.js';

/** Loads a library by its path, or through a memfd that holds a copy of it, and says where its function is. */
const TARGET = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>
int main(int argc, char** argv) {
    char path[4096];
    snprintf(path, sizeof path, "%s", argv[1]);
    if (argc > 2) {
        int memory = memfd_create("plugin", 0);
        if (sendfile(memory, open(argv[1], O_RDONLY), NULL, 1 << 30) < 0) return 1;
        snprintf(path, sizeof path, "/proc/self/fd/%d", memory);
    }
    void* library = dlopen(path, RTLD_NOW);
    if (library == NULL) { puts(dlerror()); return 1; }
    printf("%p\\n", dlsym(library, "where_the_function_is"));
    fflush(stdout);
    getchar();
}
`;
/** One layout, so that a file taken for another one gives a wrong name and not none. */
const library = (name: string) => `
static int ${name}_hidden(int x) { return x * 3; }
int (*volatile through)(int) = ${name}_hidden;
int ${name}(int x) { return through(x) + 1; }
asm(".globl where_the_function_is\\n.set where_the_function_is, ${name}");
`;

let folder = '';
let program = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'offheap-file-'));
  program = join(folder, 'target');
  writeFileSync(join(folder, 'target.c'), TARGET);
  execFileSync('cc', ['-o', program, join(folder, 'target.c'), '-ldl']);
});
afterAll(() => rmSync(folder, { recursive: true }));

function compile(path: string, name: string): string {
  writeFileSync(join(folder, `${name}.c`), library(name));
  const flags = ['-shared', '-fPIC', '-O1', '-Wl,-soname,libplugin.so.1,--build-id=sha1'];
  execFileSync('cc', [...flags, '-o', path, join(folder, `${name}.c`)]);
  return path;
}

function executableRanges(pid: number): MappedRange[] {
  const lines = readFileSync(`/proc/${pid}/maps`, 'utf8').matchAll(
    /^(\w+)-(\w+) ..x. (\w+) \S+ \d+ *(.*)$/gm,
  );
  return [...lines].map(([, start, end, offset, path]) => ({
    start: Number.parseInt(start!, 16),
    end: Number.parseInt(end!, 16),
    fileOffset: Number.parseInt(offset!, 16),
    path: path || null,
    generation: 0,
    timeNs: 1,
  }));
}

class Running implements AsyncDisposable {
  readonly pid: number;
  readonly startedMs = Date.now();
  constructor(
    private readonly target: ChildProcess,
    readonly where: number,
    readonly range: MappedRange,
  ) {
    this.pid = target.pid!;
  }

  static async start(command: string, ...args: string[]): Promise<Running> {
    const target = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const [line] = await once(target.stdout!, 'data');
    const where = Number.parseInt(String(line), 16);
    const range = executableRanges(target.pid!).find(({ start, end }) => start <= where && where < end);
    if (range === undefined) throw new Error(`no library: ${line}`);
    return new Running(target, where, range);
  }

  files(options: Partial<ProcessFilesOptions> = {}): ProcessFiles {
    return new ProcessFiles({ pid: this.pid, startedMs: this.startedMs, ...options });
  }

  module(files = this.files(), path = this.range.path): Module {
    return new ModuleTable(files).mapped({ ...this.range, path });
  }

  async end(): Promise<void> {
    if (this.target.exitCode !== null) return;
    const ended = once(this.target, 'exit');
    this.target.stdin!.end();
    await ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.end();
  }
}

function nameOf(module: Module, address: number): string | null {
  return new Symbolizer().function(module, address, true)?.name ?? null;
}

/** As a collector with the privilege to follow map_files reads, and as one without. */
const WAYS = [{ followMapFiles: true }, { followMapFiles: false }];
const isRoot = process.getuid?.() === 0;

describe('the right file', () => {
  it('of a process with another root, though the path leads to another file here', async (context) => {
    needs(context, 'namespaces');
    const outside = compile(join(folder, 'libplugin.so'), 'outside');
    const root = join(folder, 'root');
    mkdirSync(join(root, folder), { recursive: true });
    compile(join(root, outside), 'inside');
    for (const path of [program, '/lib/x86_64-linux-gnu/libc.so.6', '/lib64/ld-linux-x86-64.so.2']) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      cpSync(path, join(root, path), { dereference: true });
    }
    const unshare = ['--mount', ...(isRoot ? [] : ['--map-root-user']), 'chroot', root, program, outside];
    await using target = await Running.start('unshare', ...unshare);
    for (const way of WAYS) {
      // As the target says it; the kernel says it as seen from here.
      const module = target.module(target.files(way), outside);
      expect(module).toMatchObject({ path: outside, stale: null, deleted: false });
      expect(nameOf(module, target.where)).toBe('inside');
    }
    const files = target.files();
    await target.end();
    expect(target.module(files, outside)).toMatchObject({ elf: null, problemCode: 'elf/gone' });
  });

  it('of a library that was deleted: the file itself, or what it exports, from memory', async () => {
    const path = compile(join(folder, 'deleted.so'), 'vanished');
    await using target = await Running.start(program, path);
    rmSync(path);
    for (const way of WAYS) {
      const module = target.module(target.files(way));
      expect(module).toMatchObject({ name: 'libplugin.so.1', path, deleted: true, stale: null });
      expect(nameOf(module, target.where)).toBe('vanished');
    }
    const held = target.module(target.files({ followMapFiles: false }));
    await target.end();
    expect(nameOf(held, target.where)).toBe('vanished');
    const late = target.module();
    expect(late).toMatchObject({ elf: null, problemCode: 'elf/gone' });
    expect(nameOf(late, target.where)).toBeNull();
  });

  it('of a library that was replaced by another one', async () => {
    const path = compile(join(folder, 'replaced.so'), 'before');
    await using target = await Running.start(program, path);
    renameSync(compile(join(folder, 'new.so'), 'after'), path);
    for (const way of WAYS) expect(nameOf(target.module(target.files(way)), target.where)).toBe('before');
    await target.end();
    // Only the new file's date betrays it.
    expect(target.module()).toMatchObject({ stale: expect.stringContaining('written to') });
  });

  it('of a library that was installed again unchanged', async () => {
    const path = compile(join(folder, 'again.so'), 'again');
    await using target = await Running.start(program, path);
    execFileSync('cp', ['-p', path, `${path}.new`]);
    renameSync(`${path}.new`, path);
    const module = target.module(target.files({ followMapFiles: false }));
    expect(module).toMatchObject({ deleted: true, stale: null });
    expect(module.elf?.file.path).toContain('/again.so');
  });

  it('is none where it was overwritten in place', async () => {
    const path = compile(join(folder, 'overwritten.so'), 'first');
    await using target = await Running.start(program, path);
    const opened = target.module();
    await setTimeout(20);
    writeFileSync(path, readFileSync(compile(join(folder, 'second.so'), 'second')));
    for (const way of WAYS) {
      const module = target.module(target.files(way));
      expect(module.stale).toContain('was written to after it was mapped');
      expect(nameOf(module, target.where)).toBeNull();
    }
    // Opened in time, read too late.
    expect(nameOf(opened, target.where)).toBeNull();
  });

  it('of a module that never had a name: a memfd', async () => {
    const path = compile(join(folder, 'unnamed.so'), 'nameless');
    await using target = await Running.start(program, path, 'memfd');
    for (const way of WAYS) {
      const module = target.module(target.files(way));
      expect(module).toMatchObject({ name: 'libplugin.so.1', path: '/memfd:plugin', deleted: true });
      expect(nameOf(module, target.where)).toBe('nameless');
    }
  });

  it('of the vdso, whose symbols are in memory only', async () => {
    const path = compile(join(folder, 'any.so'), 'any');
    await using target = await Running.start(program, path);
    const range = executableRanges(target.pid).find((each) => each.path === '[vdso]')!;
    const files = target.files();
    const open = () => new ModuleTable(files).mapped(range);
    const dump = join(folder, 'vdso.so');
    writeFileSync(dump, open().elf!.file.readUpTo(0, range.end - range.start));
    const listed = execFileSync('readelf', ['-W', '--dyn-syms', dump], { encoding: 'utf8' });
    const gettime = /: (\w+) +\d+ FUNC .* __vdso_clock_gettime/.exec(listed)![1]!;
    const address = range.start + Number.parseInt(gettime, 16);
    expect(nameOf(open(), address)).toMatch(/clock_gettime$/);
    await target.end();
    expect(nameOf(open(), address)).toMatch(/clock_gettime$/);
  });

  it('of libraries that came and went at one place, each for its time', async () => {
    const [first, second] = [compile(join(folder, 'one.so'), 'one'), compile(join(folder, 'two.so'), 'two')];
    await using target = await Running.start(program, first);
    const table = new ModuleTable(target.files());
    const there = { ...target.range, path: first };
    const offset = target.where - there.start;
    table.mapped(there);
    rmSync(first);
    const paths = [second, first, second];
    for (const [generation, path] of paths.entries()) {
      table.unmapped({ start: there.start, end: there.end, generation });
      if (path === first) copyFileSync(second, first);
      table.mapped({ ...there, path, generation: generation + 1 });
    }
    const names = [0, 1, 2, 3].map((generation) => {
      const module = table.find(there.start + offset, generation)!;
      return nameOf(module, there.start + offset);
    });
    // The file that has taken the first one's name is not what lies there.
    expect(names).toEqual(['one', 'two', 'one', 'two']);
  });
});
