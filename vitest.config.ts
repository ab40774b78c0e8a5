import { defineConfig } from 'vitest/config';

/** Areas that talk HTTP to one system for all of them; every other starts what it needs, beside a database. */
const STACK_AREAS = ['http', 'security', 'browser'];
const stackTests = STACK_AREAS.map((area) => `tests/${area}/**/*.test.ts`);
/** Minutes rather than seconds: `npm run test:long`. */
const longTests = ['tests/**/*.long.test.ts'];

export default defineConfig({
  test: {
    reporters: ['default', './tests/support/count-reporter.ts'],
    // What a test that passes prints is noise; a test that fails shows its logs.
    silent: 'passed-only',
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'node',
          include: ['tests/**/*.test.ts'],
          exclude: [...stackTests, ...longTests],
          globalSetup: ['tests/support/database.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'stack',
          include: stackTests,
          exclude: longTests,
          globalSetup: ['tests/support/stack.ts'],
        },
      },
    ],
  },
});
