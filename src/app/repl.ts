import { mkdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { type REPLServer, start } from 'node:repl';
import { overviewOf } from '../report/overview.js';
import { ownerLines, siteLines } from '../report/table.js';
import type { Session } from '../session/session.js';
import type { ReplTerminal } from './collector.js';
import { formatOfFile } from './flamegraph-file.js';
import { inspectForPeople } from './inspect.js';
import { replContext } from './repl-context.js';

const WELCOME =
  '.owners and .stacks show tables, .help the rest; ledger, heap, snapshot(), mark(), diff(), flamegraph() are values';

/** A REPL about one process, on this terminal or on one at the other end of a socket. */
export function startRepl(session: Session, processes: () => Session[], terminal: ReplTerminal): REPLServer {
  const { input, output, interactive, colors, columns } = terminal;
  if (interactive) output.write(`${WELCOME}\n`);
  const server = start({
    prompt: `offheap ${session.pid}> `,
    input,
    output,
    terminal: interactive,
    useColors: colors,
    useGlobal: false,
    // A preview evaluates while one types; across a socket it also garbles the line.
    preview: false,
    writer: (value) => inspectForPeople(value, { colors, columns }),
  });
  const offerNames = () =>
    Object.defineProperties(
      server.context,
      Object.getOwnPropertyDescriptors(replContext(session, processes)),
    );
  offerNames();
  server.on('reset', offerNames);
  defineCommands(server, session, columns);
  if (interactive) keepHistory(server);
  return server;
}

function defineCommands(server: REPLServer, session: Session, columns: number): void {
  const print = (text: string) => {
    server.output.write(`${text}\n`);
    server.displayPrompt();
  };
  server.defineCommand('owners', {
    help: 'Owners, most growth first',
    action: () => print(ownerLines(overviewOf(session.snapshot()), columns, 30).join('\n')),
  });
  server.defineCommand('stacks', {
    help: 'The largest stacks: .stacks [OWNER]',
    action(owner) {
      const sites = session.ledger.byStack().filter((site) => owner === '' || site.owner === owner);
      const shown = sites.slice(0, 5).map((site) => siteLines(site, columns, 20).join('\n'));
      print(shown.length > 0 ? shown.join('\n\n') : `no stacks of ${owner || 'any owner'}`);
    },
  });
  server.defineCommand('flamegraph', {
    help: 'Write a flame graph of live bytes: .flamegraph FILE (.html, .svg, .folded, .speedscope.json, .pb.gz)',
    action(file) {
      saveFlamegraph(session, file).then(print, (error: unknown) => {
        print(error instanceof Error ? error.message : String(error));
      });
    },
  });
}

async function saveFlamegraph(session: Session, file: string): Promise<string> {
  await writeFile(file, await session.flamegraph({ format: formatOfFile(file) }));
  return `wrote ${file}`;
}

/** Node keeps the file at mode 0600 by itself; without a home to write to, the REPL goes on without. */
function keepHistory(server: REPLServer): void {
  const state = process.env.XDG_STATE_HOME || join(homedir(), '.local', 'state');
  const folder = join(state, 'offheap');
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch {
    return;
  }
  server.setupHistory(join(folder, 'repl-history'), () => {});
}
