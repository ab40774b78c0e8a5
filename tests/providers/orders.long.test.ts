/** Class 27, at length: 2,000 seeded shuffles for every call of more than five events. */
import { afterEach, expect, test } from 'vitest';
import { testDatabase } from '../support/database.ts';
import { createEngine } from '../support/engine.ts';
import { localApi } from './local-api.ts';
import { runScenario, SCENARIOS } from './orders.ts';

const db = await testDatabase();
const engine = createEngine(db);
afterEach(() => engine.reset());
const bolna = await localApi('bolna');

const ROUNDS = 10;
const SHUFFLES = 200;
const long = SCENARIOS.filter(({ events }) => events.length > 5);

test('all calls of more than five events are told by Bolna', () => {
  expect(long.map(({ provider }) => provider)).toEqual(['bolna']);
});

test.each(Array.from({ length: ROUNDS }, (_, round) => round + 1))(
  'round %i of 200 shuffles leaves the same row',
  async (seed) => {
    for (const scenario of long) {
      const ways = await runScenario({ db, engine, api: bolna, shuffles: SHUFFLES, seed }, scenario);
      expect(ways).toBeGreaterThan(SHUFFLES * (2 + scenario.events.length));
    }
  },
);
