/** A webhook from its raw body to the committed fact, for every provider, on a real database. */
import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import { createAgentMemory } from '../../lib/agent-memory.ts';
import type { Deps } from '../../lib/deps.ts';
import type { WebhookRequest } from '../../lib/providers/provider.ts';
import { PROVIDERS, type ProviderName } from '../../lib/providers/table.ts';
import { receiveWebhook, Unconfirmed } from '../../lib/receive-webhook.ts';
import type { Verbs } from '../../lib/verbs.ts';
import { testDatabase } from '../support/database.ts';
import { createEngine, phones } from '../support/engine.ts';
import { apiOf, CALL, DIALECTS, ROTATED, samplesOf, webhook } from './dialects.ts';
import { localApi } from './local-api.ts';

const db = await testDatabase();
const engine = createEngine(db);
const { verbs, now } = engine;
afterEach(async () => {
  reports.length = 0;
  agentsRead = 0;
  await engine.reset();
});
const apis = Object.fromEntries(await Promise.all(PROVIDERS.map(async (name) => [name, await localApi(name)] as const)));
const PUBLIC = 'https://dialer.example.com';

const reports: object[] = [];
let agentsRead = 0;
const deps = {
  verbs: {
    ...verbs,
    agentSecrets: (...args: Parameters<Verbs['agentSecrets']>) => {
      agentsRead += 1;
      return verbs.agentSecrets(...args);
    },
  },
  now,
  newId: () => randomUUID(),
  agentMemory: createAgentMemory(),
  config: { publicUrl: PUBLIC, secretsKey: '0'.repeat(64) },
  providers: Object.fromEntries(PROVIDERS.map((name) => [name, apis[name].provider])),
  report: (type: string, _error: unknown, context: object) => void reports.push({ type, ...context }),
  sealer: { seal: (plain: string) => Promise.resolve(plain), open: (sealed: string) => Promise.resolve(sealed) },
} as unknown as Deps;

/** An account whose one call is with this provider. */
const onTheLine = async (name: ProviderName) => {
  const { account } = await engine.account();
  const { agent } = DIALECTS[name];
  const agentId = randomUUID();
  await verbs.createAgent(account, now(), {
    id: agentId,
    name: 'Ann',
    provider: name,
    provider_agent_id: agent.provider_agent_id,
    from_number: agent.from_number,
    credentials_sealed: JSON.stringify(agent.credentials),
    webhook_secrets_sealed: JSON.stringify(agent.webhook_secrets),
    analysis_mapping: null,
  });
  const campaign = await engine.campaign({ account, agent: agentId });
  await engine.leads(account, campaign, phones(1));
  await verbs.startCampaign(account, now(), campaign);
  const [{ call_id: call }] = await engine.place();
  const receive = (request: WebhookRequest) =>
    receiveWebhook(deps, { accountId: account, agentId, provider: apis[name].provider, request });
  const ids = { call: `x-${call}`, attempt: call };
  const events = async (): Promise<number> => {
    const { rows } = await db.pool.query<{ n: number }>('select count(*)::int as n from ringleader.call_events');
    return rows[0].n;
  };
  const status = async () => (await verbs.getCall(account, now(), call))?.status;
  return { account, agentId, call, receive, samples: samplesOf(name, ids), reads: apiOf(name, ids).reads, events, status };
};
/** The sample that ends an answered call. */
const last = <T extends { name: string; expect: Record<string, unknown> | null }>(samples: readonly T[]): T =>
  samples.find((sample) => sample.expect?.status === 'completed')!;

