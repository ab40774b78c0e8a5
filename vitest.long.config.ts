import { defineConfig } from 'vitest/config';

/** What takes minutes: simulation with many seeds, soak, kill. One file at a time, each with the machine to itself. */
export default defineConfig({
  test: {
    include: ['tests/**/*.long.test.ts'],
    globalSetup: ['tests/support/database.ts'],
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 30 * 60_000,
    hookTimeout: 120_000,
  },
});
