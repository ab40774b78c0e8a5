/** What every provider's adapter must do, over all of them: a new one is in the table, has its fixtures, and passes. */
import { describe, expect, test } from 'vitest';
import { CALL_STATUSES, DISPOSITIONS } from '../../lib/domain/vocabulary.ts';
import { PROVIDERS } from '../../lib/providers/table.ts';
import type { CallFact } from '../../lib/verb-shapes.ts';
import { apiOf, CALL, DIALECTS, samplesOf, webhook } from './dialects.ts';
import { localApi } from './local-api.ts';

const apis = Object.fromEntries(await Promise.all(PROVIDERS.map(async (name) => [name, await localApi(name)] as const)));
const LOST = { attempt_id: CALL.attempt_id, to: CALL.to, since: new Date('2026-03-02T10:00:00Z') };
/** `expect.analysis: "none"` in a fixture: the fact must not speak of the analysis. */
const agrees = (fact: CallFact | null, expected: Record<string, unknown> | null, label: string): void => {
  if (expected === null) return expect(fact, label).toBeNull();
  const { analysis, ...rest } = expected;
  if (analysis === 'none') expect(fact, label).not.toHaveProperty('analysis');
  expect(fact, label).toMatchObject(analysis === undefined || analysis === 'none' ? rest : { ...rest, analysis });
};

test('every provider of the contract has an adapter, a dialect and fixtures', () => {
  expect(Object.keys(DIALECTS)).toEqual([...PROVIDERS]);
  for (const name of PROVIDERS) {
    expect(apis[name].provider.name).toBe(name);
    expect(samplesOf(name).length).toBeGreaterThan(5);
  }
});

describe.each(PROVIDERS)('%s: events', (name) => {
  const { provider } = apis[name];
  const { agent } = DIALECTS[name];

  test('each says what it says and no more, its body kept whole and unaltered (class 29)', () => {
    for (const sample of samplesOf(name)) {
      const request = webhook(name, sample);
      const fact = provider.parseWebhook(agent, request);
      agrees(fact, sample.expect, sample.name);
      if (fact === null) continue;
      expect(fact.payload, sample.name).toBe(request.body);
      expect(fact.provider_call_id, sample.name).toBe('call-1');
      expect(fact.source, sample.name).toBe('event');
      expect(CALL_STATUSES, sample.name).toContain(fact.status);
      // An event that ends a call also frees its line; only that one brings times and costs of the end.
      const ends = (DISPOSITIONS as readonly string[]).includes(fact.status ?? '');
      expect(fact.line_free ?? false, sample.name).toBe(ends || (sample.expect?.line_free ?? false));
      if (!ends) expect(fact, sample.name).not.toHaveProperty('analysis');
    }
  });

  test('an event sent again has the same key, another event of the call another (class 27)', () => {
    const keys = samplesOf(name)
      .filter((sample) => sample.expect !== null)
      .map((sample) => [sample, provider.parseWebhook(agent, webhook(name, sample))!.event_key] as const);
    expect(keys.length).toBeGreaterThan(5);
    for (const [sample, key] of keys) {
      expect(provider.parseWebhook(agent, webhook(name, sample))!.event_key).toBe(key);
      const elsewhere = samplesOf(name, { call: 'call-2', attempt: CALL.attempt_id }).find(
        (other) => other.name === sample.name,
      )!;
      expect(provider.parseWebhook(agent, webhook(name, elsewhere))!.event_key).not.toBe(key);
    }
  });
});

