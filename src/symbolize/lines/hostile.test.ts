import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { needs } from '../../../test/support/needs.js';
import { BoundedFile, ElfError } from '../../modules/bounded-file.js';
import { ElfFile } from '../../modules/elf.js';
import { OffheapError } from '../../wire/error.js';
import { DebugFiles } from './debug-files.js';
import { LineReader } from './line-reader.js';
import { LineWorker } from './line-worker.js';
import { decodeAnswer } from './worker-message.js';
import { workerPath } from './worker-path.js';

const SOURCE = `
#include <vector>
struct Pool { std::vector<int> list; void grow(int count) { for (int i = 0; i < count; i++) list.push_back(i); } };
int run(int count) { Pool pool; pool.grow(count); return int(pool.list.size()); }
`;
/** How many changed files are tried of each form: some seconds. More: OFFHEAP_FUZZ_RUNS. */
const RUNS = Number(process.env.OFFHEAP_FUZZ_RUNS) || 150;
const LIMIT_MS = 2000;
const CODES = ['LINES_REFUSED', 'LINES_TIMEOUT', 'LINES_CRASHED', 'LINES_BROKEN', 'LINES_UNREADABLE'];

let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'offheap-hostile-'));
  writeFileSync(join(folder, 'library.cc'), SOURCE);
});
afterAll(() => rmSync(folder, { recursive: true }));

function library(...options: string[]): string {
  const args = ['-O2', '-g', '-shared', '-fPIC', ...options, '-o', 'library.so', 'library.cc'];
  execFileSync('c++', args, { cwd: folder });
  return join(folder, 'library.so');
}

/** Of 0 to below a limit: the same ones for the same seed. */
function numbers(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
}

/** A copy with some bytes of its debug sections changed, or cut short within them. */
function changed(original: Buffer, sections: { offset: number; bytes: number }[], seed: number): Buffer {
  const next = numbers(seed);
  const copy = Buffer.from(original);
  for (let left = 1 + next(8); left > 0; left--) {
    const { offset, bytes } = sections[next(sections.length)]!;
    // Headers and abbreviations stand at the beginnings, and decide most.
    const at = offset + (next(2) === 0 ? next(Math.min(bytes, 64)) : next(bytes));
    copy[at] = [0, 1, 0x7f, 0x80, 0xff, next(256)][next(6)]!;
  }
  return next(10) === 0 ? copy.subarray(0, next(copy.length)) : copy;
}

/** Asks for lines at some addresses; what goes wrong must be one of ours. Returns its code. */
async function look(reader: LineReader, path: string, addresses: readonly number[]): Promise<string> {
  try {
    const elf = new ElfFile(new BoundedFile(path));
    const { source } = new DebugFiles().find(elf, path);
    if (source === null) return 'none';
    const { chains } = await reader.read(source, path, addresses);
    expect(chains).toHaveLength(addresses.length);
    return 'answered';
  } catch (error) {
    if (error instanceof ElfError) return 'no file';
    if (!(error instanceof OffheapError)) throw error;
    expect(CODES).toContain(error.code);
    return error.code;
  }
}

describe('debug information that was changed', () => {
  it.each([
    ['DWARF 5', ['-gdwarf-5']],
    ['DWARF 4', ['-gdwarf-4']],
    ['compressed', ['-Wl,--compress-debug-sections=zlib']],
  ])('%s: an answer or a reason within a time limit, and the next file is read', async (_, options) => {
    const path = library(...options);
    const original = readFileSync(path);
    const elf = new ElfFile(new BoundedFile(path));
    const sections = elf.sections.filter(({ name, bytes }) => name.startsWith('.debug') && bytes > 0);
    const code = elf.section('.text')!;
    const addresses = Array.from({ length: 64 }, (_, index) => code.address + index * (code.bytes >> 6));
    const reader = new LineReader({ limitMs: LIMIT_MS });
    onTestFinished(() => reader.close());
    const outcomes = new Map<string, number>();
    for (let seed = 1; seed <= RUNS; seed++) {
      const mutant = join(folder, `mutant-${seed}.so`);
      writeFileSync(mutant, changed(original, sections, seed));
      const outcome = await look(reader, mutant, addresses);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      rmSync(mutant);
    }
    expect(outcomes.get('answered')).toBeGreaterThan(RUNS / 4);
    expect(await look(reader, path, addresses)).toBe('answered');
  });
});

describe('the worker', () => {
  it('that is killed meanwhile: said, and the next question goes to another one', async (context) => {
    needs(context, 'libbacktrace');
    const path = library();
    const code = new ElfFile(new BoundedFile(path)).section('.text')!;
    // The first never answers, however late it is killed.
    const slow = join(folder, 'slow.sh');
    const second = `[ -e ${slow}.started ] && exec ${workerPath()}`;
    writeFileSync(slow, `#!/bin/sh\n${second}\n: >${slow}.started\nexec /bin/sleep 600\n`, { mode: 0o700 });
    const reader = new LineReader({ worker: slow });
    onTestFinished(() => reader.close());
    const asked = look(reader, path, [code.address]);
    await expect.poll(() => existsSync(`${slow}.started`), { interval: 5 }).toBe(true);
    process.kill(reader.workerPid!, 'SIGKILL');
    expect(await asked).toBe('LINES_CRASHED');
    expect(await look(reader, path, [code.address])).toBe('answered');
  });

  it('that has grown is ended once it has answered', async (context) => {
    needs(context, 'libbacktrace');
    const { file } = new ElfFile(new BoundedFile(library()));
    const request = {
      module: { path: file.path, identity: file.identity },
      alternate: null,
      addresses: [4096],
    };
    const [small, large] = [new LineWorker(workerPath()!), new LineWorker(workerPath()!, 1)];
    onTestFinished(() => small.close());
    await small.ask(request, LIMIT_MS);
    expect(small.pid).toBeDefined();
    await large.ask(request, LIMIT_MS);
    expect(large.pid).toBeUndefined();
  });

  it('that does not answer in time: ended, and said', async () => {
    const silent = join(folder, 'silent.sh');
    writeFileSync(silent, '#!/bin/sh\nexec sleep 60\n', { mode: 0o700 });
    const reader = new LineReader({ worker: silent, limitMs: 100 });
    onTestFinished(() => reader.close());
    expect(await look(reader, library(), [4096])).toBe('LINES_TIMEOUT');
    expect(reader.workerPid).toBeUndefined();
  });

  it('that answers nonsense, or can’t be started: said', async () => {
    const mad = join(folder, 'mad.sh');
    writeFileSync(mad, "#!/bin/sh\nprintf '\\004\\000\\000\\000\\000\\377\\377\\377'\nexec sleep 60\n", {
      mode: 0o700,
    });
    for (const [worker, code] of [
      [mad, 'LINES_BROKEN'],
      [join(folder, 'absent'), 'LINES_CRASHED'],
    ] as const) {
      const reader = new LineReader({ worker });
      onTestFinished(() => reader.close());
      expect(await look(reader, library(), [4096])).toBe(code);
    }
  });

  it('gives any bytes as an answer: read, or refused', () => {
    for (let seed = 1; seed <= 2000; seed++) {
      const next = numbers(seed);
      const bytes = Buffer.from(
        Array.from({ length: next(200) }, () => (next(3) === 0 ? next(256) : next(3))),
      );
      try {
        decodeAnswer(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(OffheapError);
      }
    }
  });
});
