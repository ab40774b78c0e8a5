import { expect, test, vi } from 'vitest';
import { openLink } from '../../lib/auth.ts';
import type { ReportContext } from '../../lib/deps.ts';
import type { Config } from '../../lib/env.ts';
import { DbError, type ErrorType } from '../../lib/errors.ts';
import { MESSAGE_LIMIT, type Mail, type Mailer, type MailResult } from '../../lib/mail.ts';
import { offTypes, sendNotification, sweep, type MailDeps } from '../../lib/summarise.ts';
import type { HotLead, MailToLookUp, NoticeData, SummaryData, TakenNotification } from '../../lib/verb-shapes.ts';
import type { Verbs } from '../../lib/verbs.ts';
import { readCsv } from './rfc4180.ts';

const ACCOUNT = '10000000-0000-4000-8000-000000000001';
const CAMPAIGN = '20000000-0000-4000-8000-000000000001';
const id = (n: number): string => `30000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
const taken = (changes: Partial<TakenNotification> = {}): TakenNotification => ({
  id: id(1),
  account_id: ACCOUNT,
  account_name: 'Northwind',
  account_timezone: 'Europe/Berlin',
  type: 'campaign_summary',
  campaign_id: CAMPAIGN,
  recipient: 'owner@example.com',
  attempts: 1,
  detail: null,
  token: id(9),
  lease_until: '2026-07-02T12:20:00.000Z',
  ...changes,
});
const figures: SummaryData = {
  campaign_id: CAMPAIGN,
  campaign_name: 'Spring / 2026',
  account_name: 'Northwind',
  timezone: 'Europe/Berlin',
  leads: 60,
  dialled: 58,
  reached: 41,
  hot_leads: 2,
  completed_seconds: 3567,
  completed_calls: 41,
  dispositions: { completed: 41 },
  lead_statuses: {},
};
const hotLead = (n: number, changes: Partial<HotLead> = {}): HotLead => ({
  lead_id: id(n),
  name: `Lead ${n}`,
  phone: `+1415555${String(n).padStart(4, '0')}`,
  score: 90,
  temperature: 'hot',
  email: null,
  company: null,
  call_at: '2026-07-01T10:00:00.000Z',
  summary: null,
  ...changes,
});
const databaseDown = new DbError('the connection was lost', {
  code: undefined,
  phase: 'sent',
  outcome: 'unknown',
  verb: 'summary_data',
  errorType: 'database_query_error',
});

/** Everything that was done to the outside, in order. */
interface World {
  deps: MailDeps & { elapsedMs(): number };
  sent: Mail[];
  recorded: { id: string; result: string; reason: string | null; messageId: string | null }[];
  reports: { type: ErrorType; error: unknown; context: ReportContext }[];
  asked: { sweeps: unknown[][]; found: string[]; lookups: number; pages: number };
}
interface Setting {
  verbs?: Partial<Verbs>;
  answers?: MailResult[];
  due?: (TakenNotification | null)[];
  lookUp?: MailToLookUp[];
  find?: Mailer['find'];
  hot?: HotLead[];
  config?: Partial<Config>;
  elapsed?: () => number;
}
const world = ({
  verbs = {},
  answers = [],
  due = [],
  lookUp = [],
  find = () => Promise.reject(new Error('find was not expected')),
  hot = [hotLead(1), hotLead(2)],
  config = {},
  elapsed = () => 0,
}: Setting = {}): World => {
  const sent: Mail[] = [];
  const recorded: World['recorded'] = [];
  const reports: World['reports'] = [];
  const asked: World['asked'] = { sweeps: [], found: [], lookups: 0, pages: 0 };
  const fake: Partial<Verbs> = {
    summaryData: () => Promise.resolve(figures),
    listHotLeads: (_account, _now, _campaign, after, limit) => {
      asked.pages += 1;
      const from = 1 + hot.findIndex(({ lead_id }) => lead_id === after?.lead_id);
      return Promise.resolve(hot.slice(from, from + limit));
    },
    sweepNotifications: (...args) => {
      asked.sweeps.push(args);
      const next = due.shift();
      return Promise.resolve({ taken: next ? [next] : [], look_up: asked.sweeps.length === 1 ? lookUp : [], completed: 1 });
    },
    recordNotification: (_account, _now, notification, result, reason, messageId) => {
      recorded.push({ id: notification, result, reason, messageId });
      return Promise.resolve(result === 'again' ? 'pending' : result);
    },
    noteLookup: () => Promise.resolve((asked.lookups += 1) > 3),
    ...verbs,
  };
  return {
    sent,
    recorded,
    reports,
    asked,
    deps: {
      config: {
        publicUrl: 'https://ringleader.example',
        secretsKey: Buffer.alloc(32, 7).toString('base64'),
        summaryEnabled: true,
        ...config,
      } as Config,
      now: () => new Date('2026-07-02T12:00:00Z'),
      elapsedMs: elapsed,
      newId: () => id(900),
      verbs: new Proxy(fake as Verbs, {
        get: (target, name: keyof Verbs) => target[name] ?? (() => Promise.reject(new Error(`${name} was not expected`))),
      }),
      mail: {
        send: (mail) => {
          sent.push(mail);
          return Promise.resolve(answers.shift() ?? { outcome: 'sent', messageId: `m-${sent.length}` });
        },
        find,
      },
      report: (type, error, context = {}) => void reports.push({ type, error, context }),
    },
  };
};

test('a summary is composed from the data, sent once with its metadata, and recorded with its message id', async () => {
  const w = world();
  expect(await sendNotification(w.deps, taken())).toBe('sent');
  expect(w.sent).toHaveLength(1);
  const [mail] = w.sent;
  expect(mail).toMatchObject({
    to: 'owner@example.com',
    subject: 'Campaign complete: Spring / 2026 — 2 hot leads',
    metadata: { notification_id: id(1), campaign_id: CAMPAIGN, type: 'campaign_summary' },
    attachments: [{ name: 'Spring_2026_hot_leads.csv', contentType: 'text/csv' }],
  });
  for (const body of [mail?.html, mail?.text]) {
    expect(body).toContain(`https://ringleader.example/campaigns/${CAMPAIGN}`);
    expect(body).toMatch(/https:\/\/ringleader\.example\/links\/[\w.-]+/);
    expect(body).toContain('+14155550001');
    expect(body).toContain('71%');
  }
  const csv = Buffer.from(mail?.attachments[0]?.base64 ?? '', 'base64').toString('utf8');
  expect(
    readCsv(csv.slice(1))
      .slice(1)
      .map(([name, , , , , , at]) => [name, at]),
  ).toEqual([
    ['Lead 1', '2026-07-01T12:00:00+02:00'],
    ['Lead 2', '2026-07-01T12:00:00+02:00'],
  ]);
  expect(w.recorded).toEqual([{ id: id(1), result: 'sent', reason: null, messageId: 'm-1' }]);
  expect(w.reports).toEqual([]);
});

