/** A dialled call as a durable job: reserve, fence, record, one terminal event; under all caps, fair, deduplicated, completed once. */
import { randomUUID } from 'node:crypto';
import { setTimeout as nap } from 'node:timers/promises';
import type { ClaimedCall } from '../lib/verb-shapes.ts';
import type { Verbs } from '../lib/verbs.ts';
import { costOf } from './cpu.ts';
import { check, speedOf, type Speed } from './measure.ts';
import { connect, stage, type Owner } from './scene.ts';
import type { BenchDatabase, Server } from './server.ts';

/** Postgres plans a statement anew the first five times that a connection runs it. */
const CLAIMS_UNTIL_PLANNED = 7;

export interface OurRun {
  jobs: number;
  clients: number;
  accounts: number;
  accountCap: number;
  /** Calls reserved by one claim. */
  batch: number;
  systemCap: number;
}

/** Fences, records and ends the calls of one claim: a fence, a record, and an event for each call. */
export const serve = async (verbs: Verbs, agents: ReadonlyMap<string, string>, calls: readonly ClaimedCall[]): Promise<void> => {
  const { go } = await verbs.fenceCalls(
    new Date(),
    randomUUID(),
    calls.map((call) => call.call_id),
  );
  await verbs.recordCalls(
    new Date(),
    go.map((call_id) => ({ call_id, outcome: 'accepted', provider_call_id: `p-${call_id}` })),
  );
  for (const { call_id: id, account_id: account } of calls) {
    const fact = {
      event_key: `p-${id}:no-answer`,
      attempt_id: id,
      provider_call_id: `p-${id}`,
      status: 'no_answer',
      source: 'event',
      payload: '{"status":"no-answer"}',
    } as const;
    await verbs.applyFact(account, new Date(), agents.get(account)!, randomUUID(), fact);
  }
  check(go.length === calls.length, 'the fence held calls back');
};

/** Every lead ended once, with one call of one event; every campaign completed, its summary owed once; no slot is left. */
export const checkDone = async (db: BenchDatabase, jobs: number, campaigns: number): Promise<void> => {
  const { rows } = await db.pool.query<Record<string, number>>(`select
    (select count(*)::int from ringleader.leads where status = 'unreached' and attempts = 1) as leads,
    (select count(*)::int from ringleader.calls where disposition = 'no_answer') as calls,
    (select count(distinct lead_id)::int from ringleader.calls) as dialled,
    (select count(*)::int from ringleader.call_events where fate = 'applied') as events,
    (select count(*)::int from ringleader.calls where reserved_at is not null and released_at is null) as live,
    (select count(*)::int from ringleader.campaigns where status = 'completed') as completed,
    (select count(*)::int from ringleader.notifications where type = 'campaign_summary') as summaries`);
  const wanted = { leads: jobs, calls: jobs, dialled: jobs, events: jobs, live: 0, completed: campaigns, summaries: campaigns };
  check(JSON.stringify(rows[0]) === JSON.stringify(wanted), `${JSON.stringify(rows[0])} is not ${JSON.stringify(wanted)}`);
};

/** From the first claim to the last commit. */
export const ourJobs = async (server: Server, options: OurRun): Promise<Speed> => {
  const { jobs, clients, accounts, accountCap, batch, systemCap } = options;
  const db = await server.database();
  try {
    // A past, so that the tables are no longer empty, their statistics known, and each client's statements planned for good when the clock starts.
    const past = Math.ceil(Math.max(jobs / 4, clients * batch * CLAIMS_UNTIL_PLANNED) / accounts) * accounts;
    const owners: Owner[] = await stage(db, { accounts, leads: (past + jobs) / accounts, accountCap });
    const agents = new Map(owners.map(({ account, agent }) => [account, agent]));
    const { verbs, pool } = connect(db, clients);
    try {
      let claimed = 0;
      let until = past;
      const client = async (): Promise<void> => {
        while (claimed < until) {
          const { calls } = await verbs.claimCalls(new Date(), randomUUID(), Math.min(batch, until - claimed), systemCap);
          claimed += calls.length;
          if (calls.length === 0) await nap(1); // every slot is taken
          if (calls.length > 0) await serve(verbs, agents, calls);
        }
      };
      const all = (): Promise<unknown> => Promise.all(Array.from({ length: clients }, client));
      await all();
      await db.pool.query('vacuum analyze');
      until = past + jobs;
      const cost = await costOf(server.pid, all);
      await checkDone(db, until, accounts);
      return speedOf(jobs, cost);
    } finally {
      await pool.end();
    }
  } finally {
    await db.drop();
  }
};
