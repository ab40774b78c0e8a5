/** How long it is kept what a fact brought. */
import { afterEach, describe, expect, test } from 'vitest';
import { testDatabase } from '../support/database.ts';
import { createEngine, phones, scored } from '../support/engine.ts';
import { lookUp } from './look-up.ts';

const db = await testDatabase();
const engine = createEngine(db);
const { verbs, now } = engine;
const { eventsOf, leadOf, running } = lookUp(engine);
afterEach(() => engine.reset());

const [PHONE] = phones(1);

describe('retention', () => {
  const DAY = 24 * 60;

  test('payloads are kept 30 days, events half a year, transcripts a year; what was counted stays', async () => {
    const owner = await engine.account();
    const { leads } = await running(owner, [PHONE]);
    const [{ call_id: call }] = await engine.place();
    const end = () => engine.tell(owner, call, 'completed', { ...scored(75), payload: '{"secret":1}', transcript: 'Hello' });
    await end();
    const kept = async () => ({
      events: (await eventsOf(owner.account, call)).map(({ payload }) => payload),
      transcript: (await verbs.getCall(owner.account, now(), call))!.transcript,
    });
    engine.pass(30 * DAY - 1);
    await verbs.tick(now(), 10);
    expect(await kept()).toEqual({ events: ['{"secret":1}'], transcript: 'Hello' });
    engine.pass(1);
    await verbs.tick(now(), 10);
    expect(await kept()).toEqual({ events: [null], transcript: 'Hello' });
    const { rows } = await db.pool.query(`select from ringleader.call_events where fact::text like '%Hello%'`);
    expect(rows).toEqual([]);
    expect(await end()).toMatchObject({ fate: 'duplicate' });
    engine.pass(150 * DAY);
    await verbs.tick(now(), 10);
    // The repetition came later; it goes later.
    expect(await kept()).toEqual({ events: [null], transcript: 'Hello' });
    engine.pass(185 * DAY);
    await verbs.tick(now(), 10);
    expect(await kept()).toEqual({ events: [], transcript: null });
    expect(await leadOf(owner.account, leads[0])).toMatchObject({ score: 75, evidence: 'said 75' });
  });

  test('one tick forgets a bounded number, and says that more is left', async () => {
    const owner = await engine.account();
    await running(owner, [PHONE]);
    const [{ call_id: call }] = await engine.place();
    await db.pool.query(
      `insert into ringleader.call_events (id, account_id, agent_id, call_id, event_key, fate, fact, payload, received_at)
       select gen_random_uuid(), $1, $2, $3, 'key-' || n, 'applied', '{}', 'body', $4 from generate_series(1, 700) n`,
      [owner.account, owner.agent, call, now()],
    );
    engine.pass(31 * DAY);
    const left = async (): Promise<number> => {
      const { rows } = await db.pool.query<{ n: number }>(
        'select count(*)::int as n from ringleader.call_events where payload is not null',
      );
      return rows[0].n;
    };
    expect((await verbs.tick(now(), 10)).unfinished).toBe(true);
    expect(await left()).toBe(200);
    expect((await verbs.tick(now(), 10)).unfinished).toBe(false);
    expect(await left()).toBe(0);
  });
});
