import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { OffheapError } from '../wire/error.js';
import type { Operation } from '../wire/event.js';
import type { ProcessRecording } from './recording.js';

/** The calls that change what is mapped; of mmap those that succeed, as the ledger counts them. */
export const COUNTED = ['mmap', 'munmap', 'mremap', 'brk'] as const satisfies readonly Operation[];
export type Counts = Record<(typeof COUNTED)[number], number>;

/** As the shim marks the moment from which it records (OFFHEAP_MARK): an madvise that no program makes. */
const MARK = '0x6f6666';
const PROGRAM = `
tracepoint:syscalls:sys_exit_mmap /args->ret >= 0 || args->ret < -4095/ { @mmap[pid] = count(); }
tracepoint:syscalls:sys_enter_munmap { @munmap[pid] = count(); }
tracepoint:syscalls:sys_enter_mremap { @mremap[pid] = count(); }
tracepoint:syscalls:sys_enter_brk { @brk[pid] = count(); }
tracepoint:syscalls:sys_enter_madvise /args->behavior == ${MARK}/ {
  delete(@mmap[pid]); delete(@munmap[pid]); delete(@mremap[pid]); delete(@brk[pid]);
}
interval:ms:50 { printf("counting\\n"); }
`;
const STARTS_WITHIN_MS = 30_000;
const ENDS_WITHIN_MS = 10_000;
const TRACEFS = ['/sys/kernel/tracing', '/sys/kernel/debug/tracing'];

/**
 * The kernel's own count of memory calls, by bpftrace: exact, for the superuser. It counts for all processes, so that it can be
 * there before the one that is asked about.
 */
export class Oracle {
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  #output = '';

  private constructor() {
    this.#child = spawn('bpftrace', ['-q', '-e', PROGRAM], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#ended = new Promise((resolve) => {
      this.#child.once('close', () => resolve());
      this.#child.once('error', () => resolve());
    });
    this.#child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      // Of the lines that say only that it counts, one is enough.
      this.#output = (this.#output + text).replaceAll(/(counting\n)+/g, 'counting\n');
    });
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
    });
  }

  /** Throws `ORACLE_MISSING`, with what to do, where the kernel can't be asked. */
  static async start(): Promise<Oracle> {
    if (process.geteuid?.() !== 0) throw missing('needs the superuser; run as root');
    if (!TRACEFS.some((folder) => existsSync(`${folder}/events/syscalls`))) {
      throw missing('needs tracefs; mount -t tracefs none /sys/kernel/tracing');
    }
    const oracle = new Oracle();
    const limit = performance.now() + STARTS_WITHIN_MS;
    while (!oracle.#output.includes('counting\n')) {
      const hasFailed = oracle.#child.exitCode !== null || oracle.#child.pid === undefined;
      if (hasFailed || performance.now() > limit) {
        oracle.#child.kill('SIGKILL');
        const said = oracle.#output.trim().split('\n').at(-1) || 'bpftrace can’t be started; install it';
        throw missing(said);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return oracle;
  }

  /** Ends the counting unasked. */
  stop(): void {
    this.#child.kill('SIGKILL');
  }

  /** Ends the counting. What a process has called since it began to be recorded. */
  async finish(pid: number): Promise<Counts> {
    this.#child.kill('SIGINT');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), ENDS_WITHIN_MS);
    await this.#ended;
    clearTimeout(timer);
    const count = (name: string) =>
      Number(new RegExp(`^@${name}\\[${pid}\\]: (\\d+)$`, 'm').exec(this.#output)?.[1] ?? 0);
    return { mmap: count('mmap'), munmap: count('munmap'), mremap: count('mremap'), brk: count('brk') };
  }
}

export interface OracleFinding {
  /** No call is missing, as far as that can be told. */
  agrees: boolean;
  /** For people: how many of how many. */
  line: string;
}

/** What the kernel has counted against what was recorded. */
export function compareCounts(kernel: Counts, { callCounts, header }: ProcessRecording): OracleFinding {
  if (callCounts === undefined || header.eventsCancelled > 0) {
    return {
      agrees: true,
      line: 'some calls were dropped in pairs before they were read; they can’t be counted',
    };
  }
  const lacking = COUNTED.filter((name) => kernel[name] > callCounts.of(name));
  const figures = COUNTED.map((name) => `${name} ${callCounts.of(name)} of ${kernel[name]}`).join(', ');
  const agrees = lacking.length === 0;
  return {
    agrees,
    line: `${agrees ? 'every call that the kernel counted' : 'not every call'} was recorded: ${figures}`,
  };
}

function missing(why: string): OffheapError {
  return new OffheapError('ORACLE_MISSING', `the oracle ${why}`);
}
