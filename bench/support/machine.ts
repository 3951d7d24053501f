import { readFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';

/** What the figures were taken on, in one line. */
export function describeMachine(): string {
  const hypervisor = /^flags.*\bhypervisor\b/m.test(readFileSync('/proc/cpuinfo', 'utf8')) ? ', virtual' : '';
  const load = loadavg()[0]!.toFixed(1);
  return (
    `Linux ${release()}, ${cpus()[0]?.model.trim() ?? 'unknown CPU'}${hypervisor}, ${cpus().length} cores, ` +
    `Node ${process.version}, load ${load} before`
  );
}
