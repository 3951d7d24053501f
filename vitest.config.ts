import { resolve } from 'node:path';
import { configDefaults, defineConfig } from 'vitest/config';

const IN_GUEST = process.env.OFFHEAP_OTHER_KERNEL !== undefined;

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    // Those run in the guest of test/other-kernel/boot.sh, which has no acceleration.
    exclude: [...configDefaults.exclude, ...(IN_GUEST ? [] : ['test/other-kernel/**'])],
    // Above what the tests take for hanging (test/support/limits.ts): they can say more about it.
    testTimeout: IN_GUEST ? 600_000 : 300_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 240_000 } },
    // Most files wait for real processes most of the time; more of them at once would starve each other's targets.
    maxWorkers: 2,
    // Real processes on few and busy cores: what fails twice is broken.
    retry: 1,
    reporters: ['default', 'json'],
    outputFile: { json: 'build/vitest.json' },
    // Tests leave the user's own cache alone.
    env: { XDG_CACHE_HOME: resolve('build/cache') },
  },
});
