/** Three wire protocols on one exchange, through the adapters that speak to the real providers. */
import { Buffer } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { serve } from '../../local/edge-server.ts';
import { providerUrls, startPhoneNetwork } from '../../local/phone-network.ts';
import type { CallRecord, Exchange } from '../../local/phone-network/exchange.ts';
import type { Provider, ProviderAgent, WebhookRequest } from '../../lib/providers/provider.ts';
import { createProviders } from '../../lib/providers/table.ts';
import type { CallFact } from '../../lib/verb-shapes.ts';
import { expectedEnd } from '../journey/digits.ts';
import { ask, HOT, HOUR, manualClock, until } from './support.ts';

const WIRES = ['bolna', 'vapi', 'retell'] as const;
type Name = (typeof WIRES)[number];
const SECRET = 'the-secret-of-our-webhooks';

interface Received extends WebhookRequest {
  wire: Name;
  at: Date;
}

/** A network whose time stands still, the three adapters, and a receiver of their webhooks. */
const startWires = async (answer: () => number = () => 200) => {
  const clock = manualClock();
  const got: Received[] = [];
  const receiver = await serve({ port: 0, maxBody: 1e6 }, ({ path, headers, body }) => {
    const wire = path.slice(1) as Name;
    const request = { headers: new Headers(headers as Record<string, string>), url: receiver.url + path };
    got.push({ ...request, wire, at: clock.now(), body: Buffer.from(body).toString('utf8') });
    return { status: answer(), body: '' };
  });
  const network = await startPhoneNetwork({ clock });
  const urls = providerUrls(network.url);
  const nowhere = 'http://127.0.0.1:1';
  const providers = createProviders({ providerBaseUrls: { ...urls, twilio: nowhere, elevenlabs: nowhere } });
  const credential = async (authenticationPlan: object): Promise<string> => {
    const made = await ask(`${urls.vapi}/credential`, 'POST', { provider: 'webhook', authenticationPlan });
    return (made.body as { id: string }).id;
  };
  const agent = (wire: Name, credentials: Record<string, string> = {}): ProviderAgent => ({
    provider_agent_id: `${wire}-agent`,
    from_number: '+12025550123',
    credentials: { api_key: `key-of-${wire}`, phone_number_id: 'number-1', webhook_credential_id: SECRET, ...credentials },
    webhook_secrets: [SECRET],
    analysis_mapping: null,
  });
  const create = (wire: Name, to: string, attempt_id: string, as = agent(wire)) =>
    providers[wire].createCall(as, {
      attempt_id,
      campaign_id: 'c-1',
      lead_id: `lead-${to}`,
      to,
      variables: { name: 'Alex', plan: 'Enterprise', seats: 12 },
      webhook_url: `${receiver.url}/${wire}`,
    });
  await providers.bolna.registerWebhook(agent('bolna'), `${receiver.url}/bolna`);
  const calls = async (): Promise<CallRecord[]> => (await ask(`${network.url}/calls`)).body as CallRecord[];
  return {
    url: network.url,
    urls,
    clock,
    got,
    providers,
    agent,
    credential,
    create,
    calls,
    stats: async () => (await ask(`${network.url}/stats`)).body as ReturnType<Exchange['stats']>,
    /** Creates a call that must be accepted; answers the provider's id. */
    async dial(wire: Name, to: string, as = agent(wire)): Promise<string> {
      const outcome = await create(wire, to, randomUUID(), as);
      if (outcome.outcome !== 'accepted' || outcome.provider_call_id === undefined) throw new Error(JSON.stringify(outcome));
      return outcome.provider_call_id;
    },
    /** Waits until no delivery is under way. */
    quiet: () =>
      until('no delivery under way', async () => {
        const deliveries = (await calls()).flatMap((call) => call.events.flatMap((event) => event.deliveries));
        return deliveries.every((delivery) => delivery.answer !== null) || undefined;
      }),
    /** Waits until every webhook so far has been sent, unless it is lost, and has its answer. */
    settled: () =>
      until('all webhooks answered', async () => {
        const events = (await calls()).flatMap((call) => call.events);
        const done = ({ lost, deliveries }: (typeof events)[number]): boolean =>
          lost !== undefined || (deliveries.length > 0 && deliveries.every((delivery) => delivery.answer !== null));
        return events.every(done) || undefined;
      }),
    async stop(): Promise<void> {
      await network.stop();
      await receiver.stop();
    },
  };
};
type Wires = Awaited<ReturnType<typeof startWires>>;

