import { describe, expect, test } from 'vitest';
import { agentBody, call, campaignBody, codeOf, createCampaign, createTenant, fieldsOf, stack, type Tenant } from './client.ts';

const tenant = await createTenant('Bad input');
const draft = await createCampaign(tenant);
const ending = await createCampaign(tenant, { ends_at: '2030-01-01T00:00:00Z' });
const accounts = '/v1/accounts';
const account = (more: object): object => ({ name: 'Acme', email: 'a@example.com', ...more });
const campaign = (more: object): object => campaignBody(tenant.agent, more);
const window = (more: object): object => campaign({ window: { days: [1], start: '09:00', end: '17:00', ...more } });

/** Key, method, path, body, and the field that the answer must name. */
const TABLE: readonly [key: 'tenant' | 'admin', method: string, path: string, body: unknown, field: string][] = [
  ['admin', 'POST', accounts, account({ name: undefined }), 'name'],
  ['admin', 'POST', accounts, account({ name: '   ' }), 'name'],
  ['admin', 'POST', accounts, account({ name: 5 }), 'name'],
  ['admin', 'POST', accounts, account({ name: 'x'.repeat(201) }), 'name'],
  ['admin', 'POST', accounts, account({ email: 'nobody' }), 'email'],
  ['admin', 'POST', accounts, account({ email: 'a@example.com\r\nBcc: b@example.com' }), 'email'],
  ['admin', 'POST', accounts, account({ timezone: 'Mars/Olympus' }), 'timezone'],
  ['admin', 'POST', accounts, account({ timezone: '+02:00' }), 'timezone'],
  ['admin', 'POST', accounts, account({ timezone: 'US/Pacific-New' }), 'timezone'],
  ['admin', 'POST', accounts, account({ max_concurrent_calls: 0 }), 'max_concurrent_calls'],
  ['admin', 'POST', accounts, account({ max_concurrent_calls: 1.5 }), 'max_concurrent_calls'],
  ['admin', 'POST', accounts, account({ max_concurrent_calls: '5' }), 'max_concurrent_calls'],
  ['admin', 'POST', accounts, account({ is_admin: true }), 'is_admin'],
  ['admin', 'POST', accounts, account({ name: 'a\u0000b' }), 'name'],
  ['admin', 'POST', accounts, account({ id: '00000000-0000-4000-8000-000000000000' }), 'id'],
  ['tenant', 'PATCH', '/v1/account', { live_calls: 0 }, 'live_calls'],
  ['tenant', 'PATCH', '/v1/account', { calls_per_second: 0 }, 'calls_per_second'],
  ['tenant', 'PATCH', '/v1/account', { calls_per_second: 1e-320 }, 'calls_per_second'],
  ['tenant', 'PATCH', '/v1/account', { name: null }, 'name'],
  ['tenant', 'PATCH', '/v1/account', [], 'body'],
  ['tenant', 'PATCH', '/v1/account', 'text', 'body'],
  ['tenant', 'PATCH', '/v1/account', null, 'body'],
  ['tenant', 'PUT', '/v1/account/notification-preferences', { campaign_summary_emails: 'no' }, 'campaign_summary_emails'],
  ['tenant', 'POST', '/v1/api-keys', { name: 1 }, 'name'],
  ['tenant', 'POST', '/v1/agents', agentBody({ provider: 'nobody' }), 'provider'],
  ['tenant', 'POST', '/v1/agents', agentBody({ credentials: {} }), 'credentials.api_key'],
  ['tenant', 'POST', '/v1/agents', agentBody({ credentials: { api_key: '' } }), 'credentials.api_key'],
  ['tenant', 'POST', '/v1/agents', agentBody({ credentials: { api_key: 5 } }), 'credentials.api_key'],
  ['tenant', 'POST', '/v1/agents', agentBody({ from_number: '4155550123' }), 'from_number'],
  ['tenant', 'POST', '/v1/agents', agentBody({ analysis_mapping: { scroe: 'Lead.Score' } }), 'analysis_mapping.scroe'],
  ['tenant', 'POST', '/v1/agents', agentBody({ analysis_mapping: { score_max: 'ten' } }), 'analysis_mapping.score_max'],
  ['tenant', 'POST', '/v1/agents', agentBody({ analysis_mapping: { score_max: '0' } }), 'analysis_mapping.score_max'],
  ['tenant', 'POST', '/v1/agents', agentBody({ analysis_mapping: { score_max: 'Infinity' } }), 'analysis_mapping.score_max'],
  ['tenant', 'POST', '/v1/agents', agentBody({ analysis_mapping: { score: null } }), 'analysis_mapping.score'],
  ['tenant', 'PATCH', `/v1/agents/${tenant.agent}`, { analysis_mapping: { score_max: '-5' } }, 'analysis_mapping.score_max'],
  ['tenant', 'POST', '/v1/agents', agentBody({ webhook_registered: true }), 'webhook_registered'],
  ['tenant', 'PATCH', `/v1/agents/${tenant.agent}`, { provider: 'bolna' }, 'provider'],
  ['tenant', 'PATCH', `/v1/agents/${tenant.agent}`, { credentials: { key: 'x' } }, 'credentials.api_key'],
  ['tenant', 'POST', '/v1/campaigns', campaign({ agent_id: 'x' }), 'agent_id'],
  ['tenant', 'POST', '/v1/campaigns', campaign({ agent_id: '00000000-0000-4000-8000-000000000000' }), 'agent_id'],
  ['tenant', 'POST', '/v1/campaigns', campaign({ window: undefined }), 'window'],
  ['tenant', 'POST', '/v1/campaigns', window({ days: [] }), 'window.days'],
  ['tenant', 'POST', '/v1/campaigns', window({ days: [0] }), 'window.days.0'],
  ['tenant', 'POST', '/v1/campaigns', window({ days: [1, 8] }), 'window.days.1'],
  ['tenant', 'POST', '/v1/campaigns', window({ days: [1, 1] }), 'window.days'],
  ['tenant', 'POST', '/v1/campaigns', window({ start: '9:00' }), 'window.start'],
  ['tenant', 'POST', '/v1/campaigns', window({ end: '24:05' }), 'window.end'],
  ['tenant', 'POST', '/v1/campaigns', window({ end: '09:59' }), 'window.end'],
  ['tenant', 'POST', '/v1/campaigns', window({ start: '23:30', end: '00:15' }), 'window.end'],
  ['tenant', 'POST', '/v1/campaigns', window({ zone: 'UTC' }), 'window.zone'],
  ['tenant', 'POST', '/v1/campaigns', campaign({ timezone: 'Europe/Atlantis' }), 'timezone'],
  ['tenant', 'POST', '/v1/campaigns', campaign({ default_country: 'usa' }), 'default_country'],
  ['tenant', 'POST', '/v1/campaigns', campaign({ default_country: 'XX' }), 'default_country'],
  ['tenant', 'POST', '/v1/campaigns', campaign({ starts_at: 'tomorrow' }), 'starts_at'],
  ['tenant', 'POST', '/v1/campaigns', campaign({ starts_at: '2030-02-30T00:00:00Z' }), 'starts_at'],
  ['tenant', 'POST', '/v1/campaigns', campaign({ starts_at: '0000-01-01T00:00:00Z' }), 'starts_at'],
  ['tenant', 'POST', '/v1/campaigns', campaign({ starts_at: '2030-01-01T00:00:00' }), 'starts_at'],
  ['tenant', 'POST', '/v1/campaigns', campaign({ starts_at: '2030-01-01T00:00:00+16:00' }), 'starts_at'],
  ['tenant', 'PATCH', `/v1/campaigns/${draft}`, { ends_at: '2030-01-01T00:00:00-23:59' }, 'ends_at'],
  ['tenant', 'POST', '/v1/campaigns', campaign({ ends_at: '2001-01-01T00:00:00Z' }), 'ends_at'],
  [
    'tenant',
    'POST',
    '/v1/campaigns',
    campaign({ starts_at: '2030-01-02T00:00:00Z', ends_at: '2030-01-01T00:00:00Z' }),
    'ends_at',
  ],
  [
    'tenant',
    'POST',
    '/v1/campaigns',
    campaign({ starts_at: '2030-01-01T00:00:00Z', ends_at: '2030-01-01T02:00:00+02:00' }),
    'ends_at',
  ],
  ['tenant', 'POST', '/v1/campaigns', campaign({ max_concurrent_calls: -1 }), 'max_concurrent_calls'],
  ['tenant', 'POST', '/v1/campaigns', campaign({ calls_per_second: 1001 }), 'calls_per_second'],
  ['tenant', 'POST', '/v1/campaigns', campaign({ calls_per_second: 0.000009 }), 'calls_per_second'],
  ['tenant', 'POST', '/v1/campaigns', campaign({ retry: { max_attempts: 0 } }), 'retry.max_attempts'],
  ['tenant', 'POST', '/v1/campaigns', campaign({ retry: { tries: 3 } }), 'retry.tries'],
  ['tenant', 'POST', '/v1/campaigns', campaign({ hot_score: 101 }), 'hot_score'],
  ['tenant', 'POST', '/v1/campaigns', campaign({ hot_score: 30, warm_score: 40 }), 'hot_score'],
  ['tenant', 'POST', '/v1/campaigns', campaign({ hot_score: 30 }), 'hot_score'],
  ['tenant', 'POST', '/v1/campaigns', campaign({ warm_score: 80 }), 'warm_score'],
  ['tenant', 'POST', '/v1/campaigns', campaign({ status: 'active' }), 'status'],
  ['tenant', 'PATCH', `/v1/campaigns/${draft}`, { status: 'completed' }, 'status'],
  ['tenant', 'PATCH', `/v1/campaigns/${draft}`, { account_id: tenant.account }, 'account_id'],
  ['tenant', 'PATCH', `/v1/campaigns/${draft}`, { hot_score: 10 }, 'hot_score'],
  ['tenant', 'PATCH', `/v1/campaigns/${draft}`, { warm_score: 71 }, 'warm_score'],
  ['tenant', 'PATCH', `/v1/campaigns/${ending}`, { starts_at: '2030-01-02T00:00:00Z' }, 'starts_at'],
  ['tenant', 'POST', `/v1/campaigns/${draft}/start`, { now: true }, 'now'],
  ['tenant', 'POST', `/v1/campaigns/${draft}/leads`, {}, 'leads'],
  ['tenant', 'POST', `/v1/campaigns/${draft}/leads`, { leads: [] }, 'leads'],
  ['tenant', 'POST', `/v1/campaigns/${draft}/leads?mapping=xx`, { leads: [{ phone: '+14155550100' }] }, 'mapping'],
  [
    'tenant',
    'POST',
    `/v1/campaigns/${draft}/leads?mapping=${encodeURIComponent('{"phone":"Number"}')}`,
    { leads: [{ phone: '+14155550100' }] },
    'mapping',
  ],
  ['tenant', 'POST', `/v1/campaigns/${draft}/leads`, { leads: [{ name: 'No number' }] }, 'leads.0.phone'],
  ['tenant', 'POST', `/v1/campaigns/${draft}/leads`, { leads: [{ phone: '+14155550100', status: 'reached' }] }, 'leads.0.status'],
  [
    'tenant',
    'POST',
    `/v1/campaigns/${draft}/leads`,
    { leads: [{ phone: '+14155550100', variables: { a: {} } }] },
    'leads.0.variables.a',
  ],
  ['tenant', 'POST', `/v1/campaigns/${draft}/leads`, { leads: [{ phone: '+14155550100', name: '\ud800' }] }, 'leads.0.name'],
  [
    'tenant',
    'POST',
    `/v1/campaigns/${draft}/leads`,
    { leads: [{ phone: '+14155550100', variables: Object.fromEntries([['__proto__', 'x']]) }] },
    'leads.0.variables.__proto__',
  ],
  ['tenant', 'POST', '/v1/calls', { agent_id: tenant.agent, to: '555-0100' }, 'to'],
  ['tenant', 'POST', '/v1/calls', { agent_id: tenant.agent, to: '9.19877E+11' }, 'to'],
  ['tenant', 'POST', '/v1/calls', { agent_id: tenant.agent, to: '+14155550100', campaign_id: draft }, 'campaign_id'],
  ['tenant', 'POST', '/v1/calls', { agent_id: '00000000-0000-4000-8000-000000000000', to: '+14155550100' }, 'agent_id'],
  ['tenant', 'POST', '/v1/suppressions', { phone: 'nobody' }, 'phone'],
  ['tenant', 'POST', '/v1/suppressions', { phone: '+14155550100', until: 'never' }, 'until'],
  ['tenant', 'GET', '/v1/campaigns?limit=0', undefined, 'limit'],
  ['tenant', 'GET', '/v1/campaigns?limit=201', undefined, 'limit'],
  ['tenant', 'GET', '/v1/campaigns?limit=ten', undefined, 'limit'],
  ['tenant', 'GET', '/v1/campaigns?limt=10', undefined, 'limt'],
  ['tenant', 'GET', '/v1/campaigns?limit=1&limit=2', undefined, 'limit'],
  ['tenant', 'GET', '/v1/campaigns?cursor=!', undefined, 'cursor'],
  ['tenant', 'GET', '/v1/campaigns?cursor=OTk5OTk5OTk5OTk5OTk5OTk5OQ', undefined, 'cursor'],
  ['tenant', 'GET', '/v1/campaigns?cursor=MTsgZHJvcA', undefined, 'cursor'],
  ['tenant', 'GET', `/v1/campaigns/${draft}/leads?status=gone`, undefined, 'status'],
  ['tenant', 'GET', `/v1/campaigns/${draft}/leads?temperature=tepid`, undefined, 'temperature'],
  ['tenant', 'GET', '/v1/calls?campaign_id=1', undefined, 'campaign_id'],
  ['tenant', 'GET', '/v1/calls?status=gone', undefined, 'status'],
  ['tenant', 'GET', '/v1/account?verbose=1', undefined, 'verbose'],
];

