import { execFileSync, spawn } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { needs } from '../../../test/support/needs.js';
import { BoundedFile } from '../../modules/bounded-file.js';
import { ElfFile } from '../../modules/elf.js';
import type { Module } from '../../modules/table.js';
import type { Chain } from './chain.js';
import { DebugFiles } from './debug-files.js';
import { Debuginfod } from './debuginfod.js';
import { installedSymbolizers } from './installed-symbolizer.js';
import { LineReader } from './line-reader.js';
import { SourceLines, type SourceLinesOptions } from './source-lines.js';

const SOURCE = `
int shared(int x);
[[gnu::always_inline]] inline int inner(int x) {
  return shared(x) + 1;
}
__attribute__((noinline)) int outer(int x) {
  return inner(x) * 2;
}
int main(int count, char**) { return outer(count); }
`;
const OUTER_CALLS: Chain = [
  { rawFunction: '_Z5inneri', file: 'program.cc', line: 4 },
  { rawFunction: '_Z5outeri', file: 'program.cc', line: 7 },
];

let root = '';
let folder = '';

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'offheap-lines-'));
});
afterAll(() => rmSync(root, { recursive: true }));

/** A fresh folder with program.cc and shared.cc in it. */
function inFolder(): string {
  folder = mkdtempSync(join(root, 'case-'));
  writeFileSync(join(folder, 'program.cc'), SOURCE);
  writeFileSync(join(folder, 'shared.cc'), 'int shared(int x) { return x * x; }\n');
  return folder;
}