test('without hot leads there is no attachment', async () => {
  const w = world({ hot: [], verbs: { summaryData: () => Promise.resolve({ ...figures, hot_leads: 0 }) } });
  await sendNotification(w.deps, taken());
  expect(w.sent[0]?.attachments).toEqual([]);
  expect(w.sent[0]?.text).toContain('No hot leads this time.');
});

test('the mail agrees with its attachment even when a hot lead came in between', async () => {
  const w = world({ hot: [hotLead(1), hotLead(2), hotLead(3)] });
  await sendNotification(w.deps, taken());
  expect(w.sent[0]?.subject).toMatch(/ — 3 hot leads$/);
  expect(w.sent[0]?.text).toContain('3 hot leads');
});

test('a list above the size limit becomes a signed link, and nothing more is read than fits a mail', async () => {
  const many = Array.from({ length: 50_000 }, (_, i) => hotLead(i + 1, { summary: 'x'.repeat(500) }));
  const w = world({ hot: many, verbs: { summaryData: () => Promise.resolve({ ...figures, hot_leads: 50_000 }) } });
  expect(await sendNotification(w.deps, taken())).toBe('sent');
  const [mail] = w.sent;
  expect(mail?.attachments).toEqual([]);
  expect(mail?.subject).toMatch(/ — 50000 hot leads$/);
  const links = [mail?.html, mail?.text].map(
    (body) => /https:\/\/ringleader\.example\/links\/([\w.-]+)/.exec(body ?? '')?.[1] ?? '',
  );
  expect(links[0]).toBe(links[1]);
  const { secretsKey } = w.deps.config;
  const inDays = (days: number): Date => new Date(w.deps.now().getTime() + days * 86_400_000);
  expect(await openLink(secretsKey, links[0] ?? '', inDays(6.9))).toEqual({
    account_id: ACCOUNT,
    action: 'hot_leads_csv',
    campaign_id: CAMPAIGN,
  });
  expect(await openLink(secretsKey, links[0] ?? '', inDays(7.1))).toBeNull();
  expect(w.asked.pages).toBeLessThan(15);
});

