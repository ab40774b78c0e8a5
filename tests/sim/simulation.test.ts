/** The simulator in the tests: fixed seeds, the same trace twice, and proof that what is to be simulated really occurs. */
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { SimDatabase } from './database.ts';
import { failingSeeds } from './failing.ts';
import { figuresOf, neverFired, told } from './figures.ts';
import { createSimDatabase, startServer, type Server } from './server.ts';
import { simulate, type Outcome } from './simulate.ts';
import { playTenants } from './tenants.ts';

/** Seconds on a machine of its own. */
vi.setConfig({ testTimeout: 600_000, hookTimeout: 120_000 });

/** Enough for every kind of fault; every transition is asked of the long form, which plays thousands. */
const SEEDS = 100;

let server: Server & { stop(): Promise<void> };
let database: SimDatabase;
beforeAll(async () => {
  server = await startServer();
  database = await createSimDatabase(server);
});
afterAll(async () => {
  await database?.close();
  await server?.stop();
});

/** Plays seeds on a database, one after the other. */
const play = async (seeds: readonly number[], on = database): Promise<Outcome[]> => {
  const outcomes: Outcome[] = [];
  for (const seed of seeds) outcomes.push(await simulate(on, seed));
  return outcomes;
};
const violations = (outcomes: readonly Outcome[]): string[] =>
  outcomes.flatMap((one) => one.violations.map((what) => `seed ${one.seed}: ${what}`));

test('seeds that failed once never fail again', async () => {
  const seeds = failingSeeds();
  expect(seeds.length).toBeGreaterThan(0);
  expect(violations(await play(seeds))).toEqual([]);
});

test(`${SEEDS} seeds: no invariant is violated, and every kind of fault strikes`, async () => {
  const began = performance.now();
  const outcomes = await play(Array.from({ length: SEEDS }, (_, i) => i + 1));
  const figures = figuresOf(outcomes);
  console.log(told(figures, (performance.now() - began) / 1000).join('\n'));
  expect(violations(outcomes)).toEqual([]);
  expect(neverFired(figures)).toEqual([]);
  // More than one account, and clocks that change, are in play.
  expect(figures.seen['scenario: several accounts']).toBeGreaterThan(20);
  expect(figures.seen['scenario: clocks change']).toBeGreaterThan(5);
});

test('the same seed gives the same trace: alone, in a batch, in another order, in another database', async () => {
  const seeds = [7, 11, 19, 23, 5];
  const other = await createSimDatabase(server);
  try {
    const batch = await play(seeds);
    const backwards = await play(seeds.toReversed(), other);
    expect(backwards.toReversed()).toEqual(batch);
    expect(await play([19])).toEqual([batch[2]]);
    expect(new Set(batch.map((one) => one.digest)).size).toBe(seeds.length);
  } finally {
    await other.close();
  }
});

test('a batch of tenants gives each the same history as alone', async () => {
  const n = 12;
  const all = Array.from({ length: n }, (_, i) => i);
  const together = await playTenants(database, 4711, n, all);
  expect(together.violations).toEqual([]);
  let lines = 0;
  for (const tenant of all) {
    const alone = await playTenants(database, 4711, n, [tenant]);
    expect(alone.violations).toEqual([]);
    expect(together.histories.get(tenant)).toEqual(alone.histories.get(tenant));
    lines += alone.histories.get(tenant)!.length;
  }
  expect(lines).toBeGreaterThan(60);
});
