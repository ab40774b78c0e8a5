import { describe, expect, test } from 'vitest';
import { agentBody, call, codeOf, createCampaign, createTenant, fieldsOf, stack, until } from './client.ts';

interface Page<T> {
  data: T[];
}
interface Row {
  id: string;
  status: string;
}

const tenant = await createTenant('Calls');

describe('direct calls', () => {
  test('are accepted, followed and ended', async () => {
    const placed = await call<Row>(tenant.key, 'POST', '/v1/calls', {
      body: { agent_id: tenant.agent, to: '+14155551200', name: 'Zoë', variables: { order: 7 } },
    });
    expect(placed.status).toBe(201);
    expect(placed.body).toMatchObject({ kind: 'direct', lead_id: null, campaign_id: null, phone: '+14155551200', attempt: 1 });
    const read = async () => (await call<Row>(tenant.key, 'GET', `/v1/calls/${placed.body.id}`)).body;
    const ended = await until(read, ({ status }) => status === 'completed');
    expect(ended).toMatchObject({ disposition: 'completed', score: 100, temperature: 'hot' });
    const events = await call<Page<{ fate: string }>>(tenant.key, 'GET', `/v1/calls/${placed.body.id}/events`);
    expect(events.body.data.length).toBeGreaterThan(4);
    const late = await call(tenant.key, 'POST', `/v1/calls/${placed.body.id}/cancel`);
    expect([late.status, codeOf(late)]).toEqual([409, 'wrong_state']);
  });

  test('a suppressed number is refused', async () => {
    await call(tenant.key, 'POST', '/v1/suppressions', { body: { phone: '+14155551201' } });
    const answer = await call(tenant.key, 'POST', '/v1/calls', { body: { agent_id: tenant.agent, to: '+14155551201' } });
    expect([answer.status, codeOf(answer)]).toEqual([409, 'suppressed']);
  });

  test('what the provider refuses is a 422 with its reason, and frees its slot (class 6)', async () => {
    const own = await createTenant('Refused');
    const agent = await call<Row>(own.key, 'POST', '/v1/agents', { body: agentBody({ credentials: { api_key: 'bad-key' } }) });
    const answer = await call(own.key, 'POST', '/v1/calls', { body: { agent_id: agent.body.id, to: '+14155551202' } });
    expect([answer.status, codeOf(answer)]).toEqual([422, 'provider_refused']);
    expect((await call(own.key, 'GET', '/v1/account')).body['live_calls']).toBe(0);
  });

  test('a refused account is told by mail although no campaign runs; the pause is lifted without new credentials', async () => {
    const own = await createTenant('Refused and told');
    const agent = await call<Row>(own.key, 'POST', '/v1/agents', { body: agentBody({ credentials: { api_key: 'bad-key' } }) });
    const path = `/v1/agents/${agent.body.id}`;
    await call(own.key, 'POST', '/v1/calls', { body: { agent_id: agent.body.id, to: '+14155551203' } });
    expect((await call(own.key, 'GET', path)).body['paused_reason']).toMatch(/^403/);
    const mails = () => call<Page<Row & { agent_name: string }>>(own.key, 'GET', '/v1/notifications');
    const told = await until(mails, ({ body }) => body.data.some(({ status }) => status === 'sent'));
    expect(told.body.data).toMatchObject([{ type: 'campaign_paused', campaign_id: null, agent_name: 'Ann' }]);
    const odd = await call(own.key, 'PATCH', path, { body: { paused_reason: 'mine' } });
    expect([odd.status, fieldsOf(odd)]).toEqual([400, ['paused_reason']]);
    const lifted = await call(own.key, 'PATCH', path, { body: { paused_reason: null } });
    expect([lifted.status, lifted.body['paused_reason']]).toEqual([200, null]);
  });

  test('above the cap they wait, with a place in the queue, and are dialled in turn', async () => {
    const own = await createTenant('Queue', 1);
    const dial = (to: string) => call<Row>(own.key, 'POST', '/v1/calls', { body: { agent_id: own.agent, to } });
    const first = await dial('+14155551210');
    const second = await dial('+14155551211');
    const third = await dial('+14155551212');
    expect([first.status, second.status, third.status]).toEqual([201, 202, 202]);
    expect([second.body, third.body]).toMatchObject([
      { position: 1, call: { status: 'waiting' } },
      { position: 2, call: { status: 'waiting' } },
    ]);
    const waiting = (third.body as unknown as { call: Row }).call;
    const canceled = await call(own.key, 'POST', `/v1/calls/${waiting.id}/cancel`);
    expect(canceled.body).toMatchObject({ status: 'canceled', reserved_at: null });
    const list = () =>
      call<Page<Row>>(own.key, 'GET', '/v1/calls').then(({ body }) => body.data.map(({ status }) => status).sort());
    await until(list, (statuses) => statuses.join() === 'canceled,completed,completed');
  });
});

describe('status and notifications', () => {
  test('an account sees its own queue, the admin the whole system', async () => {
    const own = await call(tenant.key, 'GET', '/v1/status');
    expect(own.body).toMatchObject({ live_calls: 0, waiting_direct_calls: 0 });
    expect(own.body).not.toHaveProperty('connections');
    const system = await call(stack.adminKey, 'GET', '/v1/status');
    expect(system.body).toMatchObject({ system_max_concurrent_calls: 100, summary_mails: 'on', mail_webhook: 'off' });
    expect(system.body['accounts']).toBeGreaterThan(1);
  });

  test('a mail that was skipped is sent when somebody asks for it, and only then', async () => {
    const own = await createTenant('Mails');
    await call(own.key, 'PUT', '/v1/account/notification-preferences', { body: { campaign_summary_emails: false } });
    expect((await call(own.key, 'GET', '/v1/status')).body['mails_off']).toMatchObject([{ type: 'campaign_summary' }]);
    const campaign = await createCampaign(own);
    await call(own.key, 'POST', `/v1/campaigns/${campaign}/leads`, { body: { leads: [{ phone: '+14155552000' }] } });
    await call(own.key, 'POST', `/v1/campaigns/${campaign}/start`);
    const mails = async () => (await call<Page<Row>>(own.key, 'GET', '/v1/notifications')).body.data;
    const [skipped] = await until(mails, ([mail]) => mail?.status === 'skipped');
    const asked = await call(own.key, 'POST', `/v1/notifications/${skipped.id}/send`);
    expect([asked.status, asked.body['status']]).toEqual([202, 'pending']);
    await until(mails, ([mail]) => mail.status === 'sent');
    const again = await call(own.key, 'POST', `/v1/notifications/${skipped.id}/send`);
    expect([again.status, codeOf(again)]).toEqual([409, 'wrong_state']);
  });
});
