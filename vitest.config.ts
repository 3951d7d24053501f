import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
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
