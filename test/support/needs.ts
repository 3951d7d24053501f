import { execFileSync, spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { TestContext } from 'vitest';
import { workerPath } from '../../src/symbolize/lines/worker-path.js';
import { LIBUCP, PY_SPY } from './paths.js';

/** Whether an executable of this name is on the PATH. */
export function hasTool(name: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

let libraryCache: Map<string, string> | undefined;

/** Path of a shared library that the loader's cache lists under this soname, or null. */
export function libraryPath(soname: string): string | null {
  if (!libraryCache) {
    const listing = spawnSync('/sbin/ldconfig', ['-p'], { encoding: 'utf8' }).stdout ?? '';
    const entries = [...listing.matchAll(/^\s+(\S+) \([^)]*x86-64[^)]*\) => (\S+)$/gm)];
    libraryCache = new Map(entries.map(([, name, path]) => [name!, path!]));
  }
  return libraryCache.get(soname) ?? null;
}

let pythonCache: string | undefined;

/** The interpreter itself: `python3` on the PATH may be a version manager's shell script, dozens of processes long. */
export function pythonPath(): string {
  pythonCache ??= execFileSync('python3', ['-c', 'import sys; print(sys.executable)'], {
    encoding: 'utf8',
  }).trim();
  return pythonCache;
}

/** Installed does not mean allowed: containers without CAP_SYS_PTRACE refuse it. */
function straceWorks(): boolean {
  return hasTool('strace') && spawnSync('strace', ['-qq', '-o', '/dev/null', 'true']).status === 0;
}

/** For which Debian's packages of Python libraries are; `python3` on the PATH may be another one. */
export const DEBIAN_PYTHON = '/usr/bin/python3';

/** Containers and hardened kernels refuse new namespaces. */
function namespacesWork(): boolean {
  if (!hasTool('unshare')) return false;
  const asRoot = process.getuid?.() === 0 ? [] : ['--map-root-user'];
  return spawnSync('unshare', ['--mount', ...asRoot, 'chroot', '/', 'true']).status === 0;
}

/** A working compiler can still lack its standard library; a version line shows only that it starts. */
function starts(tool: string, ...args: string[]): boolean {
  if (!tool.startsWith('/') && !hasTool(tool)) return false;
  try {
    execFileSync(tool, args, { stdio: 'ignore', timeout: 30_000 });
    return true;
  } catch {
    return false;
  }
}

/** A hardened kernel allows it of one's own descendants only. */
const mayReadOtherProcesses = () => starts('head', '-c', '0', `/proc/${process.pid}/mem`);

const NEEDS = {
  libbacktrace: {
    present: () => workerPath() !== null,
    install: 'apt-get install libgcc-12-dev, or the like of your compiler, and npm run build',
  },
  dwz: { present: () => hasTool('dwz'), install: 'apt-get install dwz' },
  patchelf: { present: () => hasTool('patchelf'), install: 'apt-get install patchelf' },
  llvmSymbolizer: { present: () => hasTool('llvm-symbolizer'), install: 'apt-get install llvm' },
  strace: { present: straceWorks, install: 'apt-get install strace, and permission to trace' },
  namespaces: { present: namespacesWork, install: 'permission for unshare --mount' },
  go: { present: () => starts('go', 'version'), install: 'apt-get install golang-go' },
  rust: { present: () => starts('rustc', '--version'), install: 'apt-get install rustc' },
  java: { present: () => starts('javac', '-version'), install: 'apt-get install openjdk-17-jdk-headless' },
  python: { present: () => starts('python3', '--version'), install: 'apt-get install python3' },
  pySpy: {
    present: () => starts(PY_SPY, '--version') && mayReadOtherProcesses(),
    install:
      'python3 -m pip install --target build/py-spy -r test/support/requirements.txt, and permission to read other processes',
  },
  numpy: {
    present: () => starts(DEBIAN_PYTHON, '-c', 'import numpy'),
    install: 'apt-get install python3-numpy',
  },
  redis: { present: () => starts('redis-server', '--version'), install: 'apt-get install redis-server' },
  tmux: { present: () => hasTool('tmux'), install: 'apt-get install tmux' },
  bpftrace: { present: () => hasTool('bpftrace'), install: 'apt-get install bpftrace' },
  chromium: { present: () => hasTool('chromium'), install: 'apt-get install chromium' },
  jemalloc: {
    present: () => libraryPath('libjemalloc.so.2') !== null,
    install: 'apt-get install libjemalloc2',
  },
  tcmalloc: {
    present: () => libraryPath('libtcmalloc_minimal.so.4') !== null,
    install: 'apt-get install libtcmalloc-minimal4',
  },
  mimalloc: {
    present: () => libraryPath('libmimalloc.so.2') !== null,
    install: 'apt-get install libmimalloc2.0',
  },
  debianUcx: { present: () => libraryPath('libucp.so.0') !== null, install: 'apt-get install libucx0' },
  ucx: { present: () => existsSync(LIBUCP), install: 'python3 examples/ucx-rcache/fetch_ucx.py' },
} as const;

export type Need = keyof typeof NEEDS;

const known = new Map<Need, boolean>();

/** Why a test that needs these can't run here, in one line; null where it can. */
export function lacking(...needs: Need[]): string | null {
  const absent = needs.filter((need) => {
    if (!known.has(need)) known.set(need, NEEDS[need].present());
    return !known.get(need);
  });
  if (absent.length === 0) return null;
  return absent.map((need) => `needs ${need} (${NEEDS[need].install})`).join('; ');
}

/**
 * Skips the running test, with the reason, where one of its needs is absent. With OFFHEAP_CI_NO_SKIPS=1 it fails
 * instead: where everything is installed, a skip is a hole in the tests.
 */
export function needs(context: TestContext, ...needs: Need[]): void {
  const reason = lacking(...needs);
  if (reason === null) return;
  if (process.env.OFFHEAP_CI_NO_SKIPS === '1') throw new Error(`would be skipped: ${reason}`);
  context.skip(reason);
}