const keyFor = ({ key }: Tenant, whose: 'tenant' | 'admin'): string => (whose === 'admin' ? stack.adminKey : key);

describe('bad input names the field and the rule, and writes nothing', () => {
  test.each(TABLE)('%s %s %s %j → %s', async (whose, method, path, body, field) => {
    const answer = await call(keyFor(tenant, whose), method, path, body === undefined ? {} : { body });
    expect([answer.status, codeOf(answer)], answer.text).toEqual([400, 'validation']);
    expect(fieldsOf(answer)).toContain(field);
  });

  test('the table was run whole', () => {
    expect(TABLE.length).toBe(106);
  });

  test('and nothing of it was kept', async () => {
    const campaigns = await call<{ data: { id: string; status: string; hot_score: number }[] }>(
      tenant.key,
      'GET',
      '/v1/campaigns',
    );
    expect(campaigns.body.data.map(({ id, status, hot_score }) => ({ id, status, hot_score }))).toEqual([
      { id: ending, status: 'draft', hot_score: 70 },
      { id: draft, status: 'draft', hot_score: 70 },
    ]);
    const leads = await call<{ data: unknown[] }>(tenant.key, 'GET', `/v1/campaigns/${draft}/leads`);
    expect(leads.body.data).toEqual([]);
    const calls = await call<{ data: unknown[] }>(tenant.key, 'GET', '/v1/calls');
    expect(calls.body.data).toEqual([]);
    const agents = await call<{ data: unknown[] }>(tenant.key, 'GET', '/v1/agents');
    expect(agents.body.data.length).toBe(1);
  });

  test('every fault of one request is named at once', async () => {
    const answer = await call(tenant.key, 'POST', '/v1/campaigns', {
      body: { nome: 'x', window: { days: [9], start: 'x', end: 'y' } },
    });
    expect(fieldsOf(answer).sort()).toEqual(['agent_id', 'name', 'nome', 'window.days.0', 'window.end', 'window.start']);
  });
});

