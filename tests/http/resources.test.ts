import { Client } from 'pg';
import { afterAll, describe, expect, test } from 'vitest';
import { agentBody, call, codeOf, createCampaign, createTenant, fieldsOf, stack, until, type Tenant } from './client.ts';

interface Page<T> {
  data: T[];
  next_cursor: string | null;
}
interface Row {
  id: string;
  status: string;
  phone: string;
}

const tenant = await createTenant('Resources');
const numbers = (n: number, from = 0): string[] =>
  Array.from({ length: n }, (_, i) => `+1415556${String(from + i).padStart(4, '0')}`);
const upload = (to: Tenant, campaign: string, phones: readonly string[]) =>
  call(to.key, 'POST', `/v1/campaigns/${campaign}/leads`, {
    raw: `phone,Favourite colour\n${phones.map((phone) => `${phone},"red, mostly"`).join('\n')}\n`,
    headers: { 'content-type': 'text/csv; charset=utf-8' },
  });
const allLeads = async (campaign: string, limit: number): Promise<{ rows: Row[]; pages: number }> => {
  const path = `/v1/campaigns/${campaign}/leads`;
  const rows: Row[] = [];
  let pages = 0;
  for (let cursor: string | null = ''; cursor !== null; pages += 1) {
    const page: Page<Row> = (
      await call<Page<Row>>(tenant.key, 'GET', `${path}?limit=${limit}${cursor === '' ? '' : `&cursor=${cursor}`}`)
    ).body;
    rows.push(...page.data);
    cursor = page.next_cursor;
  }
  return { rows, pages };
};

describe('the account', () => {
  test('is read and changed by its own key', async () => {
    const own = await createTenant('Before');
    const changed = await call(own.key, 'PATCH', '/v1/account', {
      body: { name: 'After', timezone: 'Asia/Kolkata', max_concurrent_calls: 3, calls_per_second: 0.5 },
    });
    expect(changed.body).toEqual({
      id: own.account,
      name: 'After',
      email: 'owner@example.com',
      timezone: 'Asia/Kolkata',
      max_concurrent_calls: 3,
      calls_per_second: 0.5,
      live_calls: 0,
    });
    const cleared = await call(own.key, 'PATCH', '/v1/account', { body: { calls_per_second: null } });
    expect(cleared.body['calls_per_second']).toBeNull();
    expect((await call(own.key, 'GET', '/v1/account')).body).toEqual(cleared.body);
  });

  test('a key is shown once, and dead once revoked', async () => {
    const made = await call<{ id: string; api_key: string }>(tenant.key, 'POST', '/v1/api-keys', { body: { name: 'ci' } });
    const listed = await call<Page<object>>(tenant.key, 'GET', '/v1/api-keys');
    expect(listed.text).not.toContain(made.body.api_key);
    expect((await call(made.body.api_key, 'DELETE', `/v1/api-keys/${made.body.id}`)).status).toBe(204);
    expect((await call(made.body.api_key, 'GET', '/v1/account')).status).toBe(401);
  });

  test('preferences that are left out are on', async () => {
    const put = await call(tenant.key, 'PUT', '/v1/account/notification-preferences', { body: { hot_lead_emails: false } });
    const expected = {
      campaign_summary_emails: true,
      hot_lead_emails: false,
      campaign_paused_emails: true,
      nothing_dialled_emails: true,
    };
    expect(put.body).toEqual(expected);
    expect((await call(tenant.key, 'GET', '/v1/account/notification-preferences')).body).toEqual(expected);
  });
});

