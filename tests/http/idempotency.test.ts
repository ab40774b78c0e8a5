import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { afterAll, describe, expect, test } from 'vitest';
import {
  agentBody,
  call,
  campaignBody,
  codeOf,
  createCampaign,
  createTenant,
  stack,
  type Answer,
  type Tenant,
} from './client.ts';

const tenant = await createTenant('Idempotency');
const other = await createTenant('Another');
const draft = await createCampaign(tenant);
const db = new Client({ connectionString: stack.databaseUrl });
await db.connect();
afterAll(() => db.end());

interface Creation {
  path: string;
  body: object;
  otherBody: object;
  status: number;
  key?: string;
}
/** Every POST that creates, but the direct call, which has a test of its own. */
const CREATIONS: readonly Creation[] = [
  {
    path: '/v1/accounts',
    key: stack.adminKey,
    body: { name: 'Keyed', email: 'k@example.com' },
    otherBody: { name: 'Other', email: 'k@example.com' },
    status: 201,
  },
  { path: '/v1/api-keys', body: { name: 'one' }, otherBody: { name: 'two' }, status: 201 },
  { path: '/v1/agents', body: agentBody(), otherBody: agentBody({ name: 'Bob' }), status: 201 },
  {
    path: '/v1/campaigns',
    body: campaignBody(tenant.agent),
    otherBody: campaignBody(tenant.agent, { name: 'Other' }),
    status: 201,
  },
  {
    path: `/v1/campaigns/${draft}/leads`,
    body: { leads: [{ phone: '+14155550000' }] },
    otherBody: { leads: [{ phone: '+14155550001' }] },
    status: 200,
  },
  { path: '/v1/suppressions', body: { phone: '+14155550999' }, otherBody: { phone: '+14155550998' }, status: 201 },
];

const post = (key: string, path: string, body: object, idempotencyKey: string): Promise<Answer> =>
  call(key, 'POST', path, { body, headers: { 'idempotency-key': idempotencyKey } });

describe('the same key and body have the same answer; another body is a conflict', () => {
  test.each(CREATIONS)('POST $path', async ({ path, body, otherBody, status, key = tenant.key }) => {
    const idempotencyKey = randomUUID();
    const first = await post(key, path, body, idempotencyKey);
    expect(first.status, first.text).toBe(status);
    const again = await post(key, path, body, idempotencyKey);
    expect([again.status, again.body]).toEqual([first.status, first.body]);
    const conflict = await post(key, path, otherBody, idempotencyKey);
    expect([conflict.status, codeOf(conflict)]).toEqual([409, 'idempotency_conflict']);
    const fresh = await post(key, path, body, randomUUID());
    expect(fresh.status).toBe(status);
    expect(fresh.text === first.text).toBe(false);
  });

  test.each(CREATIONS)('fifty at once make one: POST $path', async ({ path, body, status, key = tenant.key }) => {
    const idempotencyKey = randomUUID();
    const answers = await Promise.all(Array.from({ length: 50 }, () => post(key, path, body, idempotencyKey)));
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([status]));
    expect(new Set(answers.map((answer) => answer.text)).size).toBe(1);
  });

  test('the table was run whole', () => {
    expect(CREATIONS.length).toBe(6);
  });
});

test('fifty direct calls at once with one key are one call', async () => {
  const idempotencyKey = randomUUID();
  const body = { agent_id: tenant.agent, to: '+14155551200' };
  const answers = await Promise.all(Array.from({ length: 50 }, () => post(tenant.key, '/v1/calls', body, idempotencyKey)));
  expect(new Set(answers.map((answer) => answer.text)).size).toBe(1);
  expect(answers[0].status).toBe(201);
  const { body: list } = await call<{ data: { phone: string }[] }>(tenant.key, 'GET', '/v1/calls');
  expect(list.data.filter(({ phone }) => phone === body.to).length).toBe(1);
});

describe('a repetition that finds no note of the first, as after a lost commit, meets its own row', () => {
  test.each(CREATIONS.filter(({ status }) => status === 201))('POST $path', async ({ path, body, key = tenant.key }) => {
    const idempotencyKey = randomUUID();
    const first = await post(key, path, body, idempotencyKey);
    const { rowCount } = await db.query('delete from ringleader.idempotency_keys where key = $1', [idempotencyKey]);
    expect(rowCount).toBe(1);
    const again = await post(key, path, body, idempotencyKey);
    // A suppression has no id; it says that it was there.
    const expected = path === '/v1/suppressions' ? { ...first.body, added: false } : first.body;
    expect([again.status, again.body]).toEqual([201, expected]);
  });

  test('a direct call is not dialled again (class 8)', async () => {
    const idempotencyKey = randomUUID();
    const body = { agent_id: tenant.agent, to: '+14155551201' };
    const first = await post(tenant.key, '/v1/calls', body, idempotencyKey);
    await db.query('delete from ringleader.idempotency_keys where key = $1', [idempotencyKey]);
    const again = await post(tenant.key, '/v1/calls', body, idempotencyKey);
    expect([again.status, again.body['id']]).toEqual([201, first.body['id']]);
    const dialled = (await (await fetch(`${stack.phoneUrl}/calls`)).json()) as { recipient_phone_number: string }[];
    expect(dialled.filter(({ recipient_phone_number }) => recipient_phone_number === body.to).length).toBe(1);
  });
});