describe.each(PROVIDERS)('%s: create-call', (name) => {
  const api = apis[name];
  const { agent } = DIALECTS[name];
  const { created, refusals, silent } = apiOf(name);

  test('hands over number, attempt and agent; our ids win over the variables; accepted with the id of the provider', async () => {
    api.answers(created.status, created.body);
    expect(await api.provider.createCall(agent, CALL)).toEqual({ outcome: 'accepted', provider_call_id: 'call-1' });
    expect(api.asked).toHaveLength(1);
    const { method, body } = api.asked[0];
    expect(method).toBe('POST');
    const text = decodeURIComponent(body);
    for (const part of [CALL.to, CALL.attempt_id]) expect(text).toContain(part);
    expect(text).not.toContain('stolen');
    // Whoever takes the address with each call is given it; Bolna and ElevenLabs keep it by agent and workspace.
    expect(text.includes(CALL.webhook_url)).toBe(!['bolna', 'elevenlabs'].includes(name));
  });

  test('each refusal is told apart: later, an impossible number, the whole account, the agent alone, or other (class 6)', async () => {
    for (const { status, headers, body, expect: kind } of refusals) {
      api.answers(status, body, headers);
      const label = `${status} ${JSON.stringify(body)}`;
      expect(await api.provider.createCall(agent, CALL), label).toMatchObject({ outcome: 'refused', ...kind });
      expect(api.asked, label).toHaveLength(1);
    }
    const kinds = ['later', 'invalid', 'account', 'agent', 'other'];
    expect(new Set(refusals.map((refusal) => refusal.expect.refusal))).toEqual(new Set(kinds));
  });

  test('whatever says nothing is unknown and is asked once: 5xx, redirects, 408, 2xx without an id (class 8)', async () => {
    const answers: [status: number, body: unknown][] = [
      ...[500, 502, 503, 504, 302, 307, 408].map((status): [number, unknown] => [status, '<html>']),
      ...silent.map((body): [number, unknown] => [200, body]),
    ];
    for (const [status, body] of answers) {
      api.answers(status, body, { location: `${api.url}/elsewhere` });
      const label = `${status} ${JSON.stringify(body)}`;
      expect(await api.provider.createCall(agent, CALL), label).toMatchObject({ outcome: 'unknown' });
      expect(api.asked, label).toHaveLength(1);
    }
  });

  test('a connection that breaks before or within the answer is unknown and is not asked again (class 8)', async () => {
    api.does((_, __, request) => request.socket.destroy());
    expect(await api.provider.createCall(agent, CALL)).toEqual({ outcome: 'unknown', reason: 'the connection failed' });
    expect(api.asked).toHaveLength(1);
    api.does((_, response, request) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
      response.write('{', () => request.socket.destroy());
    });
    expect(await api.provider.createCall(agent, CALL)).toMatchObject({ outcome: 'unknown' });
    expect(api.asked).toHaveLength(1);
  });

  test('credentials that no header can carry refuse the account and nothing is sent', async () => {
    api.answers(created.status, created.body);
    const secrets = Object.keys(agent.credentials).map((key) => [key, 'a\nb 😀']);
    const odd = { ...(Object.fromEntries(secrets) as Record<string, string>), twiml_url: agent.credentials.twiml_url };
    const outcome = await api.provider.createCall({ ...agent, credentials: odd }, CALL);
    // Twilio's travel as base64, where nothing is odd.
    expect(outcome).toMatchObject(name === 'twilio' ? { outcome: 'accepted' } : { outcome: 'refused', refusal: 'account' });
    expect(api.asked).toHaveLength(name === 'twilio' ? 1 : 0);
  });

  test('an agent without a number of its own is refused itself by Retell and Twilio, who need one, and calls by the others', async () => {
    const needed = ['retell', 'twilio'].includes(name);
    expect(api.provider.requires.includes('from_number')).toBe(needed);
    api.answers(created.status, created.body);
    const outcome = await api.provider.createCall({ ...agent, from_number: null }, CALL);
    expect(outcome).toMatchObject(needed ? { outcome: 'refused', refusal: 'agent' } : { outcome: 'accepted' });
    expect(api.asked).toHaveLength(needed ? 0 : 1);
  });
});

test("Twilio: the application's address keeps its own query, and has the variables only when all of them fit", async () => {
  const api = apis.twilio;
  const at = 'https://voice.example.com/answer?tenant=7';
  const agent = { ...DIALECTS.twilio.agent, credentials: { ...DIALECTS.twilio.agent.credentials, twiml_url: at } };
  const urlFor = async (variables: Record<string, unknown>): Promise<URL> => {
    api.answers(201, apiOf('twilio').created.body);
    await api.provider.createCall(agent, { ...CALL, variables });
    return new URL(new URLSearchParams(api.asked[0].body).get('Url')!);
  };
  const small = await urlFor({ name: 'Zoë & Co', tenant: 'stays?', nested: { a: 1 } });
  expect(Object.fromEntries(small.searchParams)).toEqual({
    tenant: 'stays?',
    name: 'Zoë & Co',
    campaign_id: CALL.campaign_id,
    lead_id: CALL.lead_id,
    attempt_id: CALL.attempt_id,
  });
  const large = await urlFor({ notes: 'x'.repeat(4000) });
  expect([...large.searchParams.keys()]).toEqual(['tenant', 'campaign_id', 'lead_id', 'attempt_id']);
  const outcome = await api.provider.createCall({ ...agent, credentials: { ...agent.credentials, twiml_url: 'answer' } }, CALL);
  expect(outcome).toMatchObject({ outcome: 'refused', refusal: 'agent' });
});

