/** The providers' callbacks, replays and posted analyses as they arrive at the running worker. */
import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { PROVIDERS, type ProviderName } from '../../lib/providers/table.ts';
import { DIALECTS, samplesOf, SECRET, webhook } from '../providers/dialects.ts';
import { agentBody, call, codeOf, createTenant, fieldsOf, stack, until } from './client.ts';

interface Row {
  id: string;
  status: string;
  fate: string;
  payload: string | null;
}
interface Page {
  data: (Row & Record<string, unknown>)[];
}

const tenant = await createTenant('Webhooks');
const MB = 1_048_576;

/** The address of an agent with this provider, which shares its secret with the dialects of the tests. */
const addressOf = async (name: ProviderName): Promise<string> => {
  const { agent } = DIALECTS[name];
  const made = await call<{ webhook_url: string }>(tenant.key, 'POST', '/v1/agents', {
    body: agentBody({
      provider: name,
      credentials: agent.credentials,
      from_number: '+12025550100',
      ...(name === 'vapi' || name === 'elevenlabs' ? { webhook_secrets: [SECRET] } : {}),
    }),
  });
  expect(made.status, made.text).toBe(201);
  expect(made.body.webhook_url.startsWith(`${stack.url}/webhooks/${name}/`)).toBe(true);
  return new URL(made.body.webhook_url).pathname;
};
const addresses = Object.fromEntries(
  await Promise.all(PROVIDERS.map(async (name) => [name, await addressOf(name)] as const)),
) as Record<ProviderName, string>;

const post = (path: string, raw: BodyInit, headers: Record<string, string>) => call(null, 'POST', path, { raw, headers });
/** What time it is for the worker, whose clock runs fast. */
const workersNow = async (): Promise<Date> => {
  const { body } = await call<{ created_at: string }>(tenant.key, 'POST', '/v1/api-keys', { body: {} });
  return new Date(body.created_at);
};
/** Posted with the signature of the provider, over the public address; made anew until it is fresh enough for a clock that runs so fast. */
const authentic = (name: ProviderName, path: string, raw: string, more: Record<string, string> = {}) =>
  until(
    async () => {
      const own = DIALECTS[name].sign({ url: stack.url + path, body: raw }, SECRET, await workersNow());
      return post(path, new TextEncoder().encode(raw), { 'content-type': DIALECTS[name].contentType, ...own, ...more });
    },
    ({ status }) => status !== 401,
  );

describe.each(PROVIDERS)('%s', (name) => {
  const path = addresses[name];
  const type = { 'content-type': DIALECTS[name].contentType };

  test('garbage of every kind is a 4xx, signed or not', async () => {
    const isForm = DIALECTS[name].contentType !== 'application/json';
    const bodies = ['', 'null', '[]', '{}', '{"a":', '\u0000', '['.repeat(100_000), `{"x":"${'y'.repeat(MB)}"}`, '%', 'a=b'];
    const wanted = name === 'bolna' ? [400] : [400, 401];
    for (const body of bodies) {
      const forged = await post(path, body, type);
      expect(wanted, `${body.slice(0, 40)}: ${forged.text}`).toContain(forged.status);
      const answer = await authentic(name, path, body);
      expect(answer.status, `${body.slice(0, 40)}: ${answer.text}`).toBe(400);
    }
    const sample = webhook(name, samplesOf(name)[0]).body;
    for (const odd of ['', 'text/plain', 'multipart/form-data; boundary=x', isForm ? 'application/json' : 'text/html']) {
      expect((await authentic(name, path, sample, { 'content-type': odd })).status, odd).toBe(415);
    }
    const bytes = await post(path, new Uint8Array([0x7b, 0xff, 0xfe, 0x7d]), type);
    expect([bytes.status, fieldsOf(bytes)]).toEqual([400, ['body']]);
    const packed = await post(path, sample, { ...type, 'content-encoding': 'gzip' });
    expect([packed.status, codeOf(packed)]).toEqual([415, 'unsupported_media_type']);
  });

  test('a body over 10 MB is a 413', async () => {
    const large = await post(path, 'x'.repeat(10 * MB + 1), type);
    expect([large.status, codeOf(large)]).toEqual([413, 'too_large']);
  });

  test('an address that is not ours is refused without a query, whatever the body (class 25)', async () => {
    const sample = webhook(name, samplesOf(name)[0]).body;
    const altered = path.slice(0, -1) + (path.endsWith('A') ? 'B' : 'A');
    const paths = [altered, path.slice(0, -1), `/webhooks/${name}/x`, path.replace(`/${name}/`, '/another/')];
    for (const forged of paths) {
      const answer = await post(forged, sample, type);
      expect([answer.status, codeOf(answer)], forged).toEqual([401, 'unauthorized']);
    }
  });
});

/** A direct call of Bolna's, followed to its end. */
const endedCall = async (to: string): Promise<Row> => {
  const placed = await call<Row>(tenant.key, 'POST', '/v1/calls', { body: { agent_id: tenant.agent, to } });
  expect(placed.status, placed.text).toBe(201);
  const read = async () => (await call<Row>(tenant.key, 'GET', `/v1/calls/${placed.body.id}`)).body;
  return until(read, ({ status }) => status === 'completed');
};
const eventsOf = async (id: string) => (await call<Page>(tenant.key, 'GET', `/v1/calls/${id}/events`)).body.data;

