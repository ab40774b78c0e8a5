/** 200 webhooks at once into the worker in workerd, while connections to the database are killed (classes 2, 10, 25). */
import fs from 'node:fs';
import { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import type { CallRecord } from '../../local/phone-network/exchange.ts';
import { type Stack, startStack } from '../../local/stack.ts';
import { Unwind } from '../../local/unwind.ts';
import { testDirectory } from '../support/directory.ts';
import type { CampaignOut, MailOut } from './scene.ts';

const LEADS = 200;
const SECRET = 'what-our-webhooks-are-proven-with';
const NOW = Date.UTC(2026, 9, 14, 15);
/** Events of which every try of the first request is killed, so that the sender must repeat. */
const HARD_HIT = 3;
/** How often one request tries a statement whose connection was lost. */
const TRIES_IN_ONE_REQUEST = 8;

const nap = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A stack of our own at real speed: no lease ends and no call is looked up while the test runs. */
const openStack = async (): Promise<Stack> => {
  const dataDir = testDirectory('storm');
  const unwind = new Unwind();
  onTestFinished(async () => {
    await unwind.run();
    fs.rmSync(dataDir, { recursive: true, force: true });
  }, 60_000);
  const options = { dataDir, fresh: false, port: 0, speed: 1, now: NOW, cron: false, callingRules: false, fastPostgres: true };
  return startStack({ ...options, variables: { SYSTEM_MAX_CONCURRENT_CALLS: '250' }, say: () => undefined }, unwind);
};

const api = async <T>({ url, apiKey }: Stack, method: string, path: string, body?: unknown): Promise<T> => {
  const answer = await fetch(url + path, {
    method,
    headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path} answered ${answer.status}: ${text}`);
  return JSON.parse(text) as T;
};

const fire = async ({ url }: Stack, cron: string): Promise<void> => {
  const answer = await fetch(`${url}/cdn-cgi/handler/scheduled?cron=${encodeURIComponent(cron)}`);
  await answer.arrayBuffer();
};

/** A campaign of {@link LEADS} leads at a provider that signs, all of them on the line; its webhooks are ours to send. */
const placeCalls = async (stack: Stack): Promise<{ campaign: string; webhookUrl: string; calls: CallRecord[] }> => {
  await fetch(`${stack.phoneNetworkUrl}/control`, { method: 'PUT', body: JSON.stringify({ drop: 1 }) });
  await api(stack, 'PATCH', '/v1/account', { max_concurrent_calls: LEADS });
  const agent = await api<{ id: string; webhook_url: string }>(stack, 'POST', '/v1/agents', {
    name: 'Storm',
    provider: 'vapi',
    provider_agent_id: 'storm-agent',
    credentials: { api_key: 'key', phone_number_id: 'number', webhook_credential_id: SECRET },
    webhook_secrets: [SECRET],
  });
  const { id } = await api<{ id: string }>(stack, 'POST', '/v1/campaigns', {
    name: 'Storm',
    agent_id: agent.id,
    window: { days: [1, 2, 3, 4, 5, 6, 7], start: '00:00', end: '24:00' },
    max_concurrent_calls: LEADS,
    retry: { max_attempts: 1 },
  });
  // Numbers that answer: what they would say does not matter here.
  const twoDigits = (n: number): string => String(n).padStart(2, '0');
  const phones = Array.from({ length: LEADS }, (_, i) => `+1415555${twoDigits(Math.floor(i / 50))}${twoDigits(i % 50)}`);
  const leads = phones.map((phone, i) => ({ phone, name: `Lead ${i}` }));
  expect(await api(stack, 'POST', `/v1/campaigns/${id}/leads`, { leads })).toMatchObject({ imported: LEADS });
  await api(stack, 'POST', `/v1/campaigns/${id}/start`);
  const deadline = Date.now() + 120_000;
  while (Date.now() < deadline) {
    const calls = (await (await fetch(`${stack.phoneNetworkUrl}/calls`)).json()) as CallRecord[];
    const { live_calls } = await api<{ live_calls: number }>(stack, 'GET', '/v1/account');
    if (calls.length === LEADS && live_calls === LEADS) return { campaign: id, webhookUrl: agent.webhook_url, calls };
    await fire(stack, '* * * * *');
    await nap(100);
  }
  throw new Error('the calls were not placed in time');
};

const ENDS = [
  ['customer-ended-call', 'completed'],
  ['customer-did-not-answer', 'no_answer'],
  ['customer-ended-call', 'completed'],
  ['customer-busy', 'busy'],
  ['voicemail', 'voicemail'],
] as const;

/** The report of a call's end, as Vapi sends it. */
const reportOf = (call: CallRecord, i: number): unknown => {
  const [endedReason, disposition] = ENDS[i % ENDS.length];
  const answered = disposition === 'completed';
  return {
    message: {
      type: 'end-of-call-report',
      timestamp: NOW + 60_000,
      endedReason,
      ...(answered && { startedAt: new Date(NOW + 5_000).toISOString() }),
      endedAt: new Date(NOW + 35_000).toISOString(),
      durationSeconds: answered ? 30 : 0,
      cost: 0.05,
      artifact: { transcript: answered ? 'AI: Hello\nUser: Hello\n' : '' },
      analysis: answered ? { structuredData: { lead_score: i % 100 } } : {},
      call: { id: call.execution_id, type: 'outboundPhoneCall', metadata: call.user_data },
    },
  };
};

/** Sends one webhook until it is answered below 500, as a provider does; answers every status, 0 for none. */
const deliver = async (url: string, body: string): Promise<number[]> => {
  const statuses: number[] = [];
  for (let tries = 0; tries < 20; tries += 1) {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${SECRET}` };
    const status = await fetch(url, { method: 'POST', headers, body }).then(
      async (answer) => {
        await answer.arrayBuffer();
        return answer.status;
      },
      () => 0,
    );
    statuses.push(status);
    if (status !== 0 && status < 500) break;
    await nap(100 * 2 ** Math.min(tries, 5));
  }
  return statuses;
};