/** What the events of a call say in the end, whatever their order: the last word is that of the furthest. */
const endOf = (facts: readonly CallFact[]) => {
  const analysis = facts.map((fact) => fact.analysis).find((one) => one !== undefined);
  const ends = new Set(facts.flatMap(({ status }) => (status && /^(queued|dialing|ringing|in_)/.test(status) ? [] : [status])));
  return { dispositions: [...ends], score: analysis?.state === 'valid' ? (analysis.score ?? null) : null };
};

/** The whole table, all hundred rows on each wire at once. */
describe('the number table on every wire', () => {
  let wires: Wires;
  const digits = Array.from({ length: 100 }, (_, n) => n);
  const number = (wire: Name, n: number): string => `+1202555${WIRES.indexOf(wire)}1${String(n).padStart(2, '0')}`;
  const attempts = new Map<string, string>();
  const outcomes = new Map<string, Awaited<ReturnType<Provider['createCall']>>>();
  const facts = new Map<string, CallFact[]>();
  let refusedWebhooks = 0;
  /** The network's own records, by number. */
  const records = new Map<string, CallRecord>();
  const idOf = (to: string): string => records.get(to)?.execution_id ?? '';

  beforeAll(async () => {
    wires = await startWires();
    const vapi = wires.agent('vapi', {
      webhook_credential_id: await wires.credential({ type: 'hmac', algorithm: 'sha256', secretKey: SECRET }),
    });
    const agents = { bolna: wires.agent('bolna'), vapi, retell: wires.agent('retell') };
    // A few at a time: an adapter waits five real seconds for an answer, also on a machine that others keep busy.
    for (const n of digits)
      await Promise.all(
        WIRES.map(async (wire) => {
          const to = number(wire, n);
          attempts.set(to, randomUUID());
          outcomes.set(to, await wires.create(wire, to, attempts.get(to)!, agents[wire]));
        }),
      );
    await wires.quiet(); // what is under way must arrive at the instant at which it was signed
    wires.clock.advance(HOUR);
    // A look at all the calls is dear: not before all that was sent has come.
    await until('what was sent', async () => wires.got.length >= (await wires.stats()).webhooks.sent || undefined);
    await wires.settled();
    const calls = await wires.calls();
    for (const call of calls) records.set(String(call.recipient_phone_number), call);
    const numbers = new Map(calls.map((call) => [call.execution_id, String(call.recipient_phone_number)]));
    for (const webhook of wires.got) {
      const provider = wires.providers[webhook.wire];
      if (!(await provider.verifyWebhook(agents[webhook.wire], webhook, webhook.at))) refusedWebhooks += 1;
      const fact = provider.parseWebhook(agents[webhook.wire], webhook);
      const to = numbers.get(fact?.provider_call_id ?? '') ?? 'nobody';
      if (fact !== null) facts.set(to, [...(facts.get(to) ?? []), fact]);
    }
  });
  afterAll(() => wires.stop());

  test('every webhook is signed as its adapter demands', () => {
    expect(wires.got.length).toBeGreaterThan(1_000);
    expect(refusedWebhooks).toBe(0);
    const headers = { bolna: 'user-agent', vapi: 'x-signature', retell: 'x-retell-signature' };
    for (const wire of WIRES) {
      const mine = wires.got.filter((one) => one.wire === wire);
      expect(mine.filter((one) => one.headers.has(headers[wire]))).toHaveLength(mine.length);
    }
  });

  test.each(WIRES)('%s: all rows end as the table says, in webhooks and when read', async (wire) => {
    const rules = { maxAttempts: 1, noAnswer: false, busy: false, unknown: false };
    let compared = 0;
    for (const n of digits.filter((one) => one <= 97)) {
      const to = number(wire, n);
      const { disposition, score } = expectedEnd(to, rules);
      const whole = { dispositions: [disposition], score };
      // Of row 95 only the read tells the end.
      expect([to, endOf(facts.get(to) ?? [])]).toEqual([to, n === 95 ? { dispositions: [], score: null } : whole]);
      const read = await wires.providers[wire].readCall(wires.agent(wire), idOf(to));
      expect([to, read.state === 'found' ? endOf([read.fact]) : read]).toEqual([to, whole]);
      compared += 1;
    }
    expect(compared).toBe(98);
  });

  test.each(WIRES)('%s: webhooks carry our attempt, save those of row 97', (wire) => {
    for (const n of digits.filter((one) => one <= 97)) {
      const to = number(wire, n);
      const named = new Set((facts.get(to) ?? []).map((fact) => fact.attempt_id));
      expect([to, ...named]).toEqual([to, n === 97 ? undefined : attempts.get(to)]);
    }
  });

  test.each(WIRES)('%s: 97 is accepted, never answered, and found by our attempt id', async (wire) => {
    const to = number(wire, 97);
    expect(outcomes.get(to)).toMatchObject({ outcome: 'unknown', reason: 'no answer in time' });
    const since = new Date('2026-03-02T10:00:00Z');
    const find = (attempt_id: string) => wires.providers[wire].findCall(wires.agent(wire), { attempt_id, to, since });
    expect(await find(attempts.get(to)!)).toMatchObject({
      state: 'found',
      fact: { provider_call_id: idOf(to), status: 'completed', analysis: { score: 75 } },
    });
    expect(await find(randomUUID())).toEqual({ state: 'missing' });
    expect(await find(attempts.get(number(wire, 98))!)).toEqual({ state: 'missing' });
  });

  test.each(WIRES)('%s: 98 is a 500 without a call, 99 a 429 twice and then as 00', async (wire) => {
    expect(outcomes.get(number(wire, 98))).toEqual({ outcome: 'unknown', reason: 'answered 500' });
    const to = number(wire, 99);
    const later = { outcome: 'refused', refusal: 'later', retry_after_seconds: 1 };
    expect(outcomes.get(to)).toMatchObject(later);
    expect(await wires.create(wire, to, attempts.get(to)!)).toMatchObject(later);
    const id = await wires.dial(wire, to);
    wires.clock.advance(HOUR);
    const read = await wires.providers[wire].readCall(wires.agent(wire), id);
    expect(read).toMatchObject({ state: 'found', fact: { status: 'completed', analysis: { score: 100 } } });
  });

  const ORDERS: Record<Name, { answered: string[]; unanswered: string[] }> = {
    bolna: {
      answered: ['queued', 'initiated', 'ringing', 'in-progress', 'call-disconnected', 'completed'],
      unanswered: ['queued', 'initiated', 'ringing', 'no-answer'],
    },
    vapi: {
      answered: [
        'status-update queued',
        'status-update ringing',
        'status-update in-progress',
        'status-update ended',
        'end-of-call-report',
      ],
      unanswered: ['status-update queued', 'status-update ringing', 'status-update ended', 'end-of-call-report'],
    },
    retell: { answered: ['call_started', 'call_ended', 'call_analyzed'], unanswered: ['call_ended', 'call_analyzed'] },
  };
  test.each(WIRES)('%s: the events come in its own order; 95 loses what follows the answer, 96 triples all', (wire) => {
    const eventsOf = (n: number) => records.get(number(wire, n))?.events ?? [];
    const { answered, unanswered } = ORDERS[wire];
    expect(eventsOf(0).map((event) => [event.status, event.deliveries.length])).toEqual(answered.map((name) => [name, 1]));
    expect(eventsOf(50).map((event) => event.status)).toEqual(unanswered);
    const lost = eventsOf(95).map((event) => event.lost);
    const live = answered.findIndex((name) => /in-progress|started/.test(name));
    expect(lost).toEqual(answered.map((_, i) => (i <= live ? undefined : 'dropped')));
    expect(eventsOf(96).map((event) => event.deliveries.length)).toEqual(answered.map(() => 3));
    const order = (facts.get(number(wire, 96)) ?? []).map((fact) => fact.event_key);
    expect(order).toHaveLength(3 * answered.length);
    // The first pair comes swapped, as it does at the end of all that is sent backwards.
    expect(order.slice(0, 2)).toEqual(order.slice(-2));
  });

  test('one exchange: the calls of all three are counted together, none twice', async () => {
    const stats = await wires.stats();
    // Of a hundred rows, 98 and the first two dials of 99 make no call; 97 is on the line although nobody was told.
    expect(stats).toMatchObject({ duplicate_creates: 0, dials_while_on_a_call: 0, ceiling_violations: 0, live: 0 });
    expect(stats.calls_created).toBe(3 * 99);
    expect(stats.max_live).toBe(3 * 98);
    expect(Object.keys(stats.by_agent).toSorted()).toEqual(['bolna-agent', 'retell-agent', 'vapi-agent']);
    for (const counted of Object.values(stats.by_agent)) expect(counted).toEqual({ calls_created: 99, max_live: 98 });
  });
});