describe('events', () => {
  test('are shown in order, each with its fate; sent again they are duplicates, in the wrong order late', async () => {
    // The digits 96: every webhook comes three times, in the wrong order.
    const { id } = await endedCall('+14155551296');
    const events = await until(
      () => eventsOf(id),
      (list) => list.filter(({ fate }) => fate === 'duplicate').length >= 6,
    );
    const fates = new Set(events.map(({ fate }) => fate));
    expect([...fates].every((fate) => ['applied', 'duplicate', 'late', 'parked'].includes(fate))).toBe(true);
    expect(fates).toContain('applied');
    const [repeated] = events.filter(({ repeats }) => Number(repeats) > 0);
    expect(repeated).toMatchObject({ source: 'event' });
    expect(events.some(({ repeat_of }) => repeat_of === repeated.id)).toBe(true);
  });

  test('are applied again when an administrator asks, parsed anew, and that is recorded', async () => {
    const { id } = await endedCall('+14155551210');
    const stored = (await eventsOf(id)).find(({ status }) => status === 'completed')!;
    const replayed = await call(stack.adminKey, 'POST', `/v1/events/${stored.id}/replay`);
    expect([replayed.status, replayed.body]).toMatchObject([200, { replay_of: stored.id, call_id: id, fate: 'applied' }]);
    const record = (await eventsOf(id)).at(-1)!;
    expect(record).toMatchObject({
      id: replayed.body['event_id'],
      source: 'replay',
      replay_of: stored.id,
      payload: null,
      fate: 'applied',
    });
    const again = await call(stack.adminKey, 'POST', `/v1/events/${record.id}/replay`);
    expect([again.status, codeOf(again)]).toEqual([409, 'not_replayable']);
    const after = await call<Row>(tenant.key, 'GET', `/v1/calls/${id}`);
    expect(after.body).toMatchObject({ status: 'completed', score: 80 });
  });
});

describe('a posted analysis', () => {
  test('gives score, temperature and evidence, once for the same body, and is among the events', async () => {
    const { id } = await endedCall('+14155551211');
    const body = { score: 33.5, temperature: 'Hot', evidence: 'Wants a quote; "select" it' };
    const posted = await call(tenant.key, 'POST', `/v1/calls/${id}/analysis`, { body });
    expect([posted.status, posted.body]).toMatchObject([
      200,
      { id, status: 'completed', score: 33.5, temperature: 'cold', evidence: 'Wants a quote; "select" it' },
    ]);
    await call(tenant.key, 'POST', `/v1/calls/${id}/analysis`, { body });
    const own = (await eventsOf(id)).filter(({ source }) => source === 'posted');
    expect(own.map(({ fate }) => fate)).toEqual(['applied', 'duplicate']);
    expect(JSON.parse(own[0].payload!)).toEqual(body);
    // A correction may go back to what was said before.
    for (const score of [10, body.score]) {
      const answer = await call(tenant.key, 'POST', `/v1/calls/${id}/analysis`, { body: { ...body, score } });
      expect(answer.body).toMatchObject({ score });
    }
  });

  test('in the shape of the mapping, and what cannot be read is unscored with the reason', async () => {
    const { id } = await endedCall('+14155551212');
    const mapping = { score: 'Fit.Grade', score_max: '5', do_not_call: 'Fit.Wish' };
    await call(tenant.key, 'PATCH', `/v1/agents/${tenant.agent}`, { body: { analysis_mapping: mapping } });
    const tell = (data: object) => call(tenant.key, 'POST', `/v1/calls/${id}/analysis`, { body: { data } });
    expect((await tell({ Fit: { Grade: 4 } })).body).toMatchObject({ score: 80, temperature: 'hot' });
    const unread = await tell({ Fit: { Grade: 'superb', Wish: 'yes' } });
    expect(unread.body).toMatchObject({ score: 80, temperature: 'hot', unscored_reason: null });
    const suppressed = await call<Page>(tenant.key, 'GET', '/v1/suppressions');
    expect(suppressed.body.data).toMatchObject([{ phone: '+14155551212' }]);
    const dial = await call(tenant.key, 'POST', '/v1/calls', { body: { agent_id: tenant.agent, to: '+14155551212' } });
    expect([dial.status, codeOf(dial)]).toEqual([409, 'suppressed']);
    await call(tenant.key, 'PATCH', `/v1/agents/${tenant.agent}`, { body: { analysis_mapping: {} } });
  });

  test('that says nothing, too much or nonsense is a 400 naming the field', async () => {
    const { id } = await endedCall('+14155551213');
    const table: [body: unknown, field: string][] = [
      [{}, 'body'],
      [{ score: 101 }, 'score'],
      [{ score: '80' }, 'score'],
      [{ temperature: 'boiling' }, 'temperature'],
      [{ do_not_call: 'yes' }, 'do_not_call'],
      [{ data: [] }, 'data'],
      [{ data: {}, score: 1 }, 'data'],
      [{ score: 1, lead_score: 1 }, 'lead_score'],
    ];
    for (const [body, field] of table) {
      const answer = await call(tenant.key, 'POST', `/v1/calls/${id}/analysis`, { body });
      expect([answer.status, fieldsOf(answer)], JSON.stringify(body)).toEqual([400, [field]]);
    }
    expect(table).toHaveLength(8);
    expect((await eventsOf(id)).filter(({ source }) => source === 'posted')).toEqual([]);
  });
});

test('what is refused as forged leaves a count, and nothing else', async () => {
  const forged = async (): Promise<number> => {
    const { body } = await call<{ connections: { forged_webhooks: { last_48_hours: number } } }>(
      stack.adminKey,
      'GET',
      '/v1/status',
    );
    return body.connections.forged_webhooks.last_48_hours;
  };
  const before = await forged();
  for (let i = 0; i < 3; i += 1)
    expect((await post('/webhooks/retell/x', '{}', { 'content-type': 'application/json' })).status).toBe(401);
  await until(forged, (count) => count >= before + 3);
});

test('an id that nobody has is a 404 for the administrator', async () => {
  expect((await call(stack.adminKey, 'POST', `/v1/events/${randomUUID()}/replay`)).status).toBe(404);
});
