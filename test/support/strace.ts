import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HANGS_AFTER_MS } from './limits.js';
import { parseStrace, START_MARKER, type TracedImage } from './strace-parse.js';

/** The memory system calls that offheap accounts for. */
export const MEMORY_CALLS = [
  'mmap',
  'munmap',
  'mremap',
  'brk',
  'madvise',
  'mprotect',
  'pkey_mprotect',
  'remap_file_pages',
  'process_madvise',
  'shmat',
  'shmdt',
] as const;

const PROCESS_CALLS = ['clone', 'clone3', 'fork', 'vfork', 'execve', 'execveat'];

export interface StraceOptions {
  /** Set for the command, not for strace: LD_PRELOAD, OFFHEAP_DIR, OFFHEAP_MARK=1. */
  env?: Record<string, string>;
  /** Where an exec'ed image begins to count; null counts from the beginning. */
  marker?: RegExp | null;
  cwd?: string;
  /** Written to the command's standard input, which is then closed. */
  input?: string;
  timeoutMs?: number;
}

export interface StraceRun {
  status: number | null;
  stdout: string;
  stderr: string;
  images: TracedImage[];
}

/** Runs a command under strace and reads off which process made which memory system call: the oracle of completeness. */
export async function straceRun(
  command: string,
  args: string[],
  options: StraceOptions = {},
): Promise<StraceRun> {
  const { env = {}, marker = START_MARKER, cwd, input = '', timeoutMs = HANGS_AFTER_MS } = options;
  const folder = mkdtempSync(join(tmpdir(), 'offheap-strace-'));
  const log = join(folder, 'log');
  // --seccomp-bpf stops the command at the listed calls only; without it a JVM takes minutes.
  const flags = ['-f', '--seccomp-bpf', '-qq', '-X', 'raw', '-s', '0', '-e', 'signal=none', '-o', log];
  const trace = ['-e', `trace=${[...MEMORY_CALLS, ...PROCESS_CALLS].join(',')}`];
  const settings = Object.entries(env).flatMap(([name, value]) => ['-E', `${name}=${value}`]);
  try {
    const child = spawn('strace', [...flags, ...trace, ...settings, '--', command, ...args], {
      stdio: 'pipe',
      ...(cwd === undefined ? {} : { cwd }),
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.stdin.on('error', () => {}); // a command that ended without reading
    child.stdin.end(input);
    const status = await new Promise<number | null>((resolve, reject) => {
      const limit = setTimeout(() => {
        child.kill('SIGKILL');
        reject(new Error(`strace: ${command} did not end within ${timeoutMs} ms\n${stderr}`));
      }, timeoutMs);
      child.on('error', reject);
      child.on('close', (code) => {
        clearTimeout(limit);
        resolve(code);
      });
    });
    return { status, stdout, stderr, images: parseStrace(readFileSync(log, 'utf8'), marker) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