test('the largest attachment still fits a message', async () => {
  const rows = 12_000;
  const w = world({ hot: Array.from({ length: rows }, (_, i) => hotLead(i + 1, { summary: 'y'.repeat(460) })) });
  await sendNotification(w.deps, taken());
  const mail = w.sent[0];
  const size = Buffer.byteLength((mail?.html ?? '') + (mail?.text ?? '')) + (mail?.attachments[0]?.base64.length ?? 0);
  expect(mail?.attachments).toHaveLength(1);
  expect(size).toBeGreaterThan(8_000_000);
  expect(size).toBeLessThan(MESSAGE_LIMIT);
});

test('every end of a send is recorded with its reason and reported once (classes 32, 34)', async () => {
  const table: [result: MailResult, attempts: number, recorded: string, reports: number][] = [
    [{ outcome: 'sent', messageId: 'm' }, 1, 'sent', 0],
    [{ outcome: 'refused', reason: 'inactive' }, 1, 'failed', 1],
    [{ outcome: 'refused', reason: 'inactive' }, 4, 'failed', 1],
    [{ outcome: 'unknown', reason: 'lost' }, 1, 'unknown', 0], // reported when the look-ups have found nothing
    [{ outcome: 'unknown', reason: 'lost' }, 3, 'unknown', 0],
    [{ outcome: 'later', reason: 'answered 429' }, 1, 'again', 1],
    [{ outcome: 'later', reason: 'answered 429' }, 2, 'again', 0],
  ];
  for (const [result, attempts, outcome, reports] of table) {
    const w = world({ answers: [result] });
    expect(await sendNotification(w.deps, taken({ attempts }))).toBe(outcome);
    expect(w.sent).toHaveLength(1);
    const reason = result.outcome === 'sent' ? null : result.reason;
    expect(w.recorded).toEqual([{ id: id(1), result: outcome, reason, messageId: result.outcome === 'sent' ? 'm' : null }]);
    expect(w.reports, JSON.stringify(result)).toHaveLength(reports);
    for (const { type, context } of w.reports) {
      expect(type).toBe('campaign_summary_email_failed');
      expect(context).toMatchObject({ campaign_id: CAMPAIGN, notification_id: id(1), outcome });
      expect(JSON.stringify(context)).not.toContain('@');
    }
  }
  expect(table).toHaveLength(7);
});

test('a summary that cannot be made is not sent: it is tried again when the database was away, failed when it never can be', async () => {
  const table: [verbs: Partial<Verbs>, recorded: string, reason: RegExp][] = [
    [{ summaryData: () => Promise.reject(databaseDown) }, 'again', /database did not answer/],
    [{ listHotLeads: () => Promise.reject(databaseDown) }, 'again', /database did not answer/],
    [{ summaryData: () => Promise.resolve(null) }, 'failed', /no longer exists/],
    [{ summaryData: () => Promise.reject(new TypeError('secret +14155550100')) }, 'failed', /could not be composed: TypeError$/],
    [
      { summaryData: () => Promise.resolve({ ...figures, timezone: 'Not/AZone' }) },
      'failed',
      /could not be composed: RangeError$/,
    ],
  ];
  for (const [verbs, result, reason] of table) {
    const w = world({ verbs });
    expect(await sendNotification(w.deps, taken())).toBe(result);
    expect(w.sent).toEqual([]);
    expect(w.recorded).toEqual([{ id: id(1), result, reason: expect.stringMatching(reason), messageId: null }]);
    expect(w.reports.map(({ type }) => type)).toEqual(['campaign_summary_generation_failed']);
  }
  expect(table).toHaveLength(5);
});

test('a record that fails is reported once and never leads to a second send', async () => {
  const recordNotification = (): Promise<never> => Promise.reject(databaseDown);
  const sent = world({ verbs: { recordNotification } });
  expect(await sendNotification(sent.deps, taken())).toBe('sent');
  expect(sent.sent).toHaveLength(1);
  expect(sent.reports).toMatchObject([{ type: 'campaign_summary_email_failed', context: { stage: 'record', outcome: 'sent' } }]);
  const refused = world({ verbs: { recordNotification }, answers: [{ outcome: 'refused', reason: 'inactive' }] });
  await sendNotification(refused.deps, taken());
  expect(refused.reports).toMatchObject([{ context: { stage: 'send', outcome: 'failed' } }]);
});

