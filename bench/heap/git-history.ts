import { execFileSync } from 'node:child_process';
import { existsSync, renameSync, rmSync } from 'node:fs';
import { keptPath } from '../support/builds.js';

const FILES = 40;
const LINES = 400;
const COMMITS = 5000;
const LINES_CHANGED = 12;

/** A bare repository with a history, the same at any time and place; made once. */
export function gitHistory(): string {
  const path = keptPath('history.git');
  if (existsSync(path)) return path;
  // Another name until it is whole: whoever is interrupted here must not leave half a history.
  const unfinished = `${path}.${process.pid}`;
  try {
    execFileSync('git', ['init', '--quiet', '--bare', unfinished]);
    execFileSync('git', ['-C', unfinished, 'fast-import', '--quiet'], { input: history() });
    renameSync(unfinished, path);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  return path;
}

function history(): string {
  let random = 1;
  const below = (limit: number) => {
    random = (Math.imul(random, 1664525) + 1013904223) >>> 0;
    return (random >>> 8) % limit;
  };
  const line = () => `    value_${below(1000)} = compute(${below(100_000)}, "${below(1e6).toString(36)}");`;
  const files = Array.from({ length: FILES }, () => Array.from({ length: LINES }, line));
  const commits: string[] = [];
  for (let commit = 0; commit < COMMITS; commit++) {
    const changed = commit === 0 ? files.keys() : [below(FILES), below(FILES)];
    const message = `Change number ${commit}\n`;
    commits.push(
      `commit refs/heads/main\ncommitter Nobody <nobody@example.org> ${1e9 + commit * 60} +0000\n${data(message)}`,
    );
    for (const number of changed) {
      const lines = files[number]!;
      for (let left = LINES_CHANGED; left > 0; left--) lines[below(LINES)] = line();
      commits.push(`M 100644 inline source/file-${number}.txt\n${data(`${lines.join('\n')}\n`)}`);
    }
  }
  return commits.join('');
}

function data(text: string): string {
  return `data ${text.length}\n${text}`;
}
