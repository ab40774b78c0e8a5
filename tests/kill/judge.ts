/** Whether a campaign ended right: by the system's own tables, by the phone network's records, and by the inbox. */
import { Client } from 'pg';
import { expect } from 'vitest';
import type { CallRecord } from '../../local/phone-network/exchange.ts';
import type { CampaignOut, Scene } from '../journey/scene.ts';
import { compareMail, deviations } from '../journey/table.ts';

/** What need not hold of more leads than this share: that the create-call of their last attempt got to the phone network at all. */
const NEVER_ASKED = 0.02;

interface Attempt {
  id: string;
  lead_id: string;
  attempt: number;
  disposition: string | null;
  provider_call_id: string | null;
}

/** What must hold of the tables when all is over: nothing open, and each counter equal to a recount. */
const RIGHT = {
  calls_open: 0,
  open_rows: 0,
  slots_held: 0,
  leads_open: 0,
  attempts_wrong: 0,
  dispositions_wrong: 0,
  mails_open: 0,
};
const RECOUNT = `select
  (select count(*)::int from ringleader.calls where ended_at is null) as calls_open,
  (select count(*)::int from ringleader.open_calls) as open_rows,
  (select count(*)::int from ringleader.calls where reserved_at is not null and released_at is null) as slots_held,
  (select count(*)::int from ringleader.leads where status in ('waiting', 'calling')) as leads_open,
  (select count(*)::int from ringleader.leads l
    where l.attempts <> (select count(*) from ringleader.calls c where c.lead_id = l.id and c.disposition is not null)) as attempts_wrong,
  (select count(*)::int from ringleader.leads l where l.disposition is distinct from
    (select c.disposition from ringleader.calls c where c.lead_id = l.id and c.disposition is not null order by c.attempt desc limit 1)) as dispositions_wrong,
  (select count(*)::int from ringleader.notifications where status in ('pending', 'sending')) as mails_open`;
const counted = (values: readonly (string | null)[]): Record<string, number> =>
  Object.fromEntries([...Map.groupBy(values, String)].map(([value, of]) => [value, of.length]));

const withDatabase = async <T>(scene: Scene, work: (client: Client) => Promise<T>): Promise<T> => {
  const client = new Client({ connectionString: scene.ready.database_url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
};

/** How a call ended, by the phone network's records: what the product must have made of it. */
const endOf = ({ status, recipient_phone_number }: CallRecord): string => {
  const digits = Number(String(recipient_phone_number).slice(-2));
  const ends = { 'no-answer': 'no_answer', busy: 'busy', failed: 'failed', stopped: 'canceled' };
  if (status === 'completed') return digits >= 75 && digits <= 84 ? 'voicemail' : 'completed';
  return ends[status as keyof typeof ends] ?? `still ${status}`;
};

/** Call by call: what the phone network made of each attempt, and what the tables say of it. */
const compareCalls = (records: readonly CallRecord[], attempts: readonly Attempt[]): void => {
  const attemptOf = ({ user_data }: CallRecord): string => (user_data as { attempt_id: string }).attempt_id;
  const made = records.filter(({ execution_id }) => execution_id !== null);
  expect(new Set(made.map(attemptOf)).size).toBe(made.length);
  const known = new Map(attempts.map((attempt) => [attempt.id, attempt]));
  const wrong = made.flatMap((record) => {
    const attempt = known.get(attemptOf(record));
    const seen = [attempt?.provider_call_id, attempt?.disposition];
    const expected = [record.execution_id, endOf(record)];
    return JSON.stringify(seen) === JSON.stringify(expected) ? [] : [{ phone: record.recipient_phone_number, seen, expected }];
  });
  expect(wrong).toEqual([]);
  // What never became a call there was given back undialled, or its end is not known.
  const placed = new Set(made.map(attemptOf));
  const others = attempts.filter(({ id, disposition }) => !placed.has(id) && disposition !== null);
  expect(others.filter(({ disposition, provider_call_id }) => disposition !== 'unknown' || provider_call_id !== null)).toEqual(
    [],
  );
};

/** The leads whose last attempt ended unknown and never got to the phone network: its create-call was lost on the way. */
const neverAsked = (records: readonly CallRecord[], attempts: readonly Attempt[], maxAttempts: number): Set<string> => {
  const asked = new Set(records.map(({ user_data }) => (user_data as { attempt_id: string }).attempt_id));
  const lost = attempts.filter(
    ({ id, attempt, disposition }) => attempt === maxAttempts && disposition === 'unknown' && !asked.has(id),
  );
  return new Set(lost.map(({ lead_id }) => lead_id));
};

/** Each mail by its notification, and the one summary right to the row. */
const compareMails = async (scene: Scene, campaign: string): Promise<void> => {
  await compareMail(scene, campaign);
  expect(await scene.summaries()).toHaveLength(1);
  const notifications = (await scene.mails()).map(({ Metadata }) => Metadata['notification_id']);
  expect(new Set(notifications).size).toBe(notifications.length);
};

export interface Verdict {
  /** Leads whose last create-call got lost on the way. */
  last_call_never_asked: number;
  dispositions: Record<string, number>;
}

/** Judges a campaign that is complete. @throws what does not hold */
export const judge = async (scene: Scene, campaign: string, leads: number, maxAttempts: number): Promise<Verdict> => {
  const records = await scene.network<CallRecord[]>('/calls');
  const { attempts, ends, recount } = await withDatabase(scene, async (client) => ({
    attempts: (await client.query<Attempt>('select id, lead_id, attempt, disposition, provider_call_id from ringleader.calls'))
      .rows,
    ends: (await client.query<{ status: string; temperature: string | null }>('select status, temperature from ringleader.leads'))
      .rows,
    recount: (await client.query<object>(RECOUNT)).rows[0],
  }));
  expect(recount).toEqual(RIGHT);

  const rules = { maxAttempts, noAnswer: true, busy: true, unknown: true };
  const { compared, wrong } = await deviations(scene, campaign, rules, false);
  const lost = neverAsked(records, attempts, maxAttempts);
  const excused = wrong.filter(({ lead }) => lost.has(lead)).length;
  expect(wrong.filter(({ lead }) => !lost.has(lead))).toEqual([]);
  expect(excused).toBeLessThanOrEqual(leads * NEVER_ASKED);
  expect(compared).toBe(leads);

  compareCalls(records, attempts);
  const stats = await scene.stats();
  expect(stats).toMatchObject({ live: 0, ceiling_violations: 0, duplicate_creates: 0, dials_while_on_a_call: 0 });

  const ended = attempts.filter(({ disposition }) => disposition !== null);
  const dispositions = counted(ended.map(({ disposition }) => disposition));
  const { counts, progress, hot_leads } = await scene.api<CampaignOut>('GET', `/v1/campaigns/${campaign}`);
  expect({ counts, progress }).toEqual({
    counts: { leads: counted(ends.map(({ status }) => status)), calls: dispositions },
    progress: 1,
  });
  expect(hot_leads).toBe(ends.filter(({ temperature }) => temperature === 'hot').length);
  await compareMails(scene, campaign);
  return { last_call_never_asked: excused, dispositions };
};