describe('agents', () => {
  test('are pointed at us when they are made, and again when they change', async () => {
    const made = await call<{ id: string; webhook_url: string }>(tenant.key, 'POST', '/v1/agents', { body: agentBody() });
    expect(made.body).toMatchObject({ provider: 'bolna', from_number: null, webhook_registered: true, paused_reason: null });
    expect(made.body.webhook_url).toMatch(/^http:\/\/[^/]+\/webhooks\/bolna\/[\w-]{64}$/);
    const changed = await call(tenant.key, 'PATCH', `/v1/agents/${made.body.id}`, {
      body: { name: 'Bob', from_number: '+14155550100' },
    });
    expect(changed.body).toEqual({ ...made.body, name: 'Bob', from_number: '+14155550100' });
    expect((await call(tenant.key, 'DELETE', `/v1/agents/${made.body.id}`)).status).toBe(204);
    expect((await call(tenant.key, 'GET', `/v1/agents/${made.body.id}`)).status).toBe(404);
  });

  test('lose a number and a mapping that are set to null, unless the provider needs the number', async () => {
    const set = { from_number: '+14155550100', analysis_mapping: { score: 'Lead.Score', score_max: '10' } };
    const made = await call<{ id: string }>(tenant.key, 'POST', '/v1/agents', { body: agentBody(set) });
    expect(made.body).toMatchObject(set);
    const without = { from_number: null, analysis_mapping: null };
    const changed = await call(tenant.key, 'PATCH', `/v1/agents/${made.body.id}`, { body: without });
    expect([changed.status, changed.body]).toEqual([200, { ...made.body, ...without }]);
    expect((await call(tenant.key, 'GET', `/v1/agents/${made.body.id}`)).body).toEqual(changed.body);

    const retell = await call<{ id: string }>(tenant.key, 'POST', '/v1/agents', {
      body: agentBody({ ...set, provider: 'retell' }),
    });
    const path = `/v1/agents/${retell.body.id}`;
    const refused = await call(tenant.key, 'PATCH', path, { body: without });
    expect([refused.status, fieldsOf(refused)], refused.text).toEqual([400, ['from_number']]);
    expect((await call(tenant.key, 'GET', path)).body).toMatchObject(set);
    for (const id of [made.body.id, retell.body.id]) await call(tenant.key, 'DELETE', `/v1/agents/${id}`);
  });

  test('a provider that does not take the key leaves the agent, and says that it is not registered', async () => {
    const made = await call(tenant.key, 'POST', '/v1/agents', { body: agentBody({ credentials: { api_key: 'bad-key' } }) });
    expect([made.status, made.body['webhook_registered']]).toEqual([201, false]);
  });

  test('an agent in use stays', async () => {
    await createCampaign(tenant);
    const answer = await call(tenant.key, 'DELETE', `/v1/agents/${tenant.agent}`);
    expect([answer.status, codeOf(answer)]).toEqual([409, 'agent_in_use']);
  });
});

describe('campaigns', () => {
  test('say what is allowed when the state is wrong', async () => {
    const id = await createCampaign(tenant, { starts_at: '2027-01-01T00:00:00+01:00' });
    const ask = async (action: string) => {
      const answer = await call(tenant.key, 'POST', `/v1/campaigns/${id}/${action}`);
      return answer.status === 200 ? answer.body['status'] : `${answer.status} ${codeOf(answer)}`;
    };
    expect([await ask('pause'), await ask('resume'), await ask('start')]).toEqual([
      '409 wrong_state',
      '409 wrong_state',
      '409 no_leads',
    ]);
    await upload(tenant, id, numbers(2));
    expect([await ask('start'), await ask('start'), await ask('resume')]).toEqual([
      'active',
      '409 wrong_state',
      '409 wrong_state',
    ]);
    const refused = await call(tenant.key, 'DELETE', `/v1/campaigns/${id}`);
    expect([refused.status, codeOf(refused)]).toEqual([409, 'wrong_state']);
    expect([await ask('pause'), await ask('pause'), await ask('resume')]).toEqual(['paused', '409 wrong_state', 'active']);
    expect([await ask('cancel'), await ask('cancel'), await ask('start')]).toEqual([
      'canceled',
      '409 wrong_state',
      '409 wrong_state',
    ]);
    const late = await upload(tenant, id, numbers(1, 50));
    expect([late.status, codeOf(late)]).toEqual([409, 'campaign_closed']);
    expect((await call(tenant.key, 'DELETE', `/v1/campaigns/${id}`)).status).toBe(204);
    expect((await call(tenant.key, 'GET', `/v1/campaigns/${id}`)).status).toBe(404);
  });

  test('come back as they were written, with the rest filled in as documented (class 46)', async () => {
    const id = await createCampaign(tenant, {
      window: { days: [7, 1], start: '22:00', end: '02:00' },
      starts_at: '2027-01-01T00:00:00+01:00',
      retry: { max_attempts: 2, voicemail_minutes: 30 },
    });
    const read = await call(tenant.key, 'GET', `/v1/campaigns/${id}`);
    expect(read.body).toMatchObject({
      status: 'draft',
      timezone: 'UTC',
      window: { days: [1, 7], start: '22:00', end: '02:00' },
      starts_at: '2026-12-31T23:00:00.000Z',
      ends_at: null,
      max_concurrent_calls: 10,
      retry: {
        max_attempts: 2,
        no_answer_minutes: 60,
        busy_minutes: 15,
        voicemail_minutes: 30,
        failed_minutes: null,
        unknown_minutes: null,
      },
      hot_score: 70,
      warm_score: 40,
      counts: { leads: {}, calls: {} },
      progress: 0,
      hot_leads: 0,
      next_dial_at: null,
    });
  });

  test('a GET changes nothing (class 20)', async () => {
    const id = await createCampaign(tenant);
    const first = await call(tenant.key, 'GET', `/v1/campaigns/${id}`);
    const second = await call(tenant.key, 'GET', `/v1/campaigns/${id}`);
    expect(second.text).toBe(first.text);
  });
});