describe('the wires', () => {
  let wires: Wires;
  afterEach(() => wires.stop());

  const PLANS: [title: string, plan: object | null, credentials: Record<string, string>][] = [
    ['a credential that nobody made is a bearer token that reads as its id', null, {}],
    ['a bearer token', { type: 'bearer', token: SECRET }, {}],
    ['the old header', { type: 'bearer', token: SECRET, headerName: 'X-Vapi-Secret', bearerPrefixEnabled: false }, {}],
    ['HMAC with the defaults', { type: 'hmac', algorithm: 'sha256', secretKey: SECRET }, {}],
    [
      'HMAC in a form of our own',
      {
        type: 'hmac',
        algorithm: 'sha512',
        secretKey: SECRET,
        signatureHeader: 'x-mine',
        timestampHeader: 'x-when',
        signaturePrefix: 'v1=',
        payloadFormat: '{method} {url} {timestamp} {body}',
        signatureEncoding: 'base64',
      },
      {
        hmac_algorithm: 'sha512',
        hmac_signature_header: 'x-mine',
        hmac_timestamp_header: 'x-when',
        hmac_prefix: 'v1=',
        hmac_payload: '{method} {url} {timestamp} {body}',
        hmac_encoding: 'base64',
      },
    ],
  ];
  test.each(PLANS)('vapi proves its webhooks: %s', async (_title, plan, forms) => {
    wires = await startWires();
    const own = plan === null ? {} : { webhook_credential_id: await wires.credential(plan) };
    const agent = wires.agent('vapi', { ...forms, ...own });
    await wires.dial('vapi', HOT, agent);
    await wires.settled();
    const [webhook] = wires.got;
    const verify = (as: ProviderAgent, request: WebhookRequest = webhook): Promise<boolean> =>
      wires.providers.vapi.verifyWebhook(as, request, wires.clock.now());
    expect(await verify(agent)).toBe(true);
    expect(await verify({ ...agent, webhook_secrets: ['another'] })).toBe(false);
    const altered = await verify(agent, { ...webhook, body: `${webhook.body} ` });
    expect(altered).toBe(plan === null || 'token' in plan);
  });

  test('retell signs with the key that asked for the call', async () => {
    wires = await startWires();
    const agent = wires.agent('retell');
    await wires.dial('retell', HOT, agent);
    wires.clock.advance(6_000);
    await wires.settled();
    const [webhook] = wires.got;
    const verify = (key: string, body = webhook.body): Promise<boolean> => {
      const as = { ...agent, credentials: { api_key: key }, webhook_secrets: [] };
      return wires.providers.retell.verifyWebhook(as, { ...webhook, body }, wires.clock.now());
    };
    expect(await Promise.all([verify('key-of-retell'), verify('key-of-another'), verify('key-of-retell', '{}')])).toEqual([
      true,
      false,
      false,
    ]);
  });

  test('a repeat is signed anew, at its own instant', async () => {
    wires = await startWires(() => 503);
    await wires.dial('retell', HOT);
    wires.clock.advance(5_500);
    await wires.settled();
    await until('the repeat is planned', () => wires.clock.pending() > 1 || undefined);
    wires.clock.advance(1_000);
    await until('the repeat', () => wires.got.length > 1 || undefined);
    const [first, second] = wires.got;
    const stamps = [first, second].map(({ headers }) => Number(/^v=(\d+)/.exec(headers.get('x-retell-signature') ?? '')?.[1]));
    expect(stamps.map((at) => new Date(at).toISOString())).toEqual(['2026-03-02T10:00:05.500Z', '2026-03-02T10:00:06.500Z']);
    expect(second.body).toBe(first.body);
    const check = (request: Received) =>
      wires.providers.retell.verifyWebhook(wires.agent('retell'), request, new Date('2026-03-02T10:05:06Z'));
    expect(await Promise.all([check(first), check(second)])).toEqual([false, true]);
  });

  const REPEATS: [wire: Name, waits: number[]][] = [
    ['vapi', [2, 4, 8, 16, 32]],
    ['retell', [1, 5, 30]],
  ];
  test.each(REPEATS)('%s repeats what is not answered 2xx, then gives it up', async (wire, waits) => {
    wires = await startWires(() => 503);
    const id = await wires.dial(wire, '+12025550185');
    await wires.settled();
    wires.clock.advance(500);
    await wires.settled();
    for (const seconds of waits) {
      expect(wires.clock.pending()).toBeGreaterThan(0);
      const before = wires.got.length;
      wires.clock.advance(seconds * 1_000);
      await until('the repeats', () => wires.got.length > before || undefined);
      await wires.settled();
    }
    wires.clock.advance(HOUR);
    await wires.settled();
    const record = (await wires.calls()).find((call) => call.execution_id === id);
    expect(record?.events.map(({ deliveries }) => deliveries.length)).toEqual(record?.events.map(() => 1 + waits.length));
  });

  test('vapi sends nothing again that has no plan', async () => {
    wires = await startWires(() => 503);
    const server = { url: 'http://127.0.0.1:1/' };
    const body = { assistantId: 'a', phoneNumberId: 'p', customer: { number: HOT }, assistantOverrides: { server } };
    await ask(`${wires.urls.vapi}/call`, 'POST', body);
    wires.clock.advance(HOUR);
    await wires.settled();
    const [{ events }] = await wires.calls();
    expect(events.map(({ deliveries }) => deliveries.length)).toEqual([1, 1, 1, 1, 1]);
    expect(wires.clock.pending()).toBe(0);
  });

  test.each(['vapi', 'retell'] as const)('%s stops a call that is on the line, once', async (wire) => {
    wires = await startWires();
    const id = await wires.dial(wire, HOT);
    wires.clock.advance(10_000);
    const stop = (call: string): Promise<boolean> => wires.providers[wire].stopCall(wires.agent(wire), call);
    expect([await stop(id), await stop(id), await stop('nobody')]).toEqual([true, false, false]);
    expect((await wires.stats()).live).toBe(0);
    wires.clock.advance(HOUR);
    await wires.settled();
    const read = await wires.providers[wire].readCall(wires.agent(wire), id);
    expect(read).toMatchObject({ state: 'found', fact: { status: 'canceled', line_free: true } });
    const ends = wires.got.map((webhook) => wires.providers[wire].parseWebhook(wires.agent(wire), webhook)?.status);
    expect(ends.slice(-2)).toEqual(['canceled', 'canceled']);
  });

  test('above the ceiling vapi lets a call wait, and says so; retell ends it', async () => {
    wires = await startWires();
    await ask(`${wires.url}/control`, 'PUT', { ceiling: 0 });
    const body = { assistantId: 'a', phoneNumberId: 'p', customer: { number: HOT } };
    const { status, body: made } = await ask(`${wires.urls.vapi}/call`, 'POST', body);
    expect([status, made]).toMatchObject([201, { status: 'queued', subscriptionLimits: { concurrencyBlocked: true } }]);
    expect(made).not.toHaveProperty('monitor');
    const id = await wires.dial('retell', HOT);
    wires.clock.advance(HOUR);
    expect(await wires.stats()).toMatchObject({ calls_created: 2, live: 0, max_live: 0, ceiling_violations: 2 });
    const read = await wires.providers.retell.readCall(wires.agent('retell'), id);
    expect(read).toMatchObject({ state: 'found', fact: { status: 'failed', reason: 'concurrency_limit_reached' } });
    await ask(`${wires.url}/control`, 'PUT', { ceiling: null });
    wires.clock.advance(HOUR);
    const waited = await wires.providers.vapi.readCall(wires.agent('vapi'), (made as { id: string }).id);
    expect(waited).toMatchObject({ state: 'found', fact: { status: 'completed' } });
  });

  test.each(['vapi', 'retell'] as const)(
    '%s refuses a bad key, a bad number and a bad address, and makes no call',
    async (wire) => {
      wires = await startWires();
      const create = (to: string, agent = wires.agent(wire)) => wires.create(wire, to, randomUUID(), agent);
      const bad = { ...wires.agent(wire), credentials: { ...wires.agent(wire).credentials, api_key: 'bad-key' } };
      expect(await create(HOT, bad)).toMatchObject({ outcome: 'refused', refusal: 'account' });
      expect(await create('2025550100')).toMatchObject({ outcome: 'refused', refusal: 'invalid' });
      expect(await wires.providers[wire].readCall(bad, 'x')).toMatchObject({ state: 'failed' });
      expect(await wires.providers[wire].readCall(wires.agent(wire), 'x')).toEqual({ state: 'missing' });
      const paths = { vapi: '/call', retell: '/v2/create-phone-call' };
      const empty = await ask(wires.urls[wire] + paths[wire], 'POST', '{');
      expect(empty.status).toBe(400);
      expect((await wires.calls()).map(({ answered, provider }) => [provider, answered])).toEqual([
        [wire, 401],
        [wire, 400],
        [wire, 400],
      ]);
      expect((await wires.stats()).calls_created).toBe(0);
    },
  );
});
