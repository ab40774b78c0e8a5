/** The number table, run: campaigns over all its rows, and every lead compared with what the table says. */
import { Client } from 'pg';
import { expect } from 'vitest';
import { readCsv } from '../mail/rfc4180.ts';
import type { CallRecord } from '../../local/phone-network/exchange.ts';
import { expectedEnd, type Rules } from './digits.ts';
import { type CampaignOut, type LeadOut, type MailOut, type Scene, summaryOf } from './scene.ts';

/** `n` numbers through all pairs of last digits, beginning with `first`. */
export const numbers = (prefix: string, n: number): string[] =>
  Array.from({ length: n }, (_, i) => `${prefix}${String(i).padStart(4, '0')}`);

export interface Deviation {
  lead: string;
  phone: string;
  seen: object;
  expected: object;
}

/** The leads that did not end as the table says, and how many were compared. */
export const deviations = async (
  scene: Scene,
  campaign: string,
  rules: Rules,
  exact: boolean,
): Promise<{ compared: number; wrong: Deviation[] }> => {
  const leads = await scene.all<LeadOut>(`/v1/campaigns/${campaign}/leads`);
  const wrong = leads.flatMap((lead) => {
    const { attempts, ...end } = expectedEnd(lead.phone, rules);
    const seen = { status: lead.status, disposition: lead.disposition, score: lead.score, temperature: lead.temperature };
    const same = JSON.stringify(seen) === JSON.stringify(end) && (!exact || lead.attempts === attempts);
    const { id, phone } = lead;
    return same ? [] : [{ lead: id, phone, seen: { ...seen, attempts: lead.attempts }, expected: { ...end, attempts } }];
  });
  return { compared: leads.length, wrong };
};

/** The end of every lead, compared with the table; answers how many leads were compared. */
export const compareLeads = async (scene: Scene, campaign: string, rules: Rules, exact: boolean): Promise<number> => {
  const { compared, wrong } = await deviations(scene, campaign, rules, exact);
  expect(wrong).toEqual([]);
  return compared;
};

/** From which event on a line is free, in Bolna's words. */
const FREE = /^(call-disconnected|no-answer|busy|failed|stopped)$/;

/** The most calls of a campaign at Bolna that were on the line at one time, by the network's own records. */
export const mostAtOnce = async (scene: Scene, campaign: string): Promise<number> => {
  const calls = await scene.network<CallRecord[]>('/calls');
  const steps = calls.flatMap(({ user_data, execution_id, received_at, events }) => {
    const mine = (user_data as Record<string, unknown> | null)?.['campaign_id'] === campaign && execution_id !== null;
    const end = events.find(({ status }) => FREE.test(status))?.at ?? '9999';
    return mine ? [[received_at, 1] as const, [end, -1] as const] : [];
  });
  expect(steps.length).toBeGreaterThan(0);
  // An end and a beginning at the same instant do not overlap.
  steps.sort(([a, up], [b, other]) => (a === b ? up - other : a < b ? -1 : 1));
  let live = 0;
  return Math.max(...steps.map(([, step]) => (live += step)));
};

/** What stands beside a label; thousands are written with a comma. */
const figure = (text: string, label: string): string | undefined =>
  new RegExp(`^\\s*${label}\\s*:?\\s+(\\S.*?)\\s*$`, 'im').exec(text)?.[1]?.replaceAll(',', '');

interface Truth {
  leads: number;
  dialled: number;
  reached: number;
  seconds: number;
  completed: number;
  dispositions: Record<string, number>;
  hot: { name: string; phone: string; score: number }[];
}

/** The campaign as the database has it, asked in words of the test's own. */
const truthOf = async (databaseUrl: string, campaign: string): Promise<Truth> => {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const one = await client.query<Omit<Truth, 'hot'>>(
      `select count(*)::int as leads, count(*) filter (where attempts > 0)::int as dialled, count(*) filter (where status = 'reached')::int as reached,
         (select coalesce(sum(duration_seconds), 0)::float from ringleader.calls where campaign_id = $1 and disposition = 'completed') as seconds,
         (select count(*)::int from ringleader.calls where campaign_id = $1 and disposition = 'completed') as completed,
         (select jsonb_object_agg(disposition, n) from (select disposition, count(*) as n from ringleader.calls where campaign_id = $1 and disposition is not null group by 1) d) as dispositions
       from ringleader.leads where campaign_id = $1`,
      [campaign],
    );
    const hot = await client.query<Truth['hot'][number]>(
      `select l.name, l.phone, l.score from ringleader.leads l join ringleader.calls c on c.lead_id = l.id and c.attempt = l.attempts and c.disposition = 'completed'
       where l.campaign_id = $1 and l.temperature = 'hot' order by l.score desc, c.placed_at desc, l.id`,
      [campaign],
    );
    return { ...one.rows[0], hot: hot.rows };
  } finally {
    await client.end();
  }
};

/** The mail, its top five and its attachment against the database, row for row. */
export const compareMail = async (scene: Scene, campaign: string): Promise<MailOut> => {
  const mails = await summaryOf(scene, campaign, 30_000);
  expect(mails).toHaveLength(1);
  const [mail] = mails as [MailOut];
  const truth = await truthOf(scene.ready.database_url, campaign);
  const { name } = await scene.api<CampaignOut & { name: string }>('GET', `/v1/campaigns/${campaign}`);
  const n = truth.hot.length;
  expect(mail.Subject).toBe(`Campaign complete: ${name} — ${n} hot lead${n === 1 ? '' : 's'}`);
  expect(figure(mail.TextBody, 'Leads')).toBe(String(truth.leads));
  expect(figure(mail.TextBody, 'Reached')).toBe(String(truth.reached));
  expect(figure(mail.TextBody, 'Success rate')).toBe(`${Math.round((100 * truth.reached) / truth.dialled)}%`);
  expect(figure(mail.TextBody, 'Average minutes')).toBe(
    (Math.round((truth.seconds / truth.completed / 60) * 10) / 10).toFixed(1),
  );
  const said = Object.keys(truth.dispositions).map((name) => [name, figure(mail.TextBody, name.replace('_', ' '))]);
  expect(said).toEqual(Object.entries(truth.dispositions).map(([name, n]) => [name, String(n)]));
  const [csv] = mail.Attachments;
  const text = Buffer.from(csv.Content, 'base64').toString('utf8');
  expect(text.charCodeAt(0)).toBe(0xfeff);
  const [header, ...rows] = readCsv(text.slice(1));
  expect(header).toEqual(['name', 'phone', 'score', 'temperature', 'email', 'company', 'call_at', 'summary']);
  expect(rows.map((row) => [row[0], row[1], Number(row[2]), row[3]])).toEqual(
    truth.hot.map((lead) => [lead.name, lead.phone, lead.score, 'hot']),
  );
  const inline = [...mail.TextBody.matchAll(/\+\d{7,15}/g)].map(([phone]) => phone);
  expect(inline).toEqual(truth.hot.slice(0, 5).map((lead) => lead.phone));
  for (const lead of truth.hot.slice(0, 5)) expect(mail.HtmlBody).toContain(lead.phone);
  return mail;
};