describe('lists', () => {
  test('page through every row once, whatever the size of a page', async () => {
    const own = await createCampaign(tenant);
    const phones = numbers(23, 100);
    await upload(tenant, own, phones);
    for (const [limit, pages] of [
      [5, 5],
      [23, 1],
      [22, 2],
      [200, 1],
    ] as const) {
      const seen = await allLeads(own, limit);
      expect(seen.rows.map(({ phone }) => phone)).toEqual(phones);
      expect(seen.pages).toBe(pages);
      expect(Object.keys(seen.rows[0])).not.toContain('seq');
    }
  });

  test('without a limit fifty rows come', async () => {
    const own = await createCampaign(tenant);
    await upload(tenant, own, numbers(60, 200));
    const page = await call<Page<Row>>(tenant.key, 'GET', `/v1/campaigns/${own}/leads`);
    expect([page.body.data.length, page.body.next_cursor === null]).toEqual([50, false]);
  });

  test('leads are chosen by status and temperature', async () => {
    const own = await createCampaign(tenant);
    await upload(tenant, own, numbers(3, 300));
    const path = `/v1/campaigns/${own}/leads`;
    expect((await call<Page<Row>>(tenant.key, 'GET', `${path}?status=waiting`)).body.data.length).toBe(3);
    expect((await call<Page<Row>>(tenant.key, 'GET', `${path}?status=reached`)).body.data).toEqual([]);
    expect((await call<Page<Row>>(tenant.key, 'GET', `${path}?temperature=hot`)).body.data).toEqual([]);
  });
});

describe('leads', () => {
  test('keep the columns that nobody knows as variables, and say why they are not dialled', async () => {
    const own = await createCampaign(tenant);
    const report = await upload(tenant, own, [...numbers(2, 400), numbers(1, 400)[0], 'nobody']);
    expect(report.body).toMatchObject({ rows: 4, imported: 2, duplicates: 1, invalid: 1, suppressed: 0 });
    expect(report.body['errors']).toMatchObject([{ row: 5, column: 'phone', code: 'invalid_phone' }]);
    const [lead] = (await call<Page<Row>>(tenant.key, 'GET', `/v1/campaigns/${own}/leads`)).body.data;
    const read = await call(tenant.key, 'GET', `/v1/leads/${lead.id}`);
    expect(read.body).toMatchObject({ variables: { 'Favourite colour': 'red, mostly' }, calls: [], attempts: 0 });
    const why = await call<{ reasons: { code: string }[] }>(tenant.key, 'GET', `/v1/leads/${lead.id}/explain`);
    expect(why.body).toMatchObject({ dialable: false });
    expect(why.body.reasons.map(({ code }) => code)).toContain('campaign_not_active');
    const all = await call(tenant.key, 'GET', `/v1/campaigns/${own}/preflight`);
    expect(all.body).toMatchObject({ leads: 2, dialable: 0 });
    expect(all.body['reasons']).toContainEqual({ code: 'campaign_not_active', message: 'The campaign is draft.', leads: 2 });
  });

  test('come in as JSON, too', async () => {
    const own = await createCampaign(tenant);
    const leads = [
      { phone: '(415) 555-0100', name: 'Zoë', variables: { plan: 'gold', seats: 3, trial: true } },
      { phone: '12', name: 'Nobody' },
    ];
    const report = await call(tenant.key, 'POST', `/v1/campaigns/${own}/leads`, { body: { leads } });
    expect(report.body).toMatchObject({ rows: 2, imported: 1, invalid: 1 });
    const [lead] = (await call<Page<Row>>(tenant.key, 'GET', `/v1/campaigns/${own}/leads`)).body.data;
    expect(lead).toMatchObject({ phone: '+14155550100', name: 'Zoë', variables: { plan: 'gold', seats: 3, trial: true } });
  });

  test('a mapping names the columns; one that is none is a 400', async () => {
    const own = await createCampaign(tenant);
    const send = (mapping: string) =>
      call(tenant.key, 'POST', `/v1/campaigns/${own}/leads?mapping=${encodeURIComponent(mapping)}`, {
        raw: 'Wer,Wohin\nZoë,+14155550100\n',
        headers: { 'content-type': 'text/csv' },
      });
    const bad = await send('Wohin');
    expect([bad.status, fieldsOf(bad)]).toEqual([400, ['mapping']]);
    const good = await send('{"phone":"Wohin","name":"Wer"}');
    expect(good.body).toMatchObject({ imported: 1, invalid: 0 });
  });
});