test('no answer within five seconds is unknown, for every provider, asked once (class 8)', async () => {
  for (const name of PROVIDERS) apis[name].does(() => undefined);
  const outcomes = await Promise.all(PROVIDERS.map((name) => apis[name].provider.createCall(DIALECTS[name].agent, CALL)));
  expect(outcomes).toEqual(PROVIDERS.map(() => ({ outcome: 'unknown', reason: 'no answer in time' })));
  for (const name of PROVIDERS) expect(apis[name].asked).toHaveLength(1);
});

describe.each(PROVIDERS)('%s: reads', (name) => {
  const api = apis[name];
  const { agent, list } = DIALECTS[name];
  const { reads } = apiOf(name);

  test('a call that is read says the same as its events would', async () => {
    expect(reads.length).toBeGreaterThan(3);
    for (const { name: label, body, expect: expected } of reads) {
      api.answers(200, body);
      const read = await api.provider.readCall(agent, 'call-1');
      expect(api.asked[0].path).toContain('call-1');
      if (expected === 'missing') {
        expect(read, label).toEqual({ state: 'missing' });
        continue;
      }
      expect(read.state, label).toBe('found');
      const { fact } = read as { fact: CallFact };
      agrees(fact, expected, label);
      expect(fact, label).toMatchObject({ source: 'read', provider_call_id: 'call-1' });
      expect(fact, label).not.toHaveProperty('payload');
    }
  });

  test('a 404 is missing; anything else that is no call could not be asked', async () => {
    api.answers(404, {});
    expect(await api.provider.readCall(agent, 'call-1')).toEqual({ state: 'missing' });
    for (const [status, body] of [
      [500, {}],
      [200, []],
      [200, '<html>'],
      [401, {}],
    ] as const) {
      api.answers(status, body);
      expect(await api.provider.readCall(agent, 'call-1'), `${status}`).toMatchObject({ state: 'failed' });
    }
    api.does((_, __, request) => request.socket.destroy());
    expect(await api.provider.readCall(agent, 'call-1')).toMatchObject({ state: 'failed' });
  });

  test('an id of the provider cannot leave its place in the address', async () => {
    api.answers(404, {});
    await api.provider.readCall(agent, '../../x?y=1#z');
    expect(api.asked[0].path).toContain('..%2F..%2Fx%3Fy%3D1%23z');
  });

  test('a call whose create-call was lost is found by what is sure, and no other is taken for it (class 11)', async () => {
    const own = { ...reads[0].body };
    if (name === 'bolna') own.context_details = { recipient_data: { attempt_id: CALL.attempt_id } };
    if (name === 'twilio') own.date_created = 'Mon, 02 Mar 2026 10:00:01 +0000';
    const foreign = JSON.parse(
      JSON.stringify(own).replaceAll(CALL.attempt_id, 'another').replaceAll('call-1', 'call-0'),
    ) as object;
    const older = name === 'twilio' ? { ...foreign, date_created: 'Mon, 02 Mar 2026 09:58:00 +0000' } : foreign;
    const among = (calls: readonly object[]): void =>
      api.does(({ path }, response) => {
        const single = calls.find((call) =>
          Object.values(call).some((value) => value !== '' && path.includes(`/${String(value)}`)),
        );
        const body = /get-call|conversations\/call-/.test(path) ? single : list(calls);
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify(body));
      });
    among([older, own]);
    expect(await api.provider.findCall(agent, LOST)).toMatchObject({ state: 'found', fact: { provider_call_id: 'call-1' } });
    among([{ strange: true }, own]);
    expect(await api.provider.findCall(agent, LOST)).toMatchObject({ state: 'found', fact: { provider_call_id: 'call-1' } });
    among([older]);
    expect(await api.provider.findCall(agent, LOST)).toEqual({ state: 'missing' });
    among([]);
    expect(await api.provider.findCall(agent, LOST)).toEqual({ state: 'missing' });
    api.answers(503, {});
    expect(await api.provider.findCall(agent, LOST)).toMatchObject({ state: 'failed' });
  });

  test('the request to stop, and to point webhooks here, ends in yes or no', async () => {
    api.does(({ path, method }, response) => {
      const body = method === 'GET' ? { monitor: { controlUrl: `${api.url}/control` } } : { status: 'canceled' };
      response.writeHead(/stop-call/.test(path) ? 204 : 200);
      response.end(/stop-call/.test(path) ? undefined : JSON.stringify({ sid: 'call-1', ...body }));
    });
    // ElevenLabs has no way to stop a call, and its webhook is set by hand for the whole workspace.
    expect(await api.provider.stopCall(agent, 'call-1')).toBe(name !== 'elevenlabs');
    expect(await api.provider.registerWebhook(agent, CALL.webhook_url)).toBe(name !== 'elevenlabs');
    api.answers(400, {});
    expect(await api.provider.stopCall(agent, 'call-1')).toBe(false);
  });
});

