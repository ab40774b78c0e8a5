/** Class 27: whatever order events come in, doubled or lost, the same remains. */
import { afterEach, describe, expect, test } from 'vitest';
import { PROVIDERS } from '../../lib/providers/table.ts';
import { testDatabase } from '../support/database.ts';
import { createEngine } from '../support/engine.ts';
import { localApi } from './local-api.ts';
import { droppable, runScenario, SCENARIOS } from './orders.ts';

const db = await testDatabase();
const engine = createEngine(db);
afterEach(() => engine.reset());
const apis = Object.fromEntries(await Promise.all(PROVIDERS.map(async (name) => [name, await localApi(name)] as const)));

/** Seeded shuffles for calls of more than five events; `npm run test:long` takes 2,000. */
const SHUFFLES = 60;

test.each(['answered', 'asked not to be called', 'called back'])('every provider tells a call: %s', (name) => {
  const told = SCENARIOS.filter((scenario) => scenario.name === name).map(({ provider }) => provider);
  expect(told.toSorted()).toEqual(PROVIDERS.toSorted());
});

describe.each(SCENARIOS)('$provider, $name: $events', (scenario) => {
  test('in every order, doubled, each event dropped and reconciled, the create-call answer at any place (classes 10, 27)', async () => {
    const ways = await runScenario({ db, engine, api: apis[scenario.provider], shuffles: SHUFFLES, seed: 1 }, scenario);
    const n = scenario.events.length;
    const orders = n <= 5 ? [1, 1, 2, 6, 24, 120][n] : n - 1 + SHUFFLES;
    expect(ways).toBe(1 + orders * (2 + droppable(scenario).length) + (scenario.inbound ? 0 : 2 * n));
  }, 180_000);
});