describe('downloads', () => {
  const db = new Client({ connectionString: stack.databaseUrl });
  afterAll(() => db.end());

  test('hold every lead, page after page, on one connection that ends with the download', async () => {
    const own = await createCampaign(tenant);
    const phones = Array.from({ length: 5000 }, (_, i) => `+1415${5_570_000 + i}`);
    expect((await upload(tenant, own, phones)).body['imported']).toBe(5000);
    const file = await call(tenant.key, 'GET', `/v1/campaigns/${own}/leads.csv`);
    expect(file.headers.get('content-type')).toBe('text/csv; charset=utf-8');
    expect(file.headers.get('content-disposition')).toBe('attachment; filename="leads.csv"');
    const lines = file.text.trimEnd().split('\r\n');
    expect(lines.length).toBe(5001);
    expect(new Set(lines.slice(1).map((line) => line.split(',', 1)[0]))).toEqual(new Set(phones));

    const given = await fetch(`${stack.url}/v1/campaigns/${own}/leads.csv`, {
      headers: { authorization: `Bearer ${tenant.key}` },
    });
    await given.body?.cancel();
    await db.connect();
    // By the server's own clock: nobody but a download keeps a connection for two seconds.
    const old = `select count(*)::int as n from pg_stat_activity where usename = 'ringleader_app' and backend_start < now() - interval '3 seconds'`;
    const left = await until(
      async () => (await db.query<{ n: number }>(old)).rows[0].n,
      (n) => n === 0,
    );
    expect(left).toBe(0);
  });

  test('the rows that could not be imported, and the hot leads, have files of their own', async () => {
    const own = await createCampaign(tenant);
    await upload(tenant, own, [...numbers(1, 500), '12']);
    const errors = await call(tenant.key, 'GET', `/v1/campaigns/${own}/errors.csv`);
    expect(errors.text.trimEnd().split('\r\n').length).toBe(2);
    const hot = await call(tenant.key, 'GET', `/v1/campaigns/${own}/hot-leads.csv`);
    expect(hot.text).toBe('name,phone,score,temperature,email,company,call_at,summary\r\n');
  });
});

describe('suppressions', () => {
  test('are added, listed and lifted, however the number is written', async () => {
    const own = await createTenant('Suppressor');
    const added = await call(own.key, 'POST', '/v1/suppressions', { body: { phone: '+1 (415) 555-0100', reason: 'asked' } });
    expect([added.status, added.body]).toEqual([201, { phone: '+14155550100', added: true }]);
    const again = await call(own.key, 'POST', '/v1/suppressions', { body: { phone: '0014155550100' } });
    expect([again.status, again.body]).toEqual([201, { phone: '+14155550100', added: false }]);
    const list = await call<Page<Row>>(own.key, 'GET', '/v1/suppressions');
    expect(list.body.data).toMatchObject([{ phone: '+14155550100', reason: 'asked' }]);
    const lifted = await call(own.key, 'DELETE', `/v1/suppressions/${encodeURIComponent('+1 415 555 0100')}`);
    expect(lifted.status).toBe(204);
    expect((await call(own.key, 'DELETE', '/v1/suppressions/+14155550100')).status).toBe(404);
  });

  test('survive whatever is deleted: campaign, leads and agent', async () => {
    const own = await createTenant('Suppressor');
    await call(own.key, 'POST', '/v1/suppressions', { body: { phone: '+14155550100' } });
    const campaign = await createCampaign(own);
    expect((await upload(own, campaign, ['+14155550100'])).body).toMatchObject({ imported: 1, suppressed: 1 });
    const start = await call(own.key, 'POST', `/v1/campaigns/${campaign}/start`);
    expect([start.status, codeOf(start)]).toEqual([409, 'no_leads']);
    expect((await call(own.key, 'DELETE', `/v1/campaigns/${campaign}`)).status).toBe(204);
    expect((await call(own.key, 'DELETE', `/v1/agents/${own.agent}`)).status).toBe(204);
    const list = await call<Page<Row>>(own.key, 'GET', '/v1/suppressions');
    expect(list.body.data.map(({ phone }) => phone)).toEqual(['+14155550100']);
    const agent = await call<Row>(own.key, 'POST', '/v1/agents', { body: agentBody() });
    const dialled = await call(own.key, 'POST', '/v1/calls', { body: { agent_id: agent.body.id, to: '+14155550100' } });
    expect([dialled.status, codeOf(dialled)]).toEqual([409, 'suppressed']);
  });

  test('come as a CSV', async () => {
    const own = await createTenant('Suppressor');
    const raw = 'phone,reason\n+14155550100,asked\n+14155550100,again\nnobody,\n';
    const report = await call(own.key, 'POST', '/v1/suppressions', { raw, headers: { 'content-type': 'text/csv' } });
    expect([report.status, report.body]).toMatchObject([200, { rows: 3, added: 1, duplicates: 1, invalid: 1 }]);
  });
});