describe.each(PROVIDERS)('%s', (name) => {
  const api = apis[name];

  test('an authentic end is applied once, its body kept; sent again it is a duplicate (class 27)', async () => {
    const { account, call, receive, samples, reads, status } = await onTheLine(name);
    api.answers(200, reads[0].body);
    const sent = webhook(name, last(samples), undefined, now());
    expect(await receive(sent)).toMatchObject({ fate: 'applied', call_id: call, status: 'completed', released: true });
    expect(await receive(sent)).toMatchObject({ fate: 'duplicate', released: false });
    expect(await status()).toBe('completed');
    const [event, again, ...more] = (await verbs.listCallEvents(account, now(), call, null, 10))!;
    expect(event).toMatchObject({
      fate: 'applied',
      payload: sent.body,
      source: 'event',
      repeats: 1,
      repeated_at: now().toISOString(),
    });
    expect(again).toMatchObject({ fate: 'duplicate', payload: null, status: event.status, repeat_of: event.id });
    expect(more).toEqual([]);
  });

  test('what is none of our business is acknowledged and leaves nothing', async () => {
    const { receive, samples, events } = await onTheLine(name);
    const others = samples.filter(({ expect: said }) => said === null);
    expect(others.length).toBeGreaterThan(0);
    for (const sample of others) expect(await receive(webhook(name, sample, undefined, now())), sample.name).toBeNull();
    expect(await events()).toBe(0);
  });

  test('what nobody proves is refused with 401, or read at the provider before it ends a call; it leaves no trace (class 25)', async () => {
    const { receive, samples, reads, events, status } = await onTheLine(name);
    const forged = webhook(name, last(samples), 'another secret', now());
    if (api.provider.signed) {
      await expect(receive(forged)).rejects.toMatchObject({ name: 'Refusal', status: 401 });
      await expect(receive({ ...forged, body: 'garbage' })).rejects.toMatchObject({ status: 401 });
    } else {
      api.answers(200, { ...reads[0].body, status: 'in-progress' });
      await expect(receive(forged)).rejects.toThrow(Unconfirmed);
      api.answers(404, {});
      await expect(receive(forged)).rejects.toThrow(Unconfirmed);
    }
    expect(await events()).toBe(0);
    expect(await status()).toBe('queued');
  });
});

test('what ElevenLabs tells of another agent of the workspace counts for that one’s call, and leaves nothing of a call that is not ours', async () => {
  const { account, receive, events } = await onTheLine('elevenlabs');
  const { agent } = DIALECTS.elevenlabs;
  const sister = randomUUID();
  await verbs.createAgent(account, now(), {
    id: sister,
    name: 'Bea',
    provider: 'elevenlabs',
    provider_agent_id: 'another-agent',
    from_number: null,
    credentials_sealed: JSON.stringify(agent.credentials),
    webhook_secrets_sealed: JSON.stringify(agent.webhook_secrets),
    analysis_mapping: { score: 'points', score_max: '10' },
  });
  const campaign = await engine.campaign({ account, agent: sister }, { retry: { max_attempts: 1 } });
  await engine.leads(account, campaign, phones(2, 1));
  await verbs.startCampaign(account, now(), campaign);
  const [{ call_id: call }, { call_id: answered }] = await engine.place();
  const told = (id: string) =>
    webhook(
      'elevenlabs',
      samplesOf('elevenlabs', { call: id }).find(({ name }) => name === 'foreign')!,
      undefined,
      now(),
    );
  expect(await receive(told('somebody-elses'))).toMatchObject({ fate: 'ignored' });
  expect(await events()).toBe(0);
  expect(await receive(told(`x-${call}`))).toMatchObject({ fate: 'applied', call_id: call, status: 'busy', released: true });
  expect(await receive(told(`x-${call}`))).toMatchObject({ fate: 'duplicate', call_id: call });
  // Its own mapping counts, not that of the agent at whose address it came.
  const sample = samplesOf('elevenlabs', { call: `x-${answered}`, attempt: answered }).find(
    ({ expect: said }) => said?.status === 'completed',
  )!;
  const { data, ...event } = sample.body as { data: object };
  const scored = { data_collection_results: { points: { value: 9 }, score: { value: 12 } } };
  const body = { ...event, data: { ...data, agent_id: 'another-agent', analysis: scored } };
  expect(await receive(webhook('elevenlabs', { ...sample, body }, undefined, now()))).toMatchObject({ fate: 'applied' });
  expect(await verbs.getCall(account, now(), answered)).toMatchObject({ status: 'completed', score: 90 });
});

test('a call that ends for want of credit pauses whoever shares the account, also agents of an earlier release', async () => {
  const { account, receive, samples } = await onTheLine('bolna');
  const { agent } = DIALECTS.bolna;
  const [sister, stranger] = [randomUUID(), randomUUID()];
  for (const [id, key] of [
    [sister, agent.credentials.api_key],
    [stranger, 'another'],
  ] as const)
    await verbs.createAgent(account, now(), {
      id,
      name: 'Bea',
      provider: 'bolna',
      provider_agent_id: id,
      from_number: null,
      credentials_sealed: JSON.stringify({ api_key: key }),
      webhook_secrets_sealed: null,
      analysis_mapping: null,
    });
  const empty = { ...last(samples).body, status: 'balance-low', error_message: 'balance-low' };
  apis.bolna.answers(200, empty);
  expect(await receive(webhook('bolna', { body: empty }))).toMatchObject({ fate: 'applied', status: 'failed' });
  const pausedReason = async (id: string) => (await verbs.getAgent(account, now(), id))!.paused_reason;
  expect([await pausedReason(sister), await pausedReason(stranger)]).toEqual(['balance-low', null]);
  // The agent that comes with every account of these tests has secrets that do not open.
  expect(reports).toMatchObject([{ type: 'call_dispatch_failed', account_id: account }]);
});

