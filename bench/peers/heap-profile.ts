import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const SITE = /^ *\d+: +(\d+) \[.*\] @ (.*)$/;
const MODULE = /^([0-9a-f]+)-([0-9a-f]+) r-xp .* (\S+)$/;

/** Whether one of gperftools' heap profiles has something live with a frame in this library. */
export function heapProfileShows(library: string, folder: string): boolean {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.heap'))
    .some((name) => shows(library, readFileSync(join(folder, name), 'utf8').split('\n')));
}

function shows(library: string, lines: readonly string[]): boolean {
  const code = lines.flatMap((line) => {
    const [, start, end, path] = MODULE.exec(line) ?? [];
    return path?.endsWith(`/${library}`) ? [[BigInt(`0x${start}`), BigInt(`0x${end}`)] as const] : [];
  });
  const isInside = (address: bigint) => code.some(([start, end]) => address >= start && address < end);
  return lines.some((line) => {
    const site = SITE.exec(line);
    return site !== null && Number(site[1]) > 0 && site[2]!.split(' ').some((text) => isInside(BigInt(text)));
  });
}
