/** Planted bugs: the simulator notices each of them, or its silence would prove nothing. */
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { killOf } from './kill.ts';
import { MUTANTS } from './mutants.ts';
import { checkPlaces } from './mutate.ts';
import { startServer, type Server } from './server.ts';

/** Seconds on a machine of its own. */
vi.setConfig({ testTimeout: 600_000, hookTimeout: 120_000 });

let server: Server & { stop(): Promise<void> };
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server?.stop());

test('each of the thirteen invariants has a planted bug, and each patch finds its place exactly once', () => {
  expect(MUTANTS.length).toBeGreaterThanOrEqual(26);
  for (const mutant of MUTANTS) expect(() => checkPlaces(mutant), mutant.name).not.toThrow();
  expect([...new Set(MUTANTS.map(({ invariant }) => invariant))].toSorted((a, b) => a - b)).toEqual(
    Array.from({ length: 13 }, (_, i) => i + 1),
  );
});

const quick = MUTANTS.flatMap(({ seed, ...mutant }) => (seed === null ? [] : [{ ...mutant, seed }]));

test('nearly all of them die at a seed that is known', () => expect(quick.length).toBeGreaterThanOrEqual(22));

test.each(quick)('$name (invariant $invariant)', async (mutant) => {
  // Its own seed first; the others for the day on which the source has moved on.
  const kill = await killOf(server, mutant, { first: [mutant.seed], from: 1, to: 100 });
  expect(kill, 'it lived').toBeDefined();
});