const post = (raw: BodyInit, type: string, path = '/v1/campaigns', headers = {}) =>
  call(tenant.key, 'POST', path, { raw, headers: { 'content-type': type, ...headers } });

describe('bodies that cannot be read', () => {
  test.each([
    ['{', 'bad_json'],
    ['{"name": undefined}', 'bad_json'],
    ['\ufeff{', 'bad_json'],
    [new Uint8Array([0x22, 0xff, 0x22]), 'bad_json'],
  ])('%j → %s', async (raw, code) => {
    const answer = await post(raw, 'application/json');
    expect([answer.status, codeOf(answer), fieldsOf(answer)]).toEqual([400, code, ['body']]);
  });

  test.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'text/csv', ''])(
    'a campaign as %j → 415',
    async (type) => {
      const answer = await post(new TextEncoder().encode('{}'), type);
      expect([answer.status, fieldsOf(answer)]).toEqual([415, ['Content-Type']]);
    },
  );

  test.each([
    ['arrays', '['.repeat(200_000) + ']'.repeat(200_000)],
    ['objects', `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`],
  ])('%s nested a hundred thousand times → 400', async (_what, raw) => {
    const answer = await post(raw, 'application/json');
    expect([answer.status, codeOf(answer), fieldsOf(answer)]).toEqual([400, 'validation', ['body']]);
  });

  test('a compressed body → 415', async () => {
    const answer = await post('{}', 'application/json', '/v1/campaigns', { 'content-encoding': 'gzip' });
    expect([answer.status, fieldsOf(answer)]).toEqual([415, ['Content-Encoding']]);
  });

  test('a body over its limit → 413, whatever Content-Length says', async () => {
    const big = `{"name":"${'x'.repeat(1_100_000)}"}`;
    const honest = await post(big, 'application/json');
    expect([honest.status, codeOf(honest)]).toEqual([413, 'too_large']);
    const pieces = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let at = 0; at < big.length; at += 65_536) controller.enqueue(new TextEncoder().encode(big.slice(at, at + 65_536)));
        controller.close();
      },
    });
    const chunked = await post(pieces, 'application/json');
    expect([chunked.status, codeOf(chunked)]).toEqual([413, 'too_large']);
  });

  test.each([
    ['of a type that is not taken', 'text/plain', 415],
    ['of JSON', 'application/json', 413],
  ])('a large file %s: the sender hears why, whatever is left to send', async (_what, type, status) => {
    const file = new Uint8Array(32 * 1_048_576).fill(0x20);
    for (let i = 0; i < 3; i += 1) {
      const answer = await post(file, type, `/v1/campaigns/${draft}/leads`);
      expect([answer.status, fieldsOf(answer).length]).toEqual([status, 1]);
    }
  });

  test('an id that is none names nothing', async () => {
    for (const id of ['1', 'undefined', '%00', "'; drop table leads", '00000000-0000-0000-0000-00000000000g']) {
      const answer = await call(tenant.key, 'GET', `/v1/campaigns/${encodeURIComponent(id)}`);
      expect([answer.status, codeOf(answer)], id).toEqual([404, 'not_found']);
    }
  });

  test('a bodiless POST takes no body, or an empty one', async () => {
    for (const sent of [{}, { body: {} }]) {
      const answer = await call(tenant.key, 'POST', `/v1/campaigns/${draft}/start`, sent);
      expect([answer.status, codeOf(answer)]).toEqual([409, 'no_leads']);
    }
  });
});
