/** Seeds that nobody has played before, on every core: `npm run sim` as a person would run it. */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { expect, test } from 'vitest';

const SEEDS = 2000;

test(`${SEEDS} fresh seeds: no violation, every kind of fault strikes, every transition is seen`, () => {
  const from = Math.floor(Date.now() / 1000);
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [path.join(import.meta.dirname, 'run.ts'), '--seeds', `${from}..${from + SEEDS - 1}`],
    { encoding: 'utf8', maxBuffer: 1 << 26 },
  );
  console.log(stdout);
  expect(stderr).toBe('');
  expect(stdout).toContain(`${SEEDS} seeds, `);
  expect(stdout).toContain('never fired: none');
  expect(stdout).toContain('never seen: none');
  expect(status).toBe(0);
});
