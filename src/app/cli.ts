import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { OffheapError } from '../wire/error.js';
import { HEAP_MODES } from '../wire/heap-mode.js';
import type { AccountOptions } from './account.js';
import { formatOfFile } from './flamegraph-file.js';
import { withFrameOptions } from './frame-options.js';
import type { RunOptions } from './run.js';
import { complain, endOnClosedPipe } from './streams.js';

const MOST_SAMPLE_BYTES = 2 ** 32 - 1;
const FOLD_TEXT = 'in flame graphs, frames of plumbing as one box (an .html page can be folded and unfolded)';

/** Runs the command line and sets the process's exit code: 1 after a failure, 2 after a usage error. */
export async function main(argv: readonly string[]): Promise<void> {
  endOnClosedPipe();
  try {
    await program().parseAsync(argv);
  } catch (error) {
    process.exitCode = exitCodeOf(error);
  }
}

function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) {
    // Help and version come here with exit code 0, their text already printed.
    if (error.exitCode === 0) return 0;
    if (error.code !== 'commander.help') {
      complain(`${error.message.replace(/^error: /, '').replace(/\.$/, '')}; see offheap --help`);
    }
    return 2;
  }
  complain(error instanceof Error ? error.message : String(error));
  if (!(error instanceof OffheapError) && process.env.OFFHEAP_DEBUG && error instanceof Error) {
    process.stderr.write(`${error.stack}\n`);
  }
  return 1;
}

export function program(): Command {
  const offheap = new Command('offheap')
    .description('Accounts for the memory of a running process and names who holds it.')
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ outputError: () => {} });

  withFrameOptions(offheap.command('run'))
    .description('start COMMAND with the shim, collect until it ends, report on stderr')
    .passThroughOptions()
    .argument('<command>')
    .argument('[args...]')
    .addOption(
      new Option('--heap <mode>', 'which allocations are recorded (mappings always are, exactly)')
        .choices(HEAP_MODES)
        .env('OFFHEAP_HEAP')
        .default('sampled'),
    )
    .addOption(
      new Option('--sample-bytes <n>', 'mean of the sampling of allocations, in bytes')
        .argParser(sampleBytes)
        .env('OFFHEAP_SAMPLE_BYTES')
        .default(524_288),
    )
    .option('--dir <dir>', 'where channels lie; default: a private folder of the shared-memory file system')
    .option('--snapshot <file>', 'write the last snapshot as JSON when COMMAND ends')
    .option(
      '--flamegraph <file>',
      'write a flame graph at the end (.html, .svg, .folded, .speedscope.json, .pb.gz)',
      flamegraphFile,
    )
    .option('--fold', FOLD_TEXT)
    .option('--label', 'name memory in the kernel by its owner, for pmap, smaps and core files')
    .option(
      '--oracle',
      'compare with the kernel’s own count of memory calls at the end (root, bpftrace, tracefs)',
    )
    .option(
      '--witness',
      'compare with the kernel’s perf records of mappings all the time; costs COMMAND 0.3 µs each',
    )
    .option('--interval <ms>', 'how often resident bytes and growth are sampled', positive, 1000)
    .option('--quiet', 'no report on stderr')
    .action(async (command: string, args: string[], options: RunOptions) => {
      const { run } = await import('./run.js');
      process.exitCode = await run(command, args, options);
    });

  const onProcess = (name: string, description: string) =>
    offheap.command(name).description(description).option('--dir <dir>', 'where channels lie');

  onProcess('ps', 'processes that have a channel, living and dead')
    .option('--json', 'as JSON')
    .action(command('ps'));
  withFrameOptions(onProcess('top', 'live table by owner'))
    .argument('[pid]', 'the process; default: the only one', processId)
    .option('--interval <ms>', 'time between two samples', positive, 1000)
    .option('-n, --count <n>', 'where there is no terminal: tables to print', positive)
    .action(command('watch'));
  withFrameOptions(onProcess('snapshot', 'one snapshot as JSON'))
    .argument('<pid>', 'the process', processId)
    .option('-o, --output <file>', 'write it there')
    .action(command('snapshot'));
  onProcess('account', 'every resident byte, by owner; what can’t be explained is listed')
    .argument('<pid>', 'the process; one that is not recorded as well, by what the kernel tells', processId)
    .option('--json', 'as JSON')
    .option('--trim', 'first have its allocator give free memory back to the kernel (malloc_trim)')
    .action(async (pid: number, options: AccountOptions) => {
      const { account } = await import('./account.js');
      await account(pid, options);
    });
  withFrameOptions(onProcess('flamegraph', 'flame graph of live bytes: of mappings, or of the heap'))
    .argument('<pid>', 'the process', processId)
    .option(
      '-o, --output <file>',
      'write it there (.html, .svg, .folded, .speedscope.json, .pb.gz)',
      flamegraphFile,
    )
    .option('--heap', 'of what allocators have handed out')
    .option('--growth', 'of what grew since the last mark, which offheap eval PID "mark()" sets')
    .option('--fold', FOLD_TEXT)
    .action(command('flamegraph'));
  onProcess('pagemap', 'picture of the heap’s pages: live, resident though nothing lives there, returned')
    .argument('<pid>', 'the process', processId)
    .option('-o, --output <file>', 'write it there (.svg, .html)', pagemapFile)
    .action(command('pagemap'));
  onProcess('repl', 'JavaScript prompt about a process')
    .argument('[pid]', 'the process; default: the only one', processId)
    .action(command('repl'));
  onProcess('eval', 'evaluate EXPRESSION where the REPL would')
    .argument('<pid>', 'the process', processId)
    .argument('<expression>')
    .option('--json', 'print the value as JSON')
    .action(command('evaluateExpression'));

  offheap
    .command('diff')
    .description('what changed between two snapshots')
    .argument('<a.json>')
    .argument('<b.json>')
    .option('--json', 'as JSON')
    .action(command('diff'));
  offheap
    .command('preload')
    .description('print the path of the shim, for LD_PRELOAD="$(offheap preload)"')
    .action(command('preload'));
  return offheap;
}

/** A function of commands.ts, loaded when it is called: `run` needs little of what the others do. */
function command(name: keyof typeof import('./commands.js')) {
  return async (...given: unknown[]): Promise<void> => {
    const commands = await import('./commands.js');
    await (commands[name] as (...given: unknown[]) => Promise<void>)(...given);
  };
}

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value <= 0)
    throw new InvalidArgumentError('expected a whole number above 0');
  return value;
}

function processId(text: string): number {
  if (!/^[1-9]\d{0,9}$/.test(text)) throw new InvalidArgumentError('expected a process id');
  return Number(text);
}

function sampleBytes(text: string): number {
  const value = positive(text);
  if (value > MOST_SAMPLE_BYTES) throw new InvalidArgumentError(`expected at most ${MOST_SAMPLE_BYTES}`);
  return value;
}

function pagemapFile(file: string): string {
  if (!/\.(svg|html)$/.test(file))
    throw new InvalidArgumentError('expected a name that ends in .svg or .html');
  return file;
}

function flamegraphFile(file: string): string {
  try {
    formatOfFile(file);
    return file;
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
  }
}