describe('keys', () => {
  test('made keys work, each time they are told', async () => {
    const idempotencyKey = randomUUID();
    const body = { name: 'told twice' };
    const first = await post(tenant.key, '/v1/api-keys', body, idempotencyKey);
    const again = await post(tenant.key, '/v1/api-keys', body, idempotencyKey);
    expect(again.body['api_key']).toBe(first.body['api_key']);
    expect((await call(again.body['api_key'] as string, 'GET', '/v1/account')).status).toBe(200);
  });

  test('what is kept under a key shows neither keys nor numbers', async () => {
    const made = await post(tenant.key, '/v1/api-keys', { name: 'kept' }, randomUUID());
    const { rows } = await db.query<{ body: string }>('select body::text from ringleader.idempotency_keys');
    expect(rows.length).toBeGreaterThan(0);
    for (const { body } of rows) expect(body).toMatch(/^\{"sealed": "v1\.[\w-]+"\}$/);
    const dump = JSON.stringify(rows);
    expect(dump).not.toContain(made.body['api_key']);
  });

  test('two accounts may use the same key', async () => {
    const idempotencyKey = randomUUID();
    const one = await post(tenant.key, '/v1/suppressions', { phone: '+14155550990' }, idempotencyKey);
    const two = await post(other.key, '/v1/suppressions', { phone: '+14155550991' }, idempotencyKey);
    expect([one.body['phone'], two.body['phone']]).toEqual(['+14155550990', '+14155550991']);
  });

  test('a refusal is an answer, too', async () => {
    const idempotencyKey = randomUUID();
    const agent = { agent_id: randomUUID() };
    const first = await post(tenant.key, '/v1/campaigns', campaignBody(tenant.agent, agent), idempotencyKey);
    const again = await post(tenant.key, '/v1/campaigns', campaignBody(tenant.agent, agent), idempotencyKey);
    expect([first.status, again.status, again.text]).toEqual([400, 400, first.text]);
  });

  test.each(['', ' ', 'x'.repeat(256), 'käse'])('%j is none', async (idempotencyKey) => {
    const answer = await call(tenant.key, 'POST', '/v1/api-keys', {
      body: {},
      headers: { 'idempotency-key': idempotencyKey },
    });
    expect([answer.status, codeOf(answer)]).toEqual([400, 'validation']);
  });
});

describe('a CSV under a key', () => {
  const csv = (numbers: readonly string[]): string => `phone\n${numbers.join('\n')}\n`;
  const upload = (to: Tenant, campaign: string, text: string, idempotencyKey: string): Promise<Answer> =>
    call(to.key, 'POST', `/v1/campaigns/${campaign}/leads`, {
      raw: text,
      headers: { 'content-type': 'text/csv', 'idempotency-key': idempotencyKey },
    });

  test('is imported once, and told from another file', async () => {
    const campaign = await createCampaign(tenant);
    const idempotencyKey = randomUUID();
    const first = await upload(tenant, campaign, csv(['+14155550100', '+14155550101']), idempotencyKey);
    expect(first.body).toMatchObject({ rows: 2, imported: 2, duplicates: 0 });
    const again = await upload(tenant, campaign, csv(['+14155550100', '+14155550101']), idempotencyKey);
    expect([again.status, again.text]).toEqual([first.status, first.text]);
    const conflict = await upload(tenant, campaign, csv(['+14155550102']), idempotencyKey);
    expect([conflict.status, codeOf(conflict)]).toEqual([409, 'idempotency_conflict']);
  });

  const STREAMED: readonly (readonly [what: string, path: () => Promise<string>, counted: object])[] = [
    ['leads', async () => `/v1/campaigns/${await createCampaign(tenant)}/leads`, { rows: 2, imported: 2, duplicates: 0 }],
    ['suppressions', () => Promise.resolve('/v1/suppressions'), { rows: 2, added: 2, duplicates: 0 }],
  ];
  test.each(STREAMED)('of %s, fifty times at once, is taken once, and each hears the same', async (_, path, counted) => {
    const to = await path();
    const headers = { 'content-type': 'text/csv', 'idempotency-key': randomUUID() };
    const send = (text: string): Promise<Answer> => call(tenant.key, 'POST', to, { raw: text, headers });
    const answers = await Promise.all(Array.from({ length: 50 }, () => send(csv(['+14155550970', '+14155550971']))));
    expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
    expect(answers[0].body).toMatchObject(counted);
    const conflict = await send(csv(['+14155550972']));
    expect([conflict.status, codeOf(conflict)]).toEqual([409, 'idempotency_conflict']);
  });

  test('that was refused may be corrected under the same key', async () => {
    const campaign = await createCampaign(tenant);
    const idempotencyKey = randomUUID();
    const refused = await upload(tenant, campaign, 'name\nNo phone column\n', idempotencyKey);
    expect(refused.status).toBe(400);
    const corrected = await upload(tenant, campaign, csv(['+14155550100']), idempotencyKey);
    expect([corrected.status, corrected.body['imported']]).toEqual([200, 1]);
  });
});
