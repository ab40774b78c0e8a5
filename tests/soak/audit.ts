/** What the soak is judged by: triggers that write down what every commit did, and questions asked when all is over. */
import type { Pool } from 'pg';
import { watchCaps } from '../support/watch-caps.ts';
import type { World } from './world.ts';

/** Every change of a call's state, in the order of commits to that call. */
const MOVES = `
  create table watch.moves (seq bigint generated always as identity, call_id uuid not null, was text not null, becomes text not null);
  create function watch.move() returns trigger language plpgsql security definer as $$
  begin
    insert into watch.moves (call_id, was, becomes) values (new.id, old.status, new.status);
    return null;
  end $$;
  create trigger moves after update of status on ringleader.calls for each row when (old.status <> new.status) execute function watch.move();`;

/** Installs the triggers. @param pool a superuser's */
export const watch = async (pool: Pool, systemCap: number): Promise<void> => {
  await pool.query(watchCaps(systemCap) + MOVES);
};

/** A question whose rows are violations. */
interface Question {
  invariant: string;
  sql: string;
}
const FINAL = `('completed', 'no_answer', 'busy', 'voicemail', 'failed', 'canceled')`;
const LIVE = 'reserved_at is not null and released_at is null';

/** Of what was true all along. */
const SAFETY: readonly Question[] = [
  { invariant: '#1 a cap was exceeded at a commit', sql: 'select cap, live, allowed from watch.counted where live > allowed' },
  {
    invariant: '#4 two calls at once to one number in an account',
    sql: `select account_id, count(*) from ringleader.calls where ${LIVE} group by account_id, phone having count(*) > 1`,
  },
  {
    invariant: '#4 an attempt of a lead was made twice',
    sql: `select lead_id, attempt from ringleader.calls where disposition is not null and direction = 'outbound' and lead_id is not null group by 1, 2 having count(*) > 1`,
  },
  {
    invariant: '#6 a call left its end',
    sql: `select * from watch.moves where was in ${FINAL} and not (was = 'completed' and becomes = 'voicemail')`,
  },
  {
    invariant: '#6 a call went back',
    sql: `select * from watch.moves where ringleader.call_rank(becomes) < ringleader.call_rank(was) and not (was in ('reserved', 'placing') and becomes = 'waiting')`,
  },
  {
    invariant: '#6 a call ended twice',
    sql: `select call_id from watch.moves where becomes in ${FINAL} and was <> 'completed' group by 1 having count(*) > 1`,
  },
  {
    invariant: '#6 what a campaign counts is not how its calls ended',
    sql: `with ends as (
        select c.campaign_id, e.becomes as disposition, count(*) as n from ringleader.calls c
        cross join lateral (select m.becomes from watch.moves m where m.call_id = c.id order by m.seq desc limit 1) e
        where c.campaign_id is not null and c.disposition is not null group by 1, 2
      ), told as (
        select k.id as campaign_id, t.key as disposition, t.value::bigint as n from ringleader.campaigns k
        cross join lateral jsonb_each_text(ringleader.campaign_json(k) -> 'counts' -> 'calls') t
      )
      (table ends except table told) union all (table told except table ends)`,
  },
  {
    invariant: '#9 a lead’s attempts are not its dials',
    sql: `select l.id, l.attempts from ringleader.leads l where l.status <> 'calling' and l.attempts <> (
        select count(*) from ringleader.calls c where c.lead_id = l.id and c.disposition is not null and c.placing_at is not null and c.direction = 'outbound') - (l.status = 'invalid')::int`,
  },
  {
    invariant: '#9 a lead was dialled more often than it may be',
    sql: 'select l.id from ringleader.leads l join ringleader.campaigns k on k.id = l.campaign_id where l.attempts > k.max_attempts',
  },
  {
    invariant: '#7 a campaign has several summaries',
    sql: `select campaign_id from ringleader.notifications where type = 'campaign_summary' group by 1 having count(*) > 1`,
  },
  {
    invariant: '#7 a summary before the campaign had settled',
    sql: `select n.id from ringleader.notifications n join ringleader.campaigns k on k.id = n.campaign_id where n.type = 'campaign_summary' and k.settled_at is null`,
  },
];

/** Of what must be true once nothing goes wrong any more and time has passed. */
const LIVENESS: readonly Question[] = [
  {
    invariant: '#11 a campaign is not settled',
    sql: "select id, status, pause_reason from ringleader.campaigns where status <> 'draft' and settled_at is null",
  },
  {
    invariant: '#11 a lead is not final',
    sql: "select id, status from ringleader.leads where status in ('waiting', 'calling') and campaign_id in (select id from ringleader.campaigns where status <> 'draft')",
  },
  {
    invariant: '#5 a call is not over',
    sql: `select id, status from ringleader.calls where ended_at is null or (reserved_at is not null and released_at is null)`,
  },
  { invariant: '#5 a call that is over is among the open ones', sql: 'select call_id from ringleader.open_calls' },
  { invariant: '#11 an import is open', sql: 'select id from ringleader.imports where finished_at is null' },
  {
    invariant: '#7 a completed campaign without a summary',
    sql: `select k.id from ringleader.campaigns k where k.status = 'completed' and not exists (select from ringleader.notifications n where n.campaign_id = k.id and n.type = 'campaign_summary')`,
  },
  {
    invariant: '#7 a mail is still owed',
    sql: "select id, status from ringleader.notifications where status in ('pending', 'sending') or next_attempt_at is not null",
  },
];

/** What the world saw, against what is written down. */
const judgeWorld = async (pool: Pool, world: World): Promise<string[]> => {
  const wrong: string[] = [];
  for (const [attempt, times] of world.asked)
    if (times > 1) wrong.push(`#2 the provider was asked ${times} times for ${attempt}`);
  const { rows: mails } = await pool.query<{ id: string; status: string }>('select id, status from ringleader.notifications');
  for (const { id, status } of mails) {
    const times = world.mails.get(id) ?? 0;
    if (times > 1) wrong.push(`#7 a mail was sent ${times} times`);
    if ((status === 'sent') !== (times === 1) && status !== 'unknown')
      wrong.push(`#7 a mail is ${status}, and was sent ${times} times`);
  }
  const { rows: calls } = await pool.query<{ execution: string; disposition: string }>(
    'select provider_call_id as execution, disposition from ringleader.calls where provider_call_id is not null and disposition is not null',
  );
  for (const { execution, disposition } of calls) {
    const truth = world.executions.get(execution)?.steps.at(-1)?.status;
    if (disposition !== truth && disposition !== 'unknown')
      wrong.push(`#6 a call is ${disposition}, and was ${truth ?? 'never made'}`);
  }
  return wrong;
};

/** Everything that is wrong; each kind with one example and how often. */
export const judge = async (pool: Pool, world: World): Promise<string[]> => {
  const wrong: string[] = [];
  for (const { invariant, sql } of [...SAFETY, ...LIVENESS]) {
    const { rows } = await pool.query<Record<string, unknown>>(sql);
    if (rows.length > 0) wrong.push(`${invariant}: ${rows.length} times, such as ${JSON.stringify(rows[0])}`);
  }
  return [...wrong, ...(await judgeWorld(pool, world))];
};
