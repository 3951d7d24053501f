// Other hookers of memory functions go on to work beside the shim, and the snapshot says where one does not: with UCX.
import { expect, onTestFinished, test } from 'vitest';
import type { Completeness } from '../src/report/schema.js';
import { attach } from '../src/session/attach.js';
import type { Session } from '../src/session/session.js';
import { shimPath } from '../src/session/shim.js';
import { buildC } from './support/build.js';
import { libraryPath, type Need, needs } from './support/needs.js';
import { channelFolder, preloaded } from './support/offheap.js';
import { LIBUCP } from './support/paths.js';
import { Running } from './support/running.js';

const ITERATIONS = '2000';

class UcxTarget {
  private constructor(
    readonly session: Session,
    private readonly running: Running,
  ) {}

  /** A program that has put UCX's hooks in place, and the collector has seen them. */
  static async start(library: string, env: Record<string, string>, mode = 'hold'): Promise<UcxTarget> {
    const dir = channelFolder();
    const running = new Running(buildC('ucx_leak'), [library, ITERATIONS, mode], {
      env: { ...preloaded(dir), UCX_LOG_LEVEL: 'error', UCX_MEM_LOG_LEVEL: 'error', ...env },
    });
    await running.line(/^before /);
    const session = await attach(running.pid, { dir });
    onTestFinished(() => session.close());
    session.snapshot();
    return new UcxTarget(session, running);
  }

  /** Lets it go on to map and unmap; what the snapshot then says of hookers. */
  async churn(until: RegExp): Promise<Pick<Completeness, 'hookers' | 'observerEffects'>> {
    this.running.write('\n');
    await this.running.line(until);
    return this.session.snapshot().completeness;
  }
}

/** Who hooks an operation, and how many of its calls it has heard and has not. */
function heardOf({ hookers }: Pick<Completeness, 'hookers'>, operation: string) {
  const found = hookers.find((each) => each.operation === operation);
  if (found === undefined) throw new Error(`nobody hooks ${operation}`);
  const { hooker, calls, heard } = found;
  return { hooker: hooker.replace(/(\.so\.0).*/, '$1'), heard, unheard: calls - heard };
}

/** Of each look, the last calls are looked at. */
const LOOKED_AT = 64;

interface Case {
  need: Need;
  library: () => string;
  env: Record<string, string>;
}

const wheel = { need: 'ucx', library: () => LIBUCP } as const;
const debian = { need: 'debianUcx', library: () => libraryPath('libucp.so.0')! } as const;
const cases: Record<string, () => Case> = {
  'UCX 1.20, libc’s entries overwritten': () => ({ ...wheel, env: { UCX_MEM_MMAP_HOOK_MODE: 'bistro' } }),
  'UCX 1.20, import tables overwritten': () => ({ ...wheel, env: { UCX_MEM_MMAP_HOOK_MODE: 'reloc' } }),
  'UCX 1.20, loaded before the shim': () => ({ ...wheel, env: { LD_PRELOAD: `${LIBUCP}:${shimPath()}` } }),
  'UCX 1.20, loaded with the shim': () => ({ ...wheel, env: { LD_PRELOAD: `${shimPath()}:${LIBUCP}` } }),
  'UCX 1.13, libc’s entries overwritten': () => ({ ...debian, env: { UCX_MEM_MMAP_HOOK_MODE: 'bistro' } }),
};

test.for(Object.entries(cases))('%s: every call is heard and recorded', async ([, given], context) => {
  const { need, library, env } = given();
  needs(context, need);
  const target = await UcxTarget.start(library(), env);
  const completeness = await target.churn(/^after /);
  expect(completeness.observerEffects).toEqual([]);
  for (const operation of ['mmap', 'munmap']) {
    const { hooker, heard, unheard } = heardOf(completeness, operation);
    expect([hooker, unheard]).toEqual(['libucm.so.0', 0]);
    expect(heard).toBeGreaterThanOrEqual(LOOKED_AT);
  }
});

test('UCX without hooks is no hooker', async (context) => {
  needs(context, 'ucx');
  const target = await UcxTarget.start(LIBUCP, { UCX_MEM_MMAP_HOOK_MODE: 'none' });
  expect(await target.churn(/^after /)).toMatchObject({ hookers: [], observerEffects: [] });
});

test('where imports lead to the shim, UCX goes deaf, and that is said', async (context) => {
  needs(context, 'ucx');
  const target = await UcxTarget.start(LIBUCP, { UCX_MEM_MMAP_HOOK_MODE: 'bistro', OFFHEAP_SITES: 'off' });
  const completeness = await target.churn(/^after /);
  expect(heardOf(completeness, 'munmap').heard).toBe(0);
  expect(completeness.observerEffects).toEqual([
    expect.stringMatching(
      /^libucm\.so\.0\S* hooks (munmap, mmap|mmap, munmap) and does not hear .*: their imports lead to offheap/,
    ),
  ]);
});

test('a hook whose place another hooker takes is told, and who has it now', async (context) => {
  needs(context, 'ucx');
  const target = await UcxTarget.start(LIBUCP, { UCX_MEM_MMAP_HOOK_MODE: 'bistro' }, 'rehook');
  expect((await target.churn(/^after /)).observerEffects).toEqual([]);
  const { observerEffects, hookers } = await target.churn(/^unhooked /);
  expect(observerEffects).toEqual([
    'libucm.so.0 hooks munmap and does not hear the calls that are made now: code made at run time has taken its place in libc',
  ]);
  expect(hookers.map(({ hooker }) => hooker)).toContain('code made at run time');
});

test('a hook that is taken out meanwhile is told', async (context) => {
  needs(context, 'ucx');
  const target = await UcxTarget.start(LIBUCP, { UCX_MEM_MMAP_HOOK_MODE: 'bistro' }, 'unhook');
  expect((await target.churn(/^after /)).observerEffects).toEqual([]);
  const completeness = await target.churn(/^unhooked /);
  expect(heardOf(completeness, 'mmap').unheard).toBe(0);
  expect(heardOf(completeness, 'munmap').unheard).toBeGreaterThanOrEqual(LOOKED_AT);
  expect(completeness.observerEffects).toEqual([
    'libucm.so.0 hooks munmap and does not hear the calls that are made now: libucm.so.0 has lost its place in libc',
  ]);
});
