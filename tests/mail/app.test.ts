/** What mails lead to, through the whole application over the real driver and database: links, preferences, bounces, sending again. */
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { createApp } from '../../functions/app.ts';
import { createAgentMemory } from '../../lib/agent-memory.ts';
import { hashKey } from '../../lib/auth.ts';
import { createBackground } from '../../lib/background.ts';
import type { Invocation } from '../../lib/compose.ts';
import { useLocalEndpoint } from '../../lib/db.ts';
import { parseEnv, type Config } from '../../lib/env.ts';
import { startNeonProxy, type NeonProxy } from '../../local/neon-proxy.ts';
import { startInbox } from '../../local/inbox.ts';
import type { Edge } from '../../local/edge-server.ts';
import { testDatabase } from '../support/database.ts';
import { createEngine, phones, scored } from '../support/engine.ts';

const db = await testDatabase();
const engine = createEngine(db);
const { verbs, now } = engine;
const app = createApp();
let proxy: NeonProxy;
let inbox: Edge;
let config: Config;
const reports: string[] = [];
beforeAll(async () => {
  proxy = await startNeonProxy({ postgres: { socketPath: db.socketPath } });
  useLocalEndpoint(proxy.wsProxy);
  inbox = await startInbox({ clock: { now } });
  config = parseEnv(
    {
      DATABASE_URL: db.appUrl,
      ADMIN_KEY: 'admin-key-of-the-test',
      PUBLIC_URL: 'http://127.0.0.1:8787',
      SECRETS_KEY: Buffer.alloc(32, 3).toString('base64'),
      POSTMARK_SERVER_TOKEN: 'token',
      MAIL_FROM: 'Ringleader <mail@ringleader.example>',
      EMAIL_CAMPAIGN_SUMMARY_ENABLED: 'true',
      POSTMARK_WEBHOOK_SECRET: 'webhook-secret',
      POSTMARK_BASE_URL: inbox.url,
    },
    { allowLoopbackHttp: true },
  );
});
afterEach(() => engine.reset());
afterAll(async () => {
  await inbox.stop();
  await proxy.stop();
});

/** What the worker makes of one call of the platform; `ended` resolves when what follows its answer has ended too. */
const invocationOf = (changes: Partial<Config> = {}): { invocation: Invocation; ended: () => Promise<void> } => {
  const left: Promise<unknown>[] = [];
  const ctx = { waitUntil: (promise: Promise<unknown>) => void left.push(promise) };
  const report: Invocation['report'] = (type) => void reports.push(type);
  const background = createBackground({ report, ctx });
  const began = performance.now();
  const invocation: Invocation = {
    config: { ...config, ...changes },
    now,
    sleep: () => Promise.resolve(),
    report,
    wake: () => Promise.resolve(),
    handOver: () => Promise.resolve(),
    counted: () => Promise.resolve(),
    webhookForged: () => Promise.resolve(),
    measured: () => Promise.resolve(null),
    agentMemory: createAgentMemory(),
    elapsedMs: () => performance.now() - began,
    background,
    ctx,
  };
  const ended = async (): Promise<void> => {
    background.begin();
    for (let n = -1; n !== left.length;) {
      n = left.length;
      await Promise.all(left);
    }
  };
  return { invocation, ended };
};

const ask = async (
  path: string,
  init: RequestInit = {},
  changes: Partial<Config> = {},
): Promise<{ status: number; type: string; text: string }> => {
  const { invocation, ended } = invocationOf(changes);
  const response = await app.answer(new Request(new URL(path, config.publicUrl), init), invocation);
  const text = await response.text();
  await ended();
  return { status: response.status, type: response.headers.get('content-type') ?? '', text };
};

/** An account whose campaign is complete and whose summary was sent; its key, and the mail as it arrived. */
const informed = async (changes: Partial<Config> = {}) => {
  const key = `rl_${randomUUID()}`;
  const owner = await engine.account();
  await verbs.createApiKey(owner.account, now(), randomUUID(), null, await hashKey(key));
  const campaign = await engine.campaign(owner);
  await engine.leads(owner.account, campaign, phones(1));
  await verbs.startCampaign(owner.account, now(), campaign);
  const [call] = await engine.place();
  await engine.tell(owner, call!.call_id, 'completed', scored(90));
  const auth = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  // Any change of an account looks whether a mail is due.
  await ask('/v1/suppressions', { method: 'POST', headers: auth, body: '{"phone":"+14155559999"}' }, changes);
  const mails = (await (await fetch(`${inbox.url}/messages`)).json()) as {
    HtmlBody: string;
    Metadata: Record<string, string>;
    Headers: { Name: string; Value: string }[];
  }[];
  const mail = mails.find(({ Metadata }) => Metadata.campaign_id === campaign);
  const link = /\/links\/[\w.-]+/.exec(mail?.HtmlBody ?? '')?.[0] ?? '';
  const get = async <T>(path: string): Promise<T> => JSON.parse((await ask(path, { headers: auth }, changes)).text) as T;
  return { ...owner, owner, campaign, auth, mail, link, get };
};
const form = (body: string): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/x-www-form-urlencoded' },
  body,
});