function run(tool: string, ...args: string[]): string {
  return execFileSync(tool, args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** A program with debug information, in the folder. */
function compile(name: string, ...options: string[]): string {
  run('c++', '-O2', '-g', ...options, '-o', name, 'program.cc', 'shared.cc');
  return join(folder, name);
}

/** Moves the debug information of a program to `to`, and leaves a link to it. */
function separate(program: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  run('objcopy', '--only-keep-debug', program, to);
  run('objcopy', '--strip-debug', `--add-gnu-debuglink=${to}`, program);
}

function buildIdPath(program: string, debugFolder: string): string {
  const { buildId } = new ElfFile(new BoundedFile(program));
  return join(debugFolder, '.build-id', buildId!.slice(0, 2), `${buildId!.slice(2)}.debug`);
}

function moduleOf(path: string): Module {
  const elf = new ElfFile(new BoundedFile(path));
  const nothing = { deleted: false, stale: null, problem: null };
  const place = { id: 1, name: basename(path), start: 0, end: 2 ** 32, fileOffset: 0, isProgram: true };
  return { ...place, ...nothing, path, elf };
}

/** File address of the call in `outer`. */
function callIn(program: string): number {
  const listing = run('objdump', '-d', '--no-show-raw-insn', program);
  const body = /<_Z5outeri>:\n([\s\S]*?)\n\n/.exec(listing)![1]!;
  return Number.parseInt(/^ *([0-9a-f]+):\s+call/m.exec(body)![1]!, 16);
}

/** What is found out about an address; files by their base names. */
async function look(
  program: string,
  address: number,
  options: SourceLinesOptions = {},
): Promise<{ chain: Chain; problems: string[] }> {
  const lines = new SourceLines({ debuginfod: new Debuginfod({}), ...options });
  onTestFinished(() => lines.close());
  const module = moduleOf(program);
  const { elf } = module;
  // File addresses are asked for by the offsets that a mapping of the file would have.
  const offset = elf!.offsetOf(address)!;
  expect(lines.chain(module, offset)).toBeUndefined();
  lines.want(module, offset);
  await lines.settled();
  const chain = lines.chain(module, offset)!;
  return {
    chain: chain.map((frame) => ({ ...frame, file: frame.file && basename(frame.file) })),
    problems: [...lines.problems.values()],
  };
}

const debugFolder = () => join(folder, 'debug');
const inDebugFolder = () => ({ files: new DebugFiles(debugFolder()) });

describe('the debug information of a program', () => {
  it('is in its own file', async (context) => {
    needs(context, 'libbacktrace');
    inFolder();
    const program = compile('program');
    expect(await look(program, callIn(program))).toEqual({ chain: OUTER_CALLS, problems: [] });
  });

  it.each(['zlib', 'zlib-gnu'])('is compressed by %s', async (compression) => {
    inFolder();
    const program = compile('program', `-Wl,--compress-debug-sections=${compression}`);
    expect(await look(program, callIn(program))).toEqual({ chain: OUTER_CALLS, problems: [] });
  });

  it.each([
    ['by build-id', () => buildIdPath(join(folder, 'program'), debugFolder())],
    ['in .debug beside it', () => join(folder, '.debug', 'program.debug')],
    ['beside it', () => join(folder, 'program.debug')],
    ['in the debug folder, by its path', () => join(`${debugFolder()}${folder}`, 'program.debug')],
  ])('is in a file of its own, %s', async (_, place) => {
    inFolder();
    const program = compile('program');
    const address = callIn(program);
    separate(program, place());
    expect(await look(program, address, inDebugFolder())).toEqual({ chain: OUTER_CALLS, problems: [] });
  });

  it('is in a file of its own that a checksum proves, where there is no build-id', async () => {
    inFolder();
    const program = compile('program', '-Wl,--build-id=none');
    const address = callIn(program);
    const debug = join(folder, 'program.debug');
    separate(program, debug);
    expect((await look(program, address)).chain).toEqual(OUTER_CALLS);

    const bytes = readFileSync(debug);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(debug, bytes);
    expect(await look(program, address)).toEqual({
      chain: [],
      problems: [`${debug} belongs to another build of it`],
    });
  });

  it('is another build’s: refused, and named', async () => {
    inFolder();
    const other = compile('other', '-O0');
    const program = compile('program');
    const address = callIn(program);
    const debug = buildIdPath(program, debugFolder());
    mkdirSync(dirname(debug), { recursive: true });
    run('objcopy', '--only-keep-debug', other, debug);
    run('objcopy', '--strip-debug', program);
    expect(await look(program, address, inDebugFolder())).toEqual({
      chain: [],
      problems: [`${debug} belongs to another build of it`],
    });
  });

  it('is where the target sees it: below another root', async (context) => {
    needs(context, 'namespaces', 'libbacktrace');
    inFolder();
    const program = compile('program');
    const address = callIn(program);
    const root = join(folder, 'root');
    const debug = buildIdPath(program, '/usr/lib/debug');
    separate(program, join(root, debug));
    copyFileSync(program, join(root, 'program'));
    writeFileSync(join(folder, 'wait.cc'), '#include <unistd.h>\nint main() { return pause(); }\n');
    run('c++', '-static', '-o', 'root/wait', 'wait.cc');
    const target = spawn('unshare', ['--mount', '--map-root-user', 'chroot', root, '/wait'], {
      stdio: 'ignore',
    });
    onTestFinished(() => void target.kill('SIGKILL'));
    const place = `/proc/${target.pid}/root/program`;
    while (!existsSync(place) || existsSync(`/proc/${target.pid}/root/proc/1`)) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(existsSync(debug)).toBe(false);
    const { chain } = await look(place, address);
    expect(chain).toEqual(OUTER_CALLS);
  });

  it('names files by the folder in which they were compiled, by old DWARF and new', async () => {
    for (const version of [3, 4, 5]) {
      inFolder();
      mkdirSync(join(folder, 'sub'));
      writeFileSync(join(folder, 'sub', 'shared.h'), 'inline int shared(int x) { return x + 40; }\n');
      writeFileSync(join(folder, 'whole.cc'), `#include "sub/shared.h"\n${SOURCE}`);
      run('c++', `-gdwarf-${version}`, '-O0', '-ffunction-sections', '-o', 'whole', 'whole.cc');
      const listing = run('nm', 'whole');
      const address = Number.parseInt(/^([0-9a-f]+) . _Z6sharedi$/m.exec(listing)![1]!, 16);
      const lines = new SourceLines();
      onTestFinished(() => lines.close());
      const module = moduleOf(join(folder, 'whole'));
      lines.want(module, address);
      await lines.settled();
      expect(lines.chain(module, address)).toEqual([
        { rawFunction: '_Z6sharedi', file: join(folder, 'sub', 'shared.h'), line: 1 },
      ]);
    }
  });

  it('is not there', async () => {
    inFolder();
    const program = compile('program', '-g0');
    expect(await look(program, callIn(program))).toEqual({ chain: [], problems: [] });
  });

  it('is shared with another file by dwz', async (context) => {
    needs(context, 'dwz');
    inFolder();
    const program = compile('program');
    const address = callIn(program);
    copyFileSync(program, join(folder, 'copy'));
    mkdirSync(join(folder, 'common'));
    run('dwz', '-m', 'common/shared.debug', '-M', '../common/shared.debug', 'program', 'copy');
    mkdirSync(join(folder, 'bin'));
    copyFileSync(program, join(folder, 'bin', 'program'));
    expect(await look(join(folder, 'bin', 'program'), address)).toEqual({ chain: OUTER_CALLS, problems: [] });

    rmSync(join(folder, 'common'), { recursive: true });
    const { problems } = await look(join(folder, 'bin', 'program'), address);
    expect(problems).toEqual([expect.stringMatching(/shared\.debug, which holds a part .* is not there$/)]);
  });

  it('lies in .dwo files: by llvm-symbolizer, else the lines without the inlined calls', async (context) => {
    needs(context, 'llvmSymbolizer', 'libbacktrace');
    inFolder();
    const program = compile('program', '-gsplit-dwarf');
    const address = callIn(program);
    expect(await look(program, address)).toEqual({ chain: OUTER_CALLS, problems: [] });

    const reader = new LineReader({ installed: () => [] });
    const { chain, problems } = await look(program, address, { reader });
    expect(chain).toEqual([{ rawFunction: null, file: 'program.cc', line: 4 }]);
    expect(problems).toEqual([expect.stringMatching(/^without inlined calls: .* install llvm-symbolizer$/)]);
  });

  it('is compressed by zstd: by an installed tool that knows it, else a line says so', async () => {
    inFolder();
    const program = compile('program', '-Wl,--compress-debug-sections=zstd');
    const address = callIn(program);
    expect(await look(program, address)).toEqual({ chain: OUTER_CALLS, problems: [] });

    const reader = new LineReader({ installed: () => [] });
    expect(await look(program, address, { reader })).toEqual({
      chain: [],
      problems: [expect.stringMatching(/compressed by zstd; install llvm-symbolizer or addr2line$/)],
    });
  });

  it.each(['llvm-symbolizer', 'addr2line'])('is read by %s where there is no libbacktrace', async (name) => {
    inFolder();
    const program = compile('program');
    const installed = () => installedSymbolizers().filter((each) => each.name === name);
    expect(installed()).toHaveLength(1);
    const reader = new LineReader({ worker: null, installed });
    expect(await look(program, callIn(program), { reader })).toEqual({ chain: OUTER_CALLS, problems: [] });
  });
});

describe('debuginfod', () => {
  /** A server that gives files by build-id, and counts how often it was asked. */
  async function serve(files: Record<string, string>): Promise<{ url: string; asked: string[] }> {
    const asked: string[] = [];
    const server = createServer((request, response) => {
      asked.push(request.url!);
      const file = files[/^\/buildid\/([0-9a-f]+)\/debuginfo$/.exec(request.url!)?.[1] ?? ''];
      if (file === undefined) response.writeHead(404).end();
      else response.end(readFileSync(file));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
  }

  const from = (url: string) => ({
    debuginfod: new Debuginfod({ DEBUGINFOD_URLS: url, DEBUGINFOD_CACHE_PATH: join(folder, 'cache') }),
  });

  it('gives a debug file once; from then on it is kept', async () => {
    inFolder();
    const program = compile('program');
    const address = callIn(program);
    const { buildId } = new ElfFile(new BoundedFile(program));
    run('objcopy', '--only-keep-debug', program, 'elsewhere');
    run('objcopy', '--strip-debug', program);
    const { url, asked } = await serve({ [buildId!]: join(folder, 'elsewhere') });
    const empty = await serve({});
    for (let times = 0; times < 2; times++) {
      const options = from(`${empty.url}/ ${url}`);
      expect(await look(program, address, options)).toEqual({ chain: OUTER_CALLS, problems: [] });
    }
    expect(asked).toEqual([`/buildid/${buildId}/debuginfo`]);
    expect(empty.asked).toHaveLength(1);
  });

  it('keeps what was used last, and no more than it may', async () => {
    inFolder();
    const cache = join(folder, 'limited');
    const megabyte = (buildId: string, usedSeconds: number, name = 'debuginfo') => {
      mkdirSync(join(cache, buildId), { recursive: true });
      writeFileSync(join(cache, buildId, name), Buffer.alloc(1e6));
      utimesSync(join(cache, buildId, name), usedSeconds, usedSeconds);
    };
    megabyte('aa', 1000);
    megabyte('bb', 2000);
    megabyte('cc', 3000);
    megabyte('dd', 500, 'source');
    writeFileSync(join(folder, 'fetched'), Buffer.alloc(1e6));
    const { url } = await serve({ ee: join(folder, 'fetched') });
    const debuginfod = new Debuginfod({
      DEBUGINFOD_URLS: url,
      DEBUGINFOD_CACHE_PATH: cache,
      OFFHEAP_DEBUGINFOD_MEGABYTES: '3.5',
    });
    expect(await debuginfod.fetch('aa')).toBe(join(cache, 'aa', 'debuginfo'));
    await debuginfod.fetch('ee');
    const kept = ['aa', 'bb', 'cc', 'ee'].filter((id) => existsSync(join(cache, id, 'debuginfo')));
    // The first was used again meanwhile.
    expect(kept).toEqual(['aa', 'ee']);
    expect(existsSync(join(cache, 'dd', 'source'))).toBe(true);
  });

  it('that has none, lies or is not there: no lines, and a line says why', async () => {
    inFolder();
    const other = compile('other', '-O0');
    const program = compile('program');
    const address = callIn(program);
    const { buildId } = new ElfFile(new BoundedFile(program));
    run('objcopy', '--strip-debug', program);
    const nothing = await serve({});
    expect(await look(program, address, from(nothing.url))).toEqual({ chain: [], problems: [] });
    expect((await look(program, address, from('http://127.0.0.1:1'))).problems).toEqual([
      expect.stringMatching(/^its debug file can't be fetched: http:\/\/127\.0\.0\.1:1: /),
    ]);
    const lying = await serve({ [buildId!]: other });
    expect((await look(program, address, from(lying.url))).problems).toEqual([
      expect.stringMatching(/belongs to another build of it$/),
    ]);
  });

  it('that is slow keeps nobody else waiting', async () => {
    inFolder();
    const program = compile('program');
    const stripped = compile('stripped', '-O1');
    run('objcopy', '--strip-debug', stripped);
    const server = createServer(() => {}); // never answers
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    const lines = new SourceLines(from(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
    onTestFinished(() => lines.close());
    const [slow, quick] = [moduleOf(stripped), moduleOf(program)];
    const call = callIn(program);
    lines.want(slow, 4096);
    lines.want(quick, call);
    while (lines.chain(quick, call) === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(lines.chain(quick, call)).toHaveLength(2);
    expect(lines.chain(slow, 4096)).toBeUndefined();
    expect(await lines.settled(10)).toBe(false);
  });
});
