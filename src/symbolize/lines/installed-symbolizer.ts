import { spawn } from 'node:child_process';
import { accessSync, constants, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { OffheapError } from '../../wire/error.js';
import { type Chain, NO_CHAIN, type SourceFrame } from './chain.js';

const MOST_OUTPUT_BYTES = 256 << 20;

/** A program of the machine that tells functions and lines of a file's addresses. */
export interface InstalledSymbolizer {
  /** Base name of its executable. */
  name: string;
  executable: string;
  arguments(path: string): string[];
  /** One chain for each address, from all that it printed. */
  parse(output: string, addresses: readonly number[]): Chain[];
}

/** Those that are on the PATH; the one that understands most comes first. */
export function installedSymbolizers(path = process.env.PATH ?? ''): InstalledSymbolizer[] {
  const llvm = executable(path, /^llvm-symbolizer(-\d+)?$/);
  const binutils = executable(path, /^addr2line$/);
  const found: InstalledSymbolizer[] = [];
  if (llvm !== null) {
    found.push({
      name: 'llvm-symbolizer',
      executable: llvm,
      arguments: (file) => [
        ...['--output-style=JSON', '--functions=linkage', '--inlines', '--no-demangle', `--obj=${file}`],
      ],
      parse: parseLlvm,
    });
  }
  if (binutils !== null) {
    found.push({
      name: 'addr2line',
      executable: binutils,
      arguments: (file) => ['-a', '-f', '-i', '-e', file],
      parse: parseBinutils,
    });
  }
  return found;
}

/** Throws `LINES_TIMEOUT`, `LINES_CRASHED`. */
export async function askInstalled(
  symbolizer: InstalledSymbolizer,
  path: string,
  addresses: readonly number[],
  limitMs: number,
): Promise<Chain[]> {
  const { name, executable } = symbolizer;
  const child = spawn(executable, symbolizer.arguments(path), { stdio: ['pipe', 'pipe', 'ignore'] });
  const timer = setTimeout(() => child.kill('SIGKILL'), limitMs);
  const chunks: Buffer[] = [];
  let bytes = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > MOST_OUTPUT_BYTES) child.kill('SIGKILL');
  });
  child.stdin.on('error', () => {}); // it ended without reading
  child.stdin.end(addresses.map((address) => `0x${address.toString(16)}\n`).join(''));
  try {
    await new Promise<void>((resolve, reject) => {
      child.on('error', (error) => {
        reject(new OffheapError('LINES_CRASHED', `${name} can't be started: ${error.message}`));
      });
      child.on('close', (status, signal) => {
        if (status === 0) return resolve();
        const isLate = signal === 'SIGKILL' && bytes <= MOST_OUTPUT_BYTES;
        const reason = isLate ? `took more than ${limitMs / 1000} seconds` : `failed (${signal ?? status})`;
        reject(new OffheapError(isLate ? 'LINES_TIMEOUT' : 'LINES_CRASHED', `${name} ${reason}`));
      });
    });
  } finally {
    clearTimeout(timer);
  }
  return symbolizer.parse(Buffer.concat(chunks).toString('utf8'), addresses);
}

function executable(path: string, pattern: RegExp): string | null {
  for (const folder of path.split(delimiter)) {
    for (const name of namesIn(folder, pattern)) {
      try {
        accessSync(join(folder, name), constants.X_OK);
        return join(folder, name);
      } catch {}
    }
  }
  return null;
}

/** Plain names first, then higher versions. */
function namesIn(folder: string, pattern: RegExp): string[] {
  try {
    const version = (name: string) => Number(/-(\d+)$/.exec(name)?.[1] ?? Number.POSITIVE_INFINITY);
    return readdirSync(folder)
      .filter((name) => pattern.test(name))
      .sort((a, b) => version(b) - version(a));
  } catch {
    return [];
  }
}

interface LlvmLine {
  Address?: string;
  Symbol?: { FunctionName?: string; FileName?: string; Line?: number }[];
}

function parseLlvm(output: string, addresses: readonly number[]): Chain[] {
  const chains = output
    .split('\n')
    .filter((line) => line !== '')
    .map((line): Chain => {
      const { Symbol: symbols = [] } = parseJson(line);
      const frames = symbols.map(({ FunctionName: name, FileName: file, Line: line }) => ({
        rawFunction: name || null,
        file: file || null,
        line: line || null,
      }));
      return known(frames);
    });
  return addresses.map((_, index) => chains[index] ?? NO_CHAIN);
}

function parseJson(line: string): LlvmLine {
  try {
    return (JSON.parse(line) ?? {}) as LlvmLine;
  } catch {
    return {};
  }
}

/** An address, then pairs of lines: the function, and "file:line" with a remark behind it or not. */
function parseBinutils(output: string, addresses: readonly number[]): Chain[] {
  const lines = output.split('\n');
  const chains: Chain[] = [];
  for (let at = 0; at < lines.length && chains.length < addresses.length; ) {
    if (!/^0x[0-9a-f]{8,16}$/.test(lines[at++]!)) continue;
    const frames: SourceFrame[] = [];
    while (at + 1 < lines.length && !/^0x[0-9a-f]{8,16}$/.test(lines[at]!)) {
      const name = lines[at]!;
      const [, file, line] = /^(.*):(\d+|\?)(?: \(discriminator \d+\))?$/.exec(lines[at + 1]!) ?? [];
      frames.push({
        rawFunction: name === '??' ? null : name,
        file: file === undefined || file === '??' ? null : file,
        line: Number(line) || null,
      });
      at += 2;
    }
    chains.push(known(frames));
  }
  return addresses.map((_, index) => chains[index] ?? NO_CHAIN);
}

/** Both name a function by the symbol table where there is no debug information: that is known without them. */
function known(frames: SourceFrame[]): Chain {
  return frames.some(({ line }) => line !== null) ? frames : NO_CHAIN;
}