test('the link of a mail shows the preferences and changes none; what it shows is changed by POST alone, and one click switches off', async () => {
  const { get, link, mail } = await informed();
  type Preferences = Record<string, boolean>;
  const all = {
    campaign_summary_emails: true,
    hot_lead_emails: true,
    campaign_paused_emails: true,
    nothing_dialled_emails: true,
  };
  for (let i = 0; i < 3; i += 1) {
    const page = await ask(link);
    expect([page.status, page.type]).toEqual([200, 'text/html; charset=utf-8']);
    expect(page.text.match(/Switch off<\/button>/g)).toHaveLength(4);
  }
  expect(await get<Preferences>('/v1/account/notification-preferences')).toEqual(all);
  expect((await ask(link, form('type=hot_lead&on=false'))).text).toContain('Switch on</button>');
  expect(await get<Preferences>('/v1/account/notification-preferences')).toEqual({ ...all, hot_lead_emails: false });
  await ask(link, form('type=hot_lead&on=true'));
  expect(mail?.Headers).toEqual([
    { Name: 'List-Unsubscribe', Value: `<${config.publicUrl}${link}>` },
    { Name: 'List-Unsubscribe-Post', Value: 'List-Unsubscribe=One-Click' },
  ]);
  await ask(link, form('List-Unsubscribe=One-Click'));
  expect(await get<Preferences>('/v1/account/notification-preferences')).toEqual({ ...all, campaign_summary_emails: false });
  expect(await get('/v1/status')).toMatchObject({
    mails_off: [{ type: 'campaign_summary', reason: expect.stringContaining('preferences') }],
  });
});

test('a forged, cut or expired link answers with a page that says so, and changes nothing', async () => {
  const { get, link } = await informed();
  const [body, tag] = link.slice('/links/'.length).split('.') as [string, string];
  const other = Buffer.from(JSON.stringify({ payload: {}, expires: '2099-01-01T00:00:00.000Z' })).toString('base64url');
  const bad = ['/links/x', `/links/${body}`, `/links/${body}.${tag.slice(1)}A`, `/links/${other}.${tag}`, `${link}.${tag}`];
  const refused = async (path: string): Promise<void> => {
    for (const init of [{}, form('type=campaign_summary&on=false')]) {
      const page = await ask(path, init);
      expect([page.status, page.type], path).toEqual([404, 'text/html; charset=utf-8']);
      expect(page.text, path).toContain('links in mails work for seven days');
    }
  };
  for (const path of bad) await refused(path);
  expect(bad).toHaveLength(5);
  engine.pass(7 * 24 * 60 - 1);
  expect((await ask(link)).status).toBe(200);
  engine.pass(1);
  await refused(link);
  expect(await get('/v1/account/notification-preferences')).toMatchObject({ campaign_summary_emails: true });
});

test('a summary that the configuration switches off is skipped with that reason, shown, and sent when a person asks (class 38)', async () => {
  const off = { summaryEnabled: false };
  const { get, campaign, auth, mail } = await informed(off);
  expect(mail).toBeUndefined();
  const { data } = await get<{ data: { id: string; status: string; reason: string }[] }>('/v1/notifications');
  const summary = data.find(({ reason }) => reason.includes('EMAIL_CAMPAIGN_SUMMARY_ENABLED'));
  expect(summary).toMatchObject({ status: 'skipped' });
  expect(await get('/v1/status')).toMatchObject({
    mails_off: [{ type: 'campaign_summary', reason: 'switched off by configuration' }],
  });
  const twice = await Promise.all(
    [1, 2].map(() => ask(`/v1/notifications/${summary!.id}/send`, { method: 'POST', headers: auth }, off)),
  );
  expect(twice.map(({ status }) => status).sort((a, b) => a - b)).toEqual([202, 409]);
  const mails = (await (await fetch(`${inbox.url}/messages`)).json()) as { Metadata: Record<string, string> }[];
  expect(mails.filter(({ Metadata }) => Metadata.campaign_id === campaign)).toHaveLength(1);
});