test('Twilio: when two calls may be the lost one, neither is taken', async () => {
  const api = apis.twilio;
  const call = { sid: 'a', status: 'completed', direction: 'outbound-api', date_created: 'Mon, 02 Mar 2026 10:00:01 +0000' };
  api.answers(200, { calls: [call, { ...call, sid: 'b' }] });
  expect(await api.provider.findCall(DIALECTS.twilio.agent, LOST)).toMatchObject({ state: 'failed' });
});

test('what each create-call asks for, to the letter', async () => {
  const bodies: Record<string, unknown> = {};
  for (const name of PROVIDERS) {
    const api = apis[name];
    api.answers(200, {});
    await api.provider.createCall(DIALECTS[name].agent, CALL);
    const { path, body, headers } = api.asked[0];
    const said = name === 'twilio' ? [...new URLSearchParams(body)] : (JSON.parse(body) as unknown);
    bodies[name] = { path, auth: headers.authorization ?? headers['xi-api-key'], said };
  }
  const ids = { campaign_id: CALL.campaign_id, lead_id: CALL.lead_id, attempt_id: CALL.attempt_id };
  const variables = { plan: 'Gold', seats: '3', trial: 'true', attempt_id: ids.attempt_id, system__time: 'x' };
  const applicationQuery = new URLSearchParams({ ...variables, campaign_id: ids.campaign_id, lead_id: ids.lead_id });
  expect(bodies).toEqual({
    bolna: {
      path: '/call',
      auth: 'Bearer secret-of-today',
      said: {
        agent_id: 'agent-7',
        recipient_phone_number: CALL.to,
        from_phone_number: '+12025550100',
        user_data: { ...CALL.variables, ...ids },
      },
    },
    vapi: {
      path: '/call',
      auth: 'Bearer key',
      said: {
        name: CALL.attempt_id,
        assistantId: 'agent-7',
        phoneNumberId: 'phone-1',
        customer: { number: CALL.to },
        metadata: ids,
        assistantOverrides: {
          metadata: ids,
          variableValues: { ...CALL.variables, ...ids },
          server: {
            url: CALL.webhook_url,
            timeoutSeconds: 20,
            credentialId: 'credential-1',
            backoffPlan: { type: 'exponential', maxRetries: 5, baseDelaySeconds: 2 },
          },
          serverMessages: ['status-update', 'end-of-call-report'],
        },
      },
    },
    retell: {
      path: '/v2/create-phone-call',
      auth: 'Bearer secret-of-today',
      said: {
        from_number: '+12025550100',
        to_number: CALL.to,
        override_agent_id: 'agent-7',
        metadata: ids,
        retell_llm_dynamic_variables: { plan: 'Gold', seats: '3', trial: 'true', system__time: 'x', ...ids },
        agent_override: {
          agent: { webhook_url: CALL.webhook_url, webhook_events: ['call_started', 'call_ended', 'call_analyzed'] },
        },
      },
    },
    twilio: {
      path: '/2010-04-01/Accounts/AC1/Calls.json',
      auth: `Basic ${btoa('AC1:secret-of-today')}`,
      said: [
        ['To', CALL.to],
        ['From', '+12025550100'],
        ['Url', `https://voice.example.com/answer?${applicationQuery.toString()}`],
        ['StatusCallback', `${CALL.webhook_url}?attempt_id=${CALL.attempt_id}#rc=5&rp=all`],
        ['StatusCallbackMethod', 'POST'],
        ...['initiated', 'ringing', 'answered', 'completed'].map((event) => ['StatusCallbackEvent', event]),
        ['MachineDetection', 'Enable'],
      ],
    },
    elevenlabs: {
      path: '/v1/convai/twilio/outbound-call',
      auth: 'key',
      said: {
        agent_id: 'agent-7',
        agent_phone_number_id: 'phone-1',
        to_number: CALL.to,
        conversation_initiation_client_data: {
          user_id: CALL.attempt_id,
          dynamic_variables: { plan: 'Gold', seats: 3, trial: true, ...ids },
        },
      },
    },
  });
});
