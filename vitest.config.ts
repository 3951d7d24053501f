import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Targets are real processes on few cores: files beside one another would starve each other's targets.
    fileParallelism: false,
    reporters: ['default', 'json'],
    outputFile: { json: 'build/vitest.json' },
  },
});
