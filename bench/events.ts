/** Webhook events, each applied and committed by itself, against the least a commit can do: one row updated. */
import { randomUUID } from 'node:crypto';
import { Pool } from 'pg';
import type { CallFact } from '../lib/verb-shapes.ts';
import type { Bench } from './bench.ts';
import { costOf } from './cpu.ts';
import { check, crowd, interleave, line, ratioOf, speedOf, speeds, type Speed } from './measure.ts';
import { connect, stage } from './scene.ts';
import type { BenchDatabase, Server } from './server.ts';

const CLIENTS = 8;
const ACCOUNTS = 8;
const ROWS = 100_000;

/** What a provider tells of one call: three signs of life, then its end with an analysis. */
export const FOUR: readonly Partial<CallFact>[] = [
  { event_key: 'ringing', status: 'ringing' },
  { event_key: 'answered', status: 'in_progress', answered_at: '2026-03-02T10:00:05.000Z' },
  { event_key: 'line', status: 'in_progress', line_free: true },
  {
    event_key: 'completed',
    status: 'completed',
    line_free: true,
    duration_seconds: 61.5,
    cost: 0.12,
    transcript: 'Hello? Yes, Tuesday at ten suits me. Goodbye.',
    analysis: { state: 'valid', score: 60, evidence: 'asked for a visit on Tuesday', raw: { score: 60, interested: true } },
  },
];

/** Events a second, over `calls` calls that are on the line; each call's events in their order. */
const ourEvents = async (server: Server, calls: number): Promise<Speed> => {
  const db = await server.database();
  try {
    const before = Math.ceil(calls / 4 / ACCOUNTS);
    const owners = await stage(db, { accounts: ACCOUNTS, leads: calls / ACCOUNTS + before, accountCap: 100_000 });
    const agents = new Map(owners.map(({ account, agent }) => [account, agent]));
    const { verbs, pool } = connect(db, CLIENTS);
    const place = async (limit: number): Promise<{ account: string; id: string }[]> => {
      const claimed = (await verbs.claimCalls(new Date(), randomUUID(), limit, 100_000)).calls;
      const ids = claimed.map((call) => call.call_id);
      const { go } = await verbs.fenceCalls(new Date(), randomUUID(), ids);
      const outcomes = go.map((call_id) => ({ call_id, outcome: 'accepted' as const, provider_call_id: `p-${call_id}` }));
      await verbs.recordCalls(new Date(), outcomes);
      return claimed.map((call) => ({ account: call.account_id, id: call.call_id }));
    };
    const tell = async ({ account, id }: { account: string; id: string }): Promise<void> => {
      for (const { event_key, ...fact } of FOUR) {
        const own = { event_key: `${id}:${event_key}`, attempt_id: id, provider_call_id: `p-${id}`, source: 'event' } as const;
        await verbs.applyFact(account, new Date(), agents.get(account)!, randomUUID(), {
          ...fact,
          ...own,
          payload: JSON.stringify({ ...own, ...fact }),
        });
      }
    };
    try {
      const all = async (placed: { account: string; id: string }[]): Promise<void> => {
        let next = 0;
        await crowd(CLIENTS, () => {
          const call = placed[next];
          next += 1;
          return call ? () => tell(call) : null;
        });
      };
      // A past, so that the tables are no longer empty and their statistics known.
      await all(await place(before * ACCOUNTS));
      await db.pool.query('vacuum analyze');
      const placed = await place(calls);
      const cost = await costOf(server.pid, () => all(placed));
      const { rows } = await db.pool.query<{ calls: number; events: number; completed: number }>(`select
        (select count(*)::int from ringleader.leads where status = 'reached' and score = 60) as calls,
        (select count(*)::int from ringleader.call_events where fate = 'applied') as events,
        (select count(*)::int from ringleader.campaigns where status = 'completed') as completed`);
      const total = calls + before * ACCOUNTS;
      check(
        rows[0].calls === total && rows[0].events === 4 * total && rows[0].completed === ACCOUNTS,
        `of ${total} calls: ${JSON.stringify(rows[0])}`,
      );
      return speedOf(4 * calls, cost);
    } finally {
      await pool.end();
    }
  } finally {
    await db.drop();
  }
};

/** Named, and so prepared once by each connection, as our verbs are. */
const ONE_ROW = { name: 'one row', text: 'update one_row set n = n + 1 where id = $1' };

/** One-row updates a second, each of a random row and a commit of its own, by the same driver in the same way. */
const rowUpdates = async (server: Server, db: BenchDatabase, updates: number): Promise<Speed> => {
  const pool = new Pool({ connectionString: db.url, max: CLIENTS });
  pool.on('error', () => undefined); // a query under way rejects all the same
  try {
    await pool.query('create table if not exists one_row (id int primary key, n int not null) with (fillfactor = 80)');
    await pool.query(`truncate one_row`);
    await pool.query('insert into one_row select i, 0 from generate_series(1, $1::int) i', [ROWS]);
    await pool.query('vacuum analyze one_row');
    let left = updates;
    const cost = await costOf(server.pid, () =>
      crowd(CLIENTS, () => {
        left -= 1;
        const row = 1 + Math.floor(Math.random() * ROWS);
        return left < 0 ? null : () => pool.query({ ...ONE_ROW, values: [row] });
      }),
    );
    const { rows } = await pool.query<{ n: number }>('select sum(n)::int as n from one_row');
    check(rows[0].n === updates, `${rows[0].n} of ${updates} updates`);
    return speedOf(updates, cost);
  } finally {
    await pool.end();
  }
};

export const events: Bench = {
  name: 'events',
  about: `webhook events (four a call, the last with an analysis) against one-row updates, ${CLIENTS} clients`,
  async run(server, { rounds, jobs }) {
    const calls = Math.max(200, Math.round(jobs / 20 / ACCOUNTS) * ACCOUNTS);
    const plain = await server.database();
    try {
      const got = await interleave(rounds, {
        ours: () => ourEvents(server, calls),
        updates: () => rowUpdates(server, plain, calls * 10),
      });
      return {
        lines: [line('webhook events ÷ one-row update commits, 8 clients', ratioOf(got.ours, got.updates), '>=', 0.5)],
        detail: [
          speeds(`ours: events of ${calls} calls in ${ACCOUNTS} accounts`, got.ours),
          speeds('one-row updates', got.updates),
        ],
      };
    } finally {
      await plain.drop();
    }
  },
};
