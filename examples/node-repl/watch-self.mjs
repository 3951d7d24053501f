// A Node program that watches its own memory, heap or not, through offheap's API: see README.md.
import { start } from 'node:repl';
import { parseArgs } from 'node:util';
import { attach } from 'offheap';

const REPORT_EVERY_MS = 3_000;
const BUFFER_BYTES = 1 << 20;
const BUFFERS_PER_SECOND = 4;
const OWNERS_SHOWN = 5;

const { values: options } = parseArgs({ options: { seconds: { type: 'string' } } });

const session = await attach(process.pid).catch((error) => {
  console.error(`watch-self: ${error.message}`);
  console.error('watch-self: start it as  LD_PRELOAD="$(npx offheap preload)" node watch-self.mjs');
  process.exit(1);
});

// What a careless cache does: V8's heap stays small, since a Buffer's bytes lie outside it.
const kept = [];
const leaking = setInterval(() => kept.push(Buffer.alloc(BUFFER_BYTES, 1)), 1_000 / BUFFERS_PER_SECOND);

const mebibytes = (bytes) => (bytes / 2 ** 20).toFixed(1);

/** The owners that hold most of the resident memory, one line each. */
function topOwners() {
  return session.ledger
    .byOwner()
    .sort((a, b) => b.residentBytes - a.residentBytes)
    .slice(0, OWNERS_SHOWN)
    .map((owner) => {
      const growth = `${mebibytes(owner.growthBytesPerMinute)} MiB/min`;
      return `${mebibytes(owner.residentBytes).padStart(9)} MiB ${growth.padStart(16)}  ${owner.owner} (${owner.kind})`;
    });
}

const shell = options.seconds === undefined ? start({ prompt: 'offheap> ' }) : null;
if (shell) {
  Object.assign(shell.context, { session, ledger: session.ledger, kept, topOwners });
  shell.on('exit', stop);
} else {
  setTimeout(stop, Number(options.seconds) * 1_000);
}

const reporting = setInterval(() => {
  const heap = mebibytes(process.memoryUsage().heapUsed);
  console.log(`\nV8 heap ${heap} MiB, kept ${kept.length} buffers\n${topOwners().join('\n')}`);
  shell?.displayPrompt(true);
}, REPORT_EVERY_MS);

async function stop() {
  clearInterval(leaking);
  clearInterval(reporting);
  await session.close();
}
