import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AGENT, ANSWERED, ask, dial, HOUR, startScene } from './support.ts';
import type { Execution, Scene } from './support.ts';

let scene: Scene;
beforeEach(async () => {
  scene = await startScene();
});
afterEach(() => scene.stop());

const number = (digits: number): string => `+120255501${String(digits).padStart(2, '0')}`;
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, index) => from + index);
const lead = (execution: Execution) => execution.extracted_data?.Lead;

interface Row {
  digits: number[];
  statuses: string[];
  score?: (digits: number) => number;
  machine?: true;
}
const ROWS: Record<string, Row> = {
  '00–49 answer with a falling score': { digits: range(0, 49), statuses: ANSWERED, score: (digits) => 100 - 2 * digits },
  '50–64 do not answer': { digits: range(50, 64), statuses: ['queued', 'initiated', 'ringing', 'no-answer'] },
  '65–74 are busy': { digits: range(65, 74), statuses: ['queued', 'initiated', 'ringing', 'busy'] },
  '75–84 reach a machine': { digits: range(75, 84), statuses: ANSWERED, machine: true },
  '85–89 fail': { digits: range(85, 89), statuses: ['queued', 'initiated', 'failed'] },
};

describe('the number table', () => {
  test('the plain rows cover 00 to 89 without a gap', () => {
    expect(Object.values(ROWS).flatMap(({ digits }) => digits)).toEqual(range(0, 89));
    expect(Object.keys(ROWS)).toHaveLength(5);
  });

  test.each(Object.entries(ROWS))('%s', async (_title, { digits, statuses, score, machine }) => {
    const ids = await Promise.all(digits.map((digit) => dial(scene, number(digit))));
    scene.clock.advance(HOUR);
    await scene.received(digits.length * statuses.length);
    for (const [index, id] of ids.entries()) {
      const mine = scene.got.filter((webhook) => webhook.id === id);
      expect(mine.map(({ status }) => status)).toEqual(statuses);
      const last = mine.at(-1);
      const expected = score?.(digits[index]);
      expect(last?.extracted_data === null ? undefined : Number(last && lead(last)?.Score.objective)).toBe(expected);
      expect(last?.answered_by_voice_mail).toBe(machine ?? null);
      expect(mine.slice(0, -1).map(({ extracted_data }) => extracted_data)).toEqual(statuses.slice(1).map(() => null));
    }
    expect(await scene.stats()).toMatchObject({ calls_created: digits.length, live: 0, max_live: digits.length });
  });

  test('a score of 70 or more is Hot, 40 or more Warm, anything else Cold', async () => {
    const ids = await Promise.all([15, 16, 30, 31].map((digits) => dial(scene, number(digits))));
    scene.clock.advance(HOUR);
    const leads = await Promise.all(ids.map(async (id) => lead(await scene.read(id))));
    expect(leads.map((found) => [found?.Score.objective, found?.Temperature.objective])).toEqual([
      ['70', 'Hot'],
      ['68', 'Warm'],
      ['40', 'Warm'],
      ['38', 'Cold'],
    ]);
  });

  test('90–94 answer every second dial within a campaign', async () => {
    for (const digits of range(90, 94)) {
      const ends: string[] = [];
      for (const campaign of ['c-1', 'c-1', 'c-1', 'c-1', 'c-2', 'c-2', null, null]) {
        const id = await dial(scene, number(digits), { campaign_id: campaign });
        scene.clock.advance(HOUR);
        const execution = await scene.read(id);
        ends.push(`${execution.status} ${lead(execution)?.Score.objective ?? ''}`.trim());
      }
      expect(ends).toEqual(Array.from({ length: 4 }, () => ['no-answer', 'completed 80']).flat());
    }
  });

  test('95: every webhook after in-progress is lost, and the read tells the truth', async () => {
    const id = await dial(scene, number(95));
    scene.clock.advance(HOUR);
    await scene.received(4);
    expect(scene.statuses()).toEqual(['queued', 'initiated', 'ringing', 'in-progress']);
    expect((await scene.stats()).webhooks).toEqual({ sent: 4, repeated: 0, dropped: 2 });
    const execution = await scene.read(id);
    expect([execution.status, lead(execution)?.Score.objective]).toEqual(['completed', '75']);
  });

  test('96: every webhook comes three times, in the wrong order', async () => {
    const id = await dial(scene, number(96));
    scene.clock.advance(HOUR);
    await scene.received(18);
    const pairs = ['initiated', 'queued', 'in-progress', 'ringing', 'completed', 'call-disconnected'];
    expect(scene.statuses()).toEqual([...pairs, ...ANSWERED.toReversed(), ...ANSWERED.toReversed()]);
    expect(lead(await scene.read(id))?.Score.objective).toBe('75');
  });

  test('97: accepted and never answered; only the list carries our data', async () => {
    const leaving = new AbortController();
    const body = {
      agent_id: AGENT,
      recipient_phone_number: number(97),
      user_data: { attempt_id: 'lost-one', campaign_id: 'c-1' },
    };
    const asked = fetch(`${scene.url}/call`, {
      method: 'POST',
      headers: { authorization: 'Bearer bn-test' },
      body: JSON.stringify(body),
      signal: leaving.signal,
    }).then(
      () => 'answered',
      () => 'cut',
    );
    await scene.received(1);
    scene.clock.advance(HOUR);
    await scene.received(6);
    leaving.abort();
    expect(await asked).toBe('cut');
    expect(scene.got.map(({ context_details }) => context_details.recipient_data)).toEqual(ANSWERED.map(() => null));
    expect(JSON.stringify(scene.got)).not.toContain('lost-one');
    const list = (await ask(`${scene.url}/v2/agent/${AGENT}/executions`)).body as { data: Execution[] };
    expect(list.data.map(({ status, context_details }) => [status, context_details.recipient_data])).toEqual([
      ['completed', body.user_data],
    ]);
    expect(lead(list.data[0])?.Score.objective).toBe('75');
    expect((await scene.calls())[0]).toMatchObject({ answered: null, execution_id: list.data[0].id, status: 'completed' });
  });

  test('98: always 500, and no execution exists', async () => {
    for (let time = 0; time < 3; time += 1) expect((await scene.create(number(98))).status).toBe(500);
    scene.clock.advance(HOUR);
    expect((await ask(`${scene.url}/v2/agent/${AGENT}/executions`)).body).toMatchObject({ total: 0, data: [] });
    expect(scene.got).toEqual([]);
    expect(await scene.stats()).toMatchObject({ calls_created: 0, duplicate_creates: 0, max_live: 0 });
    expect((await scene.calls()).map(({ answered, execution_id }) => answered === 500 && execution_id === null)).toEqual([
      true,
      true,
      true,
    ]);
  });

  test('99: 429 with Retry-After at the first two create-calls within a campaign, then as 00', async () => {
    for (const campaign_id of ['c-1', 'c-2']) {
      const attempt = { campaign_id, attempt_id: `of ${campaign_id}` };
      for (let time = 0; time < 2; time += 1) {
        const { status, headers } = await scene.create(number(99), attempt);
        expect([status, headers.get('retry-after')]).toEqual([429, '1']);
      }
      const id = await dial(scene, number(99), attempt);
      scene.clock.advance(HOUR);
      expect(lead(await scene.read(id))?.Score.objective).toBe('100');
    }
    expect(await scene.stats()).toMatchObject({ calls_created: 2, duplicate_creates: 0 });
  });

  test('a call rings 5 s, talks 30 s and is processed 5 s; its line is free when it disconnects', async () => {
    const id = await dial(scene, number(0));
    const seen: [string, number][] = [];
    const step = async (ms: number) => {
      scene.clock.advance(ms);
      seen.push([(await scene.read(id)).status, (await scene.stats()).live]);
    };
    for (const ms of [0, 500, 4_999, 1, 29_999, 1, 4_999, 1]) await step(ms);
    expect(seen).toEqual([
      ['queued', 1],
      ['ringing', 1],
      ['ringing', 1],
      ['in-progress', 1],
      ['in-progress', 1],
      ['call-disconnected', 0],
      ['call-disconnected', 0],
      ['completed', 0],
    ]);
  });

  test('the line is free before the webhook that says so is sent', async () => {
    await scene.stop();
    const lives: [string, number][] = [];
    scene = await startScene({
      answer: async ({ status }) => {
        lives.push([status, (await scene.stats()).live]);
        return 200;
      },
    });
    await dial(scene, number(65));
    await scene.received(1);
    for (const [index, ms] of [250, 250, 1_000].entries()) {
      scene.clock.advance(ms);
      await scene.received(index + 2);
    }
    expect(lives).toEqual([
      ['queued', 1],
      ['initiated', 1],
      ['ringing', 1],
      ['busy', 0],
    ]);
  });
});
