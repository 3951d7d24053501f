#!/usr/bin/env node
import { existsSync } from 'node:fs';

const cli = new URL('../dist/app/cli.js', import.meta.url);
if (existsSync(cli)) {
  const { main } = await import(cli.href);
  await main(process.argv);
} else {
  process.stderr.write('offheap: not built; run npm run build\n');
  process.exitCode = 1;
}
