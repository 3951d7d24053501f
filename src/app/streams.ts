import { printable } from '../report/text.js';

/** One line on stderr. */
export function complain(line: string): void {
  process.stderr.write(`offheap: ${printable(line.replaceAll(/\s*\n\s*/g, ' '))}\n`);
}

/** Resolves once the text is on its way: a pipe takes a large one in pieces. */
export function print(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text.endsWith('\n') ? text : `${text}\n`, (error) =>
      error ? reject(error) : resolve(),
    );
  });
}

/** `offheap ps | head` closes the pipe early: that ends the command, and is no error. */
export function endOnClosedPipe(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
}

/** Width of the stream's terminal; for pipes and files, a width that names fit in. */
export function columnsOf(stream: NodeJS.WriteStream): number {
  return stream.isTTY ? stream.columns : 120;
}

/** Whether to colour, by the stream and the conventions of NO_COLOR and FORCE_COLOR. */
export function wantsColors(stream: NodeJS.WriteStream): boolean {
  if (process.env.NO_COLOR) return false;
  return Boolean(process.env.FORCE_COLOR) || (stream.isTTY && process.env.TERM !== 'dumb');
}

const PATIENCE_MS = 1000;

/** Says on a terminal what one waits for, once it takes longer than a second. */
export async function waiting<Result>(what: string, work: Promise<Result>): Promise<Result> {
  if (!process.stderr.isTTY) return work;
  const startedMs = Date.now();
  let shown = false;
  const timer = setInterval(() => {
    shown = true;
    process.stderr.write(`\r\u001b[K${what} … ${Math.round((Date.now() - startedMs) / 1000)} s`);
  }, PATIENCE_MS);
  try {
    return await work;
  } finally {
    clearInterval(timer);
    if (shown) process.stderr.write('\r\u001b[K');
  }
}