test('a transient failure that is given up after a day is reported then', async () => {
  const w = world({
    answers: [{ outcome: 'later', reason: 'answered 429' }],
    verbs: { recordNotification: () => Promise.resolve('failed') },
  });
  await sendNotification(w.deps, taken({ attempts: 9 }));
  expect(w.reports).toMatchObject([{ type: 'campaign_summary_email_failed', context: { attempt: 9 } }]);
});

test('what ends a mail is told before it is recorded: a worker that dies in between leaves no failure in silence (class 34)', async () => {
  const never = (): Promise<never> => new Promise(() => undefined);
  const w = world({ answers: [{ outcome: 'refused', reason: 'inactive' }], verbs: { recordNotification: never } });
  void sendNotification(w.deps, taken());
  await vi.waitFor(() => expect(w.reports).toMatchObject([{ context: { stage: 'send', outcome: 'failed' } }]));
});

test('a mail of unknown end is looked up and never sent again: found it is sent, not found it is reported once, at the last look-up', async () => {
  const mail: MailToLookUp = {
    id: id(1),
    account_id: ACCOUNT,
    campaign_id: CAMPAIGN,
    type: 'campaign_summary',
    nth: 0,
    last: false,
    overdue: false,
  };
  const found = world({ lookUp: [mail], find: () => Promise.resolve({ messageId: 'm-9' }) });
  await sweep(found.deps);
  expect(found.recorded).toEqual([{ id: id(1), result: 'sent', reason: null, messageId: 'm-9' }]);
  expect([found.sent, found.reports]).toEqual([[], []]);
  const early = world({ lookUp: [mail], find: () => Promise.resolve(null) });
  await sweep(early.deps);
  expect([early.sent, early.recorded, early.reports, early.asked.lookups]).toEqual([[], [], [], 1]);
  const lost = world({ lookUp: [{ ...mail, last: true }], find: () => Promise.resolve(null) });
  await sweep(lost.deps);
  expect(lost.asked.lookups).toBe(1);
  expect(lost.reports).toMatchObject([{ type: 'campaign_summary_email_failed', context: { outcome: 'unknown' } }]);
  const away = world({ lookUp: [mail], find: () => Promise.reject(new Error('away')) });
  await sweep(away.deps);
  expect([away.asked.lookups, away.reports.length]).toEqual([0, 1]);
});

test('a summary switched off by configuration is named to the database, which skips it with that reason (class 38)', async () => {
  expect(offTypes({ summaryEnabled: true })).toEqual([]);
  expect(offTypes({ summaryEnabled: false })).toEqual(['campaign_summary']);
  const w = world({ config: { summaryEnabled: false } });
  await sweep(w.deps);
  expect(w.asked.sweeps[0]?.at(-1)).toEqual(['campaign_summary']);
  expect(w.sent).toEqual([]);
});

test('a sweep sends what is due, one at a time, and a mail that fails never touches the next', async () => {
  const due = Array.from({ length: 5 }, (_, i) => taken({ id: id(i + 1) }));
  let asked = 0;
  const w = world({
    due,
    answers: [
      { outcome: 'sent', messageId: 'm' },
      { outcome: 'refused', reason: 'r' },
      { outcome: 'unknown', reason: 'u' },
    ],
    verbs: { summaryData: () => ((asked += 1) === 4 ? Promise.reject(new TypeError('broken')) : Promise.resolve(figures)) },
  });
  expect(await sweep(w.deps)).toEqual({ sent: 2, tried: 5, completed: 6 });
  expect(w.recorded.map(({ result }) => result)).toEqual(['sent', 'failed', 'unknown', 'failed', 'sent']);
  expect(w.sent).toHaveLength(4);
  expect(w.reports).toHaveLength(2);
});

test('a sweep is bounded in mails and in time, and takes none that it will not send', async () => {
  const many = (): TakenNotification[] => Array.from({ length: 100 }, (_, i) => taken({ id: id(i + 1) }));
  const full = world({ due: many() });
  expect((await sweep(full.deps)).tried).toBe(30);
  expect(full.asked.sweeps).toHaveLength(30);
  let elapsed = 0;
  const slow = world({ due: many(), elapsed: () => (elapsed += 5000) });
  expect((await sweep(slow.deps)).tried).toBe(3);
  expect(slow.recorded).toHaveLength(slow.asked.sweeps.length);
});