test('the address that counts is the public one, whatever stands in front of the worker', async () => {
  const { receive, samples } = await onTheLine('twilio');
  const sent = webhook('twilio', last(samples));
  expect(sent.url.startsWith(`${PUBLIC}/`)).toBe(true);
  const inside = sent.url.replace(PUBLIC, 'http://127.0.0.1:8787');
  expect(await receive({ ...sent, url: inside })).toMatchObject({ fate: 'applied' });
  expect(CALL.webhook_url.startsWith(PUBLIC)).toBe(true);
});

test("another provider's agent is not known at this provider's address", async () => {
  const { receive, samples } = await onTheLine('retell');
  const sent = webhook('retell', last(samples), undefined, now());
  await expect(receive(sent)).resolves.toMatchObject({ fate: 'applied' });
  const { account } = await engine.account();
  const elsewhere = { accountId: account, agentId: randomUUID(), provider: apis.retell.provider, request: sent };
  await expect(receiveWebhook(deps, elsewhere)).rejects.toMatchObject({ status: 401 });
});

describe('what this isolate remembers of an agent', () => {
  /** A signed agent of Vapi's whose secrets another isolate can change, and an event signed with one of them. */
  const signed = async () => {
    const scene = await onTheLine('vapi');
    const change = async (...secrets: string[]) => {
      const written = await verbs.updateAgent(scene.account, now(), scene.agentId, {
        webhook_secrets_sealed: JSON.stringify(secrets),
      });
      expect(written).not.toBeNull();
    };
    return { ...scene, change, send: (secret: string) => scene.receive(webhook('vapi', last(scene.samples), secret, now())) };
  };
  const [OLD, NEW] = ROTATED;
  const refused = { name: 'Refusal', status: 401 };

  test('its webhooks read it once in thirty seconds', async () => {
    const { send } = await signed();
    for (let n = 0; n < 3; n += 1) expect(await send(OLD)).not.toBeNull();
    expect(agentsRead).toBe(1);
    engine.pass(0.5);
    await send(OLD);
    expect(agentsRead).toBe(2);
  });

  test('a secret that came elsewhere is believed at once', async () => {
    const { send, change } = await signed();
    await send(OLD);
    await change(NEW, OLD);
    expect(await send(NEW)).toMatchObject({ fate: 'duplicate' });
    expect(await send(OLD)).toMatchObject({ fate: 'duplicate' });
  });

  test('a secret that went elsewhere is believed for thirty seconds at most, and never again once the new one was seen', async () => {
    const { send, change } = await signed();
    await send(OLD);
    await change(NEW);
    expect(await send(OLD)).toMatchObject({ fate: 'duplicate' });
    engine.pass(0.5);
    await expect(send(OLD)).rejects.toMatchObject(refused);
    await change(OLD);
    await send(OLD);
    await change(NEW);
    await send(NEW);
    await expect(send(OLD)).rejects.toMatchObject(refused);
  });

  test('a secret that nobody ever had is refused after a look at the agent as it is', async () => {
    const { send } = await signed();
    await send(OLD);
    await expect(send('another secret')).rejects.toMatchObject(refused);
    expect(agentsRead).toBe(2);
  });

  test('a call is confirmed with new credentials when those remembered no longer do', async () => {
    const { account, agentId, samples, reads, call } = await onTheLine('bolna');
    const keys: string[] = [];
    const { provider } = apis.bolna;
    const choosy: typeof provider = {
      ...provider,
      readCall(agent, id) {
        keys.push(agent.credentials.api_key);
        return agent.credentials.api_key === 'new'
          ? provider.readCall(agent, id)
          : Promise.resolve({ state: 'failed', reason: '401' });
      },
    };
    const receive = () =>
      receiveWebhook(deps, { accountId: account, agentId, provider: choosy, request: webhook('bolna', last(samples)) });
    apis.bolna.answers(200, reads[0].body);
    const { api_key: old } = DIALECTS.bolna.agent.credentials;
    await expect(receive()).rejects.toThrow(Unconfirmed);
    await expect(receive()).rejects.toThrow(Unconfirmed);
    expect(keys).toEqual([old, old]);
    await verbs.updateAgent(account, now(), agentId, { credentials_sealed: JSON.stringify({ api_key: 'new' }) });
    expect(await receive()).toMatchObject({ fate: 'applied', call_id: call, status: 'completed' });
    expect(keys).toEqual([old, old, old, 'new']);
  });
});
