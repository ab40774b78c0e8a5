/** The phone network as Bolna's API: what it refuses, what it tells, and how often it tells it. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AGENT, answering, ANSWERED, ask, dial, HOT, HOUR, startScene, until } from './support.ts';
import type { Execution, Scene } from './support.ts';

let scene: Scene;
beforeEach(async () => {
  scene = await startScene();
});
afterEach(() => scene.stop());

describe('create-calls', () => {
  const good = { agent_id: AGENT, recipient_phone_number: HOT };
  const REFUSED: [unknown, number, string][] = [
    [{ recipient_phone_number: HOT }, 400, 'agent_id is required'],
    [{ ...good, agent_id: '' }, 400, 'agent_id is required'],
    [{ agent_id: AGENT }, 400, 'recipient_phone_number is required'],
    [{ ...good, recipient_phone_number: '2025550100' }, 400, 'recipient_phone_number must be in E.164 format'],
    [{ ...good, recipient_phone_number: '+1 202 555 0100' }, 400, 'recipient_phone_number must be in E.164 format'],
    [{ ...good, from_phone_number: 'me' }, 400, 'from_phone_number must be in E.164 format'],
    [{ ...good, user_data: 'x' }, 400, 'user_data must be an object'],
    [{ ...good, scheduled_at: '2026-03-02T10:00:00+00:00' }, 400, 'scheduled_at is not offered by this network'],
    [{ ...good, retry_config: { enabled: true } }, 400, 'retry_config is not offered by this network'],
    ['{"agent_id":', 400, 'Request body must be a JSON object'],
    [[good], 400, 'Request body must be a JSON object'],
  ];

  test('what Bolna refuses is refused, written down, and makes no call', async () => {
    for (const [body, status, message] of REFUSED) {
      const { body: answer } = await ask(`${scene.url}/call`, 'POST', body);
      expect(answer).toEqual({ error: status, message });
    }
    expect((await scene.calls()).map(({ answered }) => answered)).toEqual(REFUSED.map(([, status]) => status));
    expect(REFUSED).toHaveLength(11);
    expect((await scene.stats()).calls_created).toBe(0);
  });

  test('a bad key is 403 everywhere, no key 401, and neither makes a call', async () => {
    for (const [method, path] of [
      ['POST', '/call'],
      ['GET', '/user/me'],
      ['GET', '/executions/x'],
      ['GET', '/v2/agent/x/executions'],
      ['PATCH', '/v2/agent/x'],
      ['POST', '/call/x/stop'],
    ]) {
      const body = method === 'GET' ? undefined : good;
      const bad = await ask(scene.url + path, method, body, { authorization: 'Bearer bad-key' });
      expect([bad.status, bad.body]).toEqual([403, { detail: 'Unrecognized access token' }]);
      expect((await ask(scene.url + path, method, body, { authorization: '' })).status).toBe(401);
    }
    expect((await scene.stats()).calls_created).toBe(0);
  });

  test('the accepted answer, user data untouched, and the call as received', async () => {
    const user_data = { attempt_id: 'a', 'Ünï "code"': '=1+1', nested: { list: [1, null] }, timezone: 'Europe/Paris' };
    const body = { ...good, user_data, from_phone_number: '+12025550123', retry_config: { enabled: false } };
    const { status, body: answer } = await ask(`${scene.url}/call`, 'POST', body);
    const execution_id = (answer as { execution_id: string }).execution_id;
    expect([status, answer]).toEqual([200, { message: 'done', status: 'queued', execution_id }]);
    scene.clock.advance(HOUR);
    await scene.received(6);
    expect((await scene.read(execution_id)).context_details.recipient_data).toEqual(user_data);
    expect(scene.got.map(({ context_details }) => context_details.recipient_data)).toEqual(scene.got.map(() => user_data));
    const [call] = await scene.calls();
    expect(call).toMatchObject({
      received_at: '2026-03-02T10:00:00.000Z',
      agent_id: AGENT,
      recipient_phone_number: HOT,
      user_data,
      body,
      answered: 200,
      execution_id,
      status: 'completed',
    });
    expect(call.events.map((event) => [event.status, event.deliveries.map(({ answer: told }) => told)])).toEqual(
      ANSWERED.map((name) => [name, [200]]),
    );
    expect(JSON.stringify(await scene.calls())).not.toContain('bn-test');
  });
});

describe('the wire', () => {
  test('webhooks have zoneless times and a string duration, reads a zone and a number', async () => {
    const id = await dial(scene, HOT, { name: 'Alex Rivera', plan: 'Enterprise' }, { from_phone_number: '+12025550123' });
    scene.clock.advance(HOUR);
    await scene.received(6);
    const last = scene.got.at(-1);
    expect(last).toMatchObject({
      id,
      agent_id: AGENT,
      created_at: '2026-03-02T10:00:00.000000',
      updated_at: '2026-03-02T10:00:40.500000',
      status: 'completed',
      smart_status: 'completed',
      conversation_duration: 30,
      user_number: HOT,
      agent_number: '+12025550123',
      summary: expect.stringContaining('Alex Rivera'),
      extracted_data: {
        Lead: {
          Score: { objective: '100' },
          Temperature: { objective: 'Hot' },
          Evidence: { subjective: 'Wants to start this month and asked for a quote today (plan: Enterprise).' },
        },
      },
      telephony_data: {
        duration: '30',
        call_type: 'outbound',
        hangup_by: 'Callee',
        hangup_provider_code: 4000,
        recording_url: `${scene.url}/recordings/call/${id}`,
      },
      total_cost: 3.154,
    });
    expect(last?.transcript).toContain('user: Yes, we want to start this month.');
    const read = await scene.read(id);
    expect(read).toEqual({
      ...last,
      created_at: '2026-03-02T10:00:00.000000Z',
      updated_at: '2026-03-02T10:00:40.500000Z',
      initiated_at: '2026-03-02T10:00:00.250000Z',
      telephony_data: { ...last?.telephony_data, duration: 30 },
    });
    const recording = await fetch(read.telephony_data.recording_url ?? '');
    expect([recording.status, recording.headers.get('content-type')]).toEqual([200, 'audio/wav']);
  });

  test('call-disconnected is provisional: a transcript, no recording, no analysis, a lower cost', async () => {
    await dial(scene, HOT);
    scene.clock.advance(HOUR);
    await scene.received(6);
    const provisional = scene.got[4];
    expect(provisional).toMatchObject({
      status: 'call-disconnected',
      conversation_duration: 30,
      extracted_data: null,
      summary: null,
      total_cost: 0.81,
      telephony_data: { recording_url: null, hangup_by: null },
    });
    expect(provisional.transcript).not.toBeNull();
  });

  test('the list pages newest first, filters by time and status, and refuses what Bolna refuses', async () => {
    const ids: string[] = [];
    for (const digits of ['00', '50', '65']) {
      ids.unshift(await dial(scene, `+120255501${digits}`));
      scene.clock.advance(60_000);
    }
    const list = async (query: string, agent = AGENT) => {
      const { status, body } = await ask(`${scene.url}/v2/agent/${agent}/executions?${query}`);
      const { data, ...rest } = body as { data?: Execution[] };
      return { status, ...rest, ids: data?.map(({ id }) => ids.indexOf(id)) };
    };
    expect(await list('')).toEqual({ status: 200, page_number: 1, page_size: 20, total: 3, has_more: false, ids: [0, 1, 2] });
    expect(await list('page_size=2')).toMatchObject({ total: 3, has_more: true, ids: [0, 1] });
    expect(await list('page_size=2&page_number=2')).toMatchObject({ page_number: 2, has_more: false, ids: [2] });
    expect(await list('status=busy')).toMatchObject({ ids: [0] });
    expect(await list('from=2026-03-02T10:00:30&to=2026-03-02T10:01:30')).toMatchObject({ ids: [1] });
    expect(await list('from=2026-03-02T11:00:30%2B01:00&to=2026-03-02T10:02:00Z')).toMatchObject({ ids: [0, 1] });
    expect(await list('', 'agent-2')).toMatchObject({ total: 0, ids: [] });
    const refused = ['from=2026-03-02', 'from=2026-03-02&to=2026-03-12', 'from=x&to=y', 'page_size=51', 'page_number=0'];
    expect(await Promise.all(refused.map(async (query) => (await list(query)).status))).toEqual(refused.map(() => 400));
  });

  test('unknown executions and paths are 404, with a body', async () => {
    for (const path of ['/executions/nope', '/executions/%zz', '/nothing', '/recordings/call/nope']) {
      const { status, body } = await ask(scene.url + path);
      expect([status, body]).toEqual([404, { error: 404, message: expect.any(String) }]);
    }
  });

  test('the webhook URL is what was set last; none set, none sent', async () => {
    expect((await ask(`${scene.url}/v2/agent/${AGENT}`, 'PATCH', { agent_config: { webhook_url: 'nonsense' } })).status).toBe(
      400,
    );
    const patched = await ask(`${scene.url}/v2/agent/${AGENT}`, 'PATCH', { agent_config: { webhook_url: null } });
    expect([patched.status, patched.body]).toEqual([200, { message: 'success', status: 'updated' }]);
    await dial(scene, HOT);
    scene.clock.advance(HOUR);
    const [call] = await until('the events', async () => {
      const calls = await scene.calls();
      return calls[0].events.every(({ lost }) => lost !== undefined) ? calls : undefined;
    });
    expect(call.events.map(({ lost }) => lost)).toEqual(Array(6).fill('no_webhook_url'));
    expect(scene.got).toEqual([]);
  });

  test('the page shows the latest calls and escapes what callers sent', async () => {
    await ask(`${scene.url}/call`, 'POST', { agent_id: AGENT, recipient_phone_number: '<script>' });
    const { body } = await ask(scene.url);
    expect(body).toContain('&lt;script&gt;');
    expect(body).not.toContain('<script>');
  });
});

describe('repeats', () => {
  const only = async (answer: (nth: number) => number) => {
    await scene.stop();
    scene = await startScene({ answer: (webhook, nth) => (webhook.status === 'queued' ? answer(nth) : 200) });
    await scene.control({ ceiling: 0 });
    await dial(scene, HOT);
    await scene.received(1);
  };

  test('a webhook answered non-2xx is repeated after 1, 5, 30 and 120 s, then given up', async () => {
    await only(() => 503);
    for (const [index, seconds] of [1, 5, 30, 120].entries()) {
      await until('the repeat is planned', () => scene.clock.pending() === 1 || undefined);
      scene.clock.advance(seconds * 1_000 - 1);
      expect((await scene.stats()).webhooks.repeated).toBe(index);
      scene.clock.advance(1);
      await scene.received(index + 2);
    }
    expect(scene.clock.pending()).toBe(0);
    scene.clock.advance(HOUR);
    expect((await scene.stats()).webhooks).toEqual({ sent: 1, repeated: 4, dropped: 0 });
    expect((await scene.calls())[0].events[0].deliveries.map(({ at, answer }) => [at.slice(14, 19), answer])).toEqual([
      ['00:00', 503],
      ['00:01', 503],
      ['00:06', 503],
      ['00:36', 503],
      ['02:36', 503],
    ]);
    expect(new Set(scene.got.map((webhook) => JSON.stringify(webhook))).size).toBe(1);
  });

  test('it ends with the first 2xx, and a redirect is none', async () => {
    await only((nth) => [302, 500, 204][nth - 1]);
    for (const [index, seconds] of [1, 5].entries()) {
      await until('the repeat is planned', () => scene.clock.pending() === 1 || undefined);
      scene.clock.advance(seconds * 1_000);
      await scene.received(index + 2);
    }
    scene.clock.advance(HOUR);
    expect((await scene.stats()).webhooks).toEqual({ sent: 1, repeated: 2, dropped: 0 });
  });

  test('a receiver that is not there is tried again, and the call goes on meanwhile', async () => {
    await ask(`${scene.url}/v2/agent/${AGENT}`, 'PATCH', { agent_config: { webhook_url: 'http://127.0.0.1:1/' } });
    const id = await dial(scene, HOT);
    scene.clock.advance(HOUR);
    expect((await scene.read(id)).status).toBe('completed');
    const firsts = await until('six failures', async () => {
      const { events } = (await scene.calls())[0];
      const answers = events.map(({ deliveries }) => deliveries[0]?.answer ?? null);
      return answers.includes(null) ? undefined : answers;
    });
    expect(firsts).toEqual(Array(6).fill('unanswered'));
    expect(scene.clock.pending()).toBeGreaterThan(0);
  });

  test('a stopped network leaves no timer behind, whatever was planned', async () => {
    await only(() => 500);
    await until('the repeat is planned', () => scene.clock.pending() === 1 || undefined);
    await scene.control({ delay_seconds: 60, ceiling: null });
    await dial(scene, answering(1));
    expect(scene.clock.pending()).toBeGreaterThan(3);
    await scene.stop();
    expect(scene.clock.pending()).toBe(0);
    scene = await startScene();
  });
});