test('the other mails tell of a pause, of hot leads and of a silent day, escaped', async () => {
  const noticeData = (): Promise<NoticeData> =>
    Promise.resolve({
      campaign_id: CAMPAIGN,
      campaign_name: 'Spring <3',
      status: 'paused',
      agent: { id: id(7), name: 'Ann' },
      pause_reason: 'balance <b>too low</b>',
      waiting: 12,
      hot_leads: [
        {
          lead_id: id(1),
          name: '<script>alert(1)</script>',
          phone: '+14155550100',
          company: null,
          score: 92,
          evidence: 'Wants it',
        },
      ],
      failed_calls: [{ name: 'Ann <b>', phone: '+14155550111', disposition: 'failed', reason: 'no route' }],
    });
  const table: [type: TakenNotification['type'], subject: string, says: string][] = [
    ['campaign_paused', 'Campaign paused: Spring <3', 'too low'],
    ['hot_lead', '1 hot lead in Spring <3', '+14155550100'],
    ['nothing_dialled', 'Nothing dialled for a day: Spring <3', '12 leads wait'],
  ];
  for (const [type, subject, says] of table) {
    const w = world({ verbs: { noticeData } });
    expect(await sendNotification(w.deps, taken({ type })), type).toBe('sent');
    expect(w.sent[0]).toMatchObject({ subject, text: expect.stringContaining(says), metadata: { type } });
    expect(w.sent[0]?.html).toContain(says);
    expect(w.sent[0]?.html).not.toMatch(/<script>alert|<b>too low/);
    const [, token] = /\/links\/([\w.-]+)/.exec(w.sent[0]?.text ?? '') ?? [];
    expect(await openLink(w.deps.config.secretsKey, token ?? '', w.deps.now())).toEqual({
      account_id: ACCOUNT,
      action: 'preference',
      type,
    });
  }
  expect(table).toHaveLength(3);
});

test('a mail of hot leads says that the campaign goes on only while it does', async () => {
  const hot = { lead_id: id(1), name: 'Ann', phone: '+14155550100', company: null, score: 92, evidence: null };
  const told = { campaign_id: CAMPAIGN, campaign_name: 'Spring', agent: null, pause_reason: null, waiting: 0, failed_calls: [] };
  const textOf = async (status: NoticeData['status']): Promise<string> => {
    const noticeData = (): Promise<NoticeData> => Promise.resolve({ ...told, status, hot_leads: [hot] });
    const w = world({ verbs: { noticeData } });
    expect(await sendNotification(w.deps, taken({ type: 'hot_lead' }))).toBe('sent');
    return w.sent[0]!.text;
  };
  expect(await textOf('active')).toContain('The campaign goes on. Further hot leads follow');
  for (const status of ['paused', 'completed', 'canceled'] as const) {
    const text = await textOf(status);
    expect(text).toContain(`The campaign is ${status}.`);
    expect(text).not.toMatch(/goes on|follow/);
  }
});

test('an agent that is refused while no campaign of it runs is told by its name, with the way to lift the pause', async () => {
  const told: NoticeData = {
    campaign_id: null,
    campaign_name: null,
    status: null,
    agent: { id: id(7), name: 'Ann <b>' },
    pause_reason: '402: no credit',
    waiting: 0,
    hot_leads: [],
    failed_calls: [],
  };
  const w = world({ verbs: { noticeData: () => Promise.resolve(told) } });
  expect(await sendNotification(w.deps, taken({ type: 'campaign_paused', campaign_id: null }))).toBe('sent');
  expect(w.sent[0]).toMatchObject({ subject: 'Voice agent paused: Ann <b>', metadata: { type: 'campaign_paused' } });
  expect(w.sent[0]?.metadata).not.toHaveProperty('campaign_id');
  for (const body of [w.sent[0]!.text, w.sent[0]!.html]) {
    expect(body).toContain('402: no credit');
    expect(body).toContain(`PATCH /v1/agents/${id(7)}`);
  }
  expect(w.sent[0]?.html).not.toContain('Ann <b>');
  const gone = world({ verbs: { noticeData: () => Promise.resolve({ ...told, agent: null }) } });
  expect(await sendNotification(gone.deps, taken({ type: 'campaign_paused', campaign_id: null }))).toBe('failed');
});
