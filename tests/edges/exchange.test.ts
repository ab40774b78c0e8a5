/** The exchange behind every wire: how many lines a key has, what is counted, and how webhooks are lost, repeated and delayed to order. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AGENT, answering, ANSWERED, ask, dial, HOT, HOUR, seeded, startScene, until } from './support.ts';
import type { Scene } from './support.ts';

let scene: Scene;
beforeEach(async () => {
  scene = await startScene();
});
afterEach(() => scene.stop());

describe('the ceiling', () => {
  test('a call above it is accepted, queued, counted, not live, and dialled when a line is free', async () => {
    await scene.control({ ceiling: 2 });
    const ids: string[] = [];
    for (let n = 0; n < 4; n += 1) ids.push(await dial(scene, answering(n)));
    expect(await scene.stats()).toMatchObject({ calls_created: 4, live: 2, max_live: 2, ceiling: 2, ceiling_violations: 2 });
    scene.clock.advance(1_000);
    const states = async () => Promise.all(ids.map(async (id) => (await scene.read(id)).status));
    expect(await states()).toEqual(['ringing', 'ringing', 'queued', 'queued']);
    scene.clock.advance(35_000);
    expect(await states()).toEqual(['call-disconnected', 'call-disconnected', 'ringing', 'ringing']);
    scene.clock.advance(HOUR);
    expect(await states()).toEqual(Array(4).fill('completed'));
    expect(await scene.stats()).toMatchObject({ live: 0, max_live: 2 });
  });

  test('it holds per key, and /user/me tells of it', async () => {
    await scene.control({ ceiling: 1 });
    await scene.create(answering(1), {}, {}, 'key-a');
    await scene.create(answering(2), {}, {}, 'key-b');
    expect(await scene.stats()).toMatchObject({ live: 2, ceiling_violations: 0 });
    const me = await ask(`${scene.url}/user/me`, 'GET', undefined, { authorization: 'Bearer key-a' });
    expect(me.body).toMatchObject({ wallet: 1_000, concurrency: { max: 1, current: 1 } });
  });

  test('raising or lifting it dials what waits', async () => {
    await scene.control({ ceiling: 0 });
    for (let n = 0; n < 3; n += 1) await dial(scene, answering(n));
    expect((await scene.stats()).live).toBe(0);
    await scene.control({ ceiling: 1 });
    expect((await scene.stats()).live).toBe(1);
    await scene.control({ ceiling: null });
    expect(await scene.stats()).toMatchObject({ live: 3, ceiling: null, ceiling_violations: 3 });
  });

  test('a queued call can be stopped and says so; one on the line, an ended and an unknown one cannot', async () => {
    await scene.control({ ceiling: 1 });
    const [first, second] = [await dial(scene, answering(1)), await dial(scene, answering(2))];
    const stop = async (id: string) => ask(`${scene.url}/call/${id}/stop`, 'POST');
    const stopped = await stop(second);
    expect([stopped.status, stopped.body]).toEqual([200, { message: 'done', status: 'stopped', execution_id: second }]);
    await scene.received(3);
    expect(scene.got.filter(({ id }) => id === second).map(({ status }) => status)).toEqual(['queued', 'stopped']);
    expect(await scene.read(second)).toMatchObject({ status: 'stopped', telephony_data: { hangup_by: 'API Request' } });
    scene.clock.advance(1_000);
    expect((await stop(first)).status).toBe(400);
    scene.clock.advance(HOUR);
    expect((await scene.read(first)).status).toBe('completed');
    expect((await scene.read(second)).status).toBe('stopped');
    expect(await Promise.all([first, second, 'nope'].map(async (id) => (await stop(id)).status))).toEqual([400, 400, 404]);
  });

  test('a call stopped before it was dialled frees its line', async () => {
    const id = await dial(scene, answering(1));
    expect((await ask(`${scene.url}/call/${id}/stop`, 'POST')).status).toBe(200);
    expect((await scene.stats()).live).toBe(0);
    scene.clock.advance(HOUR);
    expect((await scene.read(id)).status).toBe('stopped');
  });
});

describe('the stats', () => {
  test('a create-call whose attempt was accepted before is a duplicate (class 8)', async () => {
    await dial(scene, answering(1), { attempt_id: 'same' });
    await dial(scene, answering(2), { attempt_id: 'same' });
    await dial(scene, answering(3), { attempt_id: 'other' });
    expect(await scene.stats()).toMatchObject({ calls_created: 3, duplicate_creates: 1 });
  });

  test('a dial to a number that is on a call is counted, one after it hung up is not (class 9)', async () => {
    await dial(scene, HOT);
    await dial(scene, HOT);
    expect((await scene.stats()).dials_while_on_a_call).toBe(1);
    scene.clock.advance(35_500);
    await dial(scene, HOT);
    expect((await scene.stats()).dials_while_on_a_call).toBe(1);
  });

  test('a queued number is not on a call until it is dialled', async () => {
    await scene.control({ ceiling: 0 });
    await dial(scene, HOT);
    await dial(scene, HOT);
    expect((await scene.stats()).dials_while_on_a_call).toBe(0);
    await scene.control({ ceiling: 5 });
    expect((await scene.stats()).dials_while_on_a_call).toBe(1);
  });

  test('agents are counted apart', async () => {
    await dial(scene, answering(1));
    await dial(scene, answering(2), {}, { agent_id: 'agent-2' });
    scene.clock.advance(HOUR);
    await dial(scene, answering(3), {}, { agent_id: 'agent-2' });
    expect((await scene.stats()).by_agent).toEqual({
      [AGENT]: { calls_created: 1, max_live: 1 },
      'agent-2': { calls_created: 2, max_live: 1 },
    });
    expect((await scene.stats()).max_live).toBe(2);
  });

  test('a reset forgets the counts and keeps who is live', async () => {
    await dial(scene, answering(1));
    await dial(scene, answering(2));
    await scene.received(2);
    scene.clock.advance(HOUR);
    await scene.received(12);
    await dial(scene, answering(3));
    await scene.received(13);
    await ask(`${scene.url}/stats`, 'DELETE');
    expect(await scene.stats()).toEqual({
      calls_created: 0,
      live: 1,
      max_live: 1,
      ceiling: null,
      ceiling_violations: 0,
      duplicate_creates: 0,
      dials_while_on_a_call: 0,
      webhooks: { sent: 0, repeated: 0, dropped: 0 },
      by_agent: { [AGENT]: { calls_created: 0, max_live: 1 } },
    });
  });
});

describe('control', () => {
  test('what it cannot be set to is refused and changes nothing', async () => {
    const bad = [
      { drop: 1.1 },
      { drop: -0.1 },
      { ceiling: 1.5 },
      { ceiling: '4' },
      { delay_seconds: -1 },
      { dropp: 0.1 },
      null,
      '{',
    ];
    for (const patch of bad) expect((await scene.control(patch)).status).toBe(400);
    const none = { ceiling: null, drop: 0, duplicate: 0, reorder: 0, delay_seconds: 0 };
    expect((await ask(`${scene.url}/control`)).body).toEqual(none);
    expect((await scene.control({ drop: 0.2, ceiling: 4 })).body).toEqual({ ...none, drop: 0.2, ceiling: 4 });
    expect((await scene.control({ reorder: 1 })).body).toEqual({ ...none, drop: 0.2, ceiling: 4, reorder: 1 });
  });

  test('drop 1: nothing leaves, everything is counted, the reads tell the truth', async () => {
    await scene.control({ drop: 1 });
    const id = await dial(scene, HOT);
    scene.clock.advance(HOUR);
    expect((await scene.stats()).webhooks).toEqual({ sent: 0, repeated: 0, dropped: 6 });
    expect((await scene.read(id)).status).toBe('completed');
    expect(scene.got).toEqual([]);
  });

  test('duplicate 1: each comes twice', async () => {
    await scene.control({ duplicate: 1 });
    await dial(scene, HOT);
    scene.clock.advance(HOUR);
    await scene.received(12);
    expect(scene.statuses()).toEqual(ANSWERED.flatMap((status) => [status, status]));
  });

  test('reorder 1: all comes backwards, and all of it comes', async () => {
    await scene.control({ reorder: 1 });
    await dial(scene, HOT);
    scene.clock.advance(HOUR);
    await scene.received(6);
    expect(scene.statuses()).toEqual(ANSWERED.toReversed());
  });

  test('delay_seconds: each leaves so much later', async () => {
    await scene.control({ delay_seconds: 60 });
    await dial(scene, HOT);
    scene.clock.advance(59_999);
    expect((await scene.stats()).webhooks.sent).toBe(0);
    scene.clock.advance(1);
    await scene.received(1);
    scene.clock.advance(HOUR);
    await scene.received(6);
    expect(scene.statuses()).toEqual(ANSWERED);
  });

  test('shares hit about so many, the same ones for the same luck, and none twice lost', async () => {
    const run = async () => {
      const other = await startScene({ random: seeded(7) });
      try {
        await other.control({ drop: 0.2, duplicate: 0.3, reorder: 0.5 });
        for (let n = 0; n < 50; n += 1) await dial(other, answering(n));
        other.clock.advance(HOUR);
        const { webhooks } = await until('all sent', async () => {
          const stats = await other.stats();
          const events = (await other.calls()).flatMap((call) => call.events);
          const settled = events.every(({ lost, deliveries }) => lost !== undefined || deliveries.length > 0);
          return settled && events.every(({ deliveries }) => deliveries.every(({ answer }) => answer !== null))
            ? stats
            : undefined;
        });
        const distinct = new Set(
          other.got.map(({ context_details, status }) => `${context_details.recipient_phone_number} ${status}`),
        );
        return { ...webhooks, distinct: distinct.size, seen: other.statuses().toSorted() };
      } finally {
        await other.stop();
      }
    };
    const [one, two] = [await run(), await run()];
    expect(one).toEqual(two);
    expect(one.distinct + one.dropped).toBe(300);
    expect(one.dropped).toBeGreaterThan(30);
    expect(one.dropped).toBeLessThan(90);
    expect(one.sent).toBeGreaterThan(one.distinct);
  });
});
