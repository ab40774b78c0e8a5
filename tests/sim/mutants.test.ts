/** Planted bugs: the simulator, or the suite named, notices each of them, or its silence would prove nothing. */
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { failureOf, killOf } from './kill.ts';
import { MUTANTS, type Mutant } from './mutants.ts';
import { checkPlaces } from './mutate.ts';
import { startServer, type Server } from './server.ts';

/** A minute or two on a machine of its own. */
vi.setConfig({ testTimeout: 1_800_000, hookTimeout: 120_000 });

let server: Server & { stop(): Promise<void> };
/** Runs of other suites, which wait more than they work: all begin at once, beside the simulations. */
const suites = new Map<Mutant, Promise<string | undefined>>();
beforeAll(async () => {
  server = await startServer();
  for (const mutant of MUTANTS) if ('suite' in mutant.killer) suites.set(mutant, failureOf(mutant, mutant.killer));
});
afterAll(async () => {
  await Promise.allSettled(suites.values());
  await server?.stop();
});

test('each of the thirteen invariants has a planted bug, and each patch finds its place exactly once', () => {
  expect(MUTANTS.length).toBeGreaterThanOrEqual(28);
  for (const mutant of MUTANTS) expect(() => checkPlaces(mutant), mutant.name).not.toThrow();
  expect([...new Set(MUTANTS.map(({ invariant }) => invariant))].toSorted((a, b) => a - b)).toEqual(
    Array.from({ length: 13 }, (_, i) => i + 1),
  );
});

/** Those that are under way already come last. */
const inTurn = MUTANTS.toSorted((a, b) => Number('suite' in a.killer) - Number('suite' in b.killer));

test.each(inTurn)('$name (invariant $invariant)', async (mutant) => {
  const { killer } = mutant;
  if ('suite' in killer) return expect(await suites.get(mutant), 'it lived').toMatch(/AssertionError|not within/);
  // Its own seed first; the others for the day on which the source has moved on.
  const kill = await killOf(server, mutant, { first: [killer.seed], from: 1, to: 300 });
  expect(kill, 'it lived').toBeDefined();
});