test('a bounce or a complaint marks the address and is shown; what is no failure, or not ours, marks nothing', async () => {
  const { get, mail } = await informed();
  const basic = (password: string): string => `Basic ${Buffer.from(`postmark:${password}`).toString('base64')}`;
  const hook = (body: object, authorization = basic('webhook-secret')) =>
    ask('/webhooks/mail/postmark', {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  const Metadata = mail!.Metadata;
  const table: [body: object, status: number, problem: string | null][] = [
    [{ RecordType: 'Bounce', Type: 'AutoResponder', Email: 'owner@example.com', Metadata }, 200, null],
    [{ RecordType: 'Delivery', Recipient: 'owner@example.com', Metadata }, 200, null],
    [{ RecordType: 'Bounce', Type: 'HardBounce', Email: 'other@example.com', Metadata }, 200, null],
    [
      { RecordType: 'Bounce', Type: 'HardBounce', Email: 'owner@example.com', Metadata: { notification_id: randomUUID() } },
      200,
      null,
    ],
    [{ RecordType: 'Bounce', Type: 'HardBounce', Email: 'owner@example.com', Metadata }, 200, 'bounced: HardBounce'],
    [{ RecordType: 'SpamComplaint', Type: 'SpamComplaint', Email: 'owner@example.com', Metadata }, 200, 'complained of as spam'],
    // Whatever else a bounce tells or quotes, it is ours by its metadata; a refusal would only have it sent again.
    [{ RecordType: 'Bounce', Type: null, Email: 'owner@example.com', Metadata }, 200, 'bounced: unknown'],
    [{ RecordType: 'Open', Type: 7, Email: null, Metadata: null }, 200, 'bounced: unknown'],
    [{ RecordType: 'Bounce', Type: 'Blocked', Email: 'a\u0000b@example.com', Metadata }, 200, 'bounced: unknown'],
    [
      {
        RecordType: 'Bounce',
        Type: 'Blocked',
        Email: 'owner@example.com',
        Metadata,
        Content: 'Subject: \u0000 \ud800',
        Headers: { a: [] },
      },
      200,
      'bounced: Blocked',
    ],
    [
      { RecordType: 'Bounce', Type: 'MessageTooLarge', Email: 'owner@example.com', Metadata, Content: 'x'.repeat(3_000_000) },
      200,
      'bounced: MessageTooLarge',
    ],
    [
      { RecordType: 'SpamComplaint', Email: 'owner@example.com', Metadata: { ...Metadata, other: 7 } },
      200,
      'complained of as spam',
    ],
    [{ Type: 'HardBounce', Email: 'owner@example.com', Metadata }, 400, 'complained of as spam'],
    [['Bounce'], 400, 'complained of as spam'],
  ];
  expect((await hook(table[4]![0], basic('wrong'))).status).toBe(401);
  expect((await hook(table[4]![0], '')).status).toBe(401);
  for (const [body, status, problem] of table) {
    expect((await hook(body)).status).toBe(status);
    expect(await get('/v1/status'), JSON.stringify(body)).toMatchObject({ email_problem: problem });
  }
  expect(table).toHaveLength(14);
  const { data } = await get<{ data: { status: string; reason: string | null }[] }>('/v1/notifications');
  expect(data).toContainEqual(expect.objectContaining({ status: 'sent', reason: 'complained of as spam' }));
});

test('the page of mails shows which are off, what became of each and why, and sends again what was not sent', async () => {
  const { auth, campaign, owner } = await informed();
  const key = auth.authorization.slice('Bearer '.length);
  const ours = { 'sec-fetch-site': 'same-origin' };
  const signedOut = await ask('/mails');
  expect([signedOut.status, signedOut.text.includes('value="/mails"')]).toEqual([401, true]);
  const signedIn = await app.answer(
    new Request(new URL('/sign-in', config.publicUrl), {
      ...form(`key=${key}&next=/mails`),
      headers: { ...ours, 'content-type': 'application/x-www-form-urlencoded' },
    }),
    invocationOf().invocation,
  );
  expect(signedIn.headers.get('location')).toBe('/mails');
  const headers = {
    ...ours,
    'content-type': 'application/x-www-form-urlencoded',
    cookie: signedIn.headers.get('set-cookie')!.split(';', 1)[0]!,
  };
  const post = (path: string, body = '') => ask(path, { method: 'POST', headers, body });

  const page = await ask('/mails', { headers });
  expect(page.text).toContain('They go to owner@example.com.');
  expect(page.text).toMatch(new RegExp(`pill sent.*href="/campaigns/${campaign}">Spring</a>`, 's'));
  expect(page.text).toContain('the campaign was complete first: they are in its summary');
  expect((await post('/mails/preferences', 'type=nothing_dialled&on=false')).status).toBe(303);
  expect(await verbs.getPreferences(owner.account, now())).toMatchObject({ nothing_dialled_emails: false });
  expect((await post('/mails/preferences', 'type=other&on=false')).status).toBe(400);
  const [mail] = await verbs
    .listNotifications(owner.account, now(), null, 10)
    .then((all) => all.filter(({ status }) => status === 'skipped'));
  expect((await post(`/mails/${mail!.id}/send`)).status).toBe(303);
  expect((await verbs.listNotifications(owner.account, now(), null, 10)).map(({ status }) => status)).toEqual(['sent', 'sent']);
  expect((await post(`/mails/${mail!.id}/send`)).status).toBe(409);
  expect((await post(`/mails/${randomUUID()}/send`)).status).toBe(404);
  expect((await ask(`/mails/${mail!.id}/send`, { method: 'POST', headers: { cookie: headers.cookie } })).status).toBe(403);
});

test('nothing of all that was reported as a failure', () => expect(reports).toEqual([]));