/** The campaign counted anew from its rows, in words of the test's own. */
const recount = async (databaseUrl: string, campaign: string) => {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const rows = async <T>(sql: string): Promise<T[]> => (await client.query(sql, [campaign])).rows as T[];
    const group = (of: { name: string; n: number }[]) => Object.fromEntries(of.map(({ name, n }) => [name, n]));
    const events = await rows<{ call_id: string; fate: string; n: number }>(
      `select e.call_id, e.fate, count(*)::int as n from ringleader.call_events e join ringleader.calls c on c.id = e.call_id
       where c.campaign_id = $1 and e.event_key like '%:end-of-call-report:%' group by 1, 2`,
    );
    return {
      leads: group(
        await rows(`select status as name, count(*)::int as n from ringleader.leads where campaign_id = $1 group by 1`),
      ),
      calls: group(
        await rows(`select disposition as name, count(*)::int as n from ringleader.calls where campaign_id = $1 group by 1`),
      ),
      hot: (await rows(`select from ringleader.leads where campaign_id = $1 and temperature = 'hot'`)).length,
      attempts: (await rows<{ n: number }>(`select sum(attempts)::int as n from ringleader.leads where campaign_id = $1`))[0].n,
      held: (await rows(`select from ringleader.calls where campaign_id = $1 and released_at is null`)).length,
      events,
    };
  } finally {
    await client.end();
  }
};

const isSummaryOf = (id: string, { Metadata }: MailOut): boolean =>
  Metadata.campaign_id === id && Metadata.type === 'campaign_summary';

test('200 webhooks at once with one connection in ten killed: each is applied once, and every count is that of the rows', async () => {
  const stack = await openStack();
  const { campaign, webhookUrl, calls } = await placeCalls(stack);
  const reports = calls.map((call, i) => JSON.stringify(reportOf(call, i)));

  const { faults, log } = stack.neon;
  const isCut = ({ event, detail }: (typeof log)[number]): boolean => event === 'fault' && detail.startsWith('cut');
  for (const { execution_id } of calls.slice(0, HARD_HIT)) {
    const contains = `${execution_id}:end-of-call-report`;
    faults.cutOn({ from: 'client', contains, how: 'reset', times: TRIES_IN_ONE_REQUEST });
  }
  // The question is lost, or the answer to what was committed: one in twenty each.
  faults.cutOn({ from: 'client', contains: 'apply_fact', how: 'reset', times: Infinity, every: 20 });
  faults.cutOn({ from: 'server', contains: '"fate"', how: 'reset', times: Infinity, every: 20 });
  const answers = await Promise.all(reports.map((body) => deliver(webhookUrl, body)));
  faults.clear();

  const cuts = log.filter(isCut);
  const repeats = answers.reduce((sum, statuses) => sum + statuses.length - 1, 0);
  expect(cuts.length * 10).toBeGreaterThanOrEqual(LEADS);
  for (const from of ['client', 'server']) expect(cuts.filter(({ detail }) => detail.includes(from)).length).toBeGreaterThan(5);
  expect(repeats).toBeGreaterThanOrEqual(HARD_HIT);
  expect(answers.map((statuses) => statuses.at(-1))).toEqual(answers.map(() => 200));

  const expected = ENDS.map(([, disposition]) => disposition);
  const truth = await recount(stack.databaseUrl, campaign);
  expect(truth.events.map(({ fate, n }) => [fate, n])).toEqual(calls.map(() => ['applied', 1]));
  expect(truth.calls).toEqual(
    Object.fromEntries(expected.map((name) => [name, (LEADS / ENDS.length) * expected.filter((one) => one === name).length])),
  );
  expect(truth).toMatchObject({ attempts: LEADS, held: 0 });
  const seen = await api<CampaignOut>(stack, 'GET', `/v1/campaigns/${campaign}`);
  expect(seen).toMatchObject({ status: 'completed', progress: 1, hot_leads: truth.hot });
  expect(Object.fromEntries(Object.entries(seen.counts.leads).filter(([, n]) => n > 0))).toEqual(truth.leads);
  expect(Object.fromEntries(Object.entries(seen.counts.calls).filter(([, n]) => n > 0))).toEqual(truth.calls);
  expect((await api<{ live_calls: number }>(stack, 'GET', '/v1/account')).live_calls).toBe(0);

  await fire(stack, '*/5 * * * *');
  const mails = async (): Promise<MailOut[]> =>
    ((await (await fetch(`${stack.inboxUrl}/messages`)).json()) as MailOut[]).filter((mail) => isSummaryOf(campaign, mail));
  await expect.poll(async () => (await mails()).length, { timeout: 60_000, interval: 250 }).toBe(1);
}, 300_000);
