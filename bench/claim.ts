/** How long a claim takes, and how little that depends on how many leads wait. */
import { randomUUID } from 'node:crypto';
import type { Bench } from './bench.ts';
import { check, crowd, line, median, quantile, round } from './measure.ts';
import { serve } from './ours.ts';
import { connect, phone, stage } from './scene.ts';
import type { BenchDatabase, Server } from './server.ts';

const ACCOUNTS = 100;
const BATCH = 50;
const CLAIMS = 60;
const CAP = 4;

/** `queued` leads in 100 campaigns; all but the first of each campaign are laid in by the superuser, as an import would leave them. */
const prepare = async (server: Server, queued: number): Promise<{ db: BenchDatabase; agents: Map<string, string> }> => {
  const db = await server.database();
  const owners = await stage(db, { accounts: ACCOUNTS, leads: 1, accountCap: CAP });
  const each = queued / ACCOUNTS - 1;
  for (const { account, campaign } of owners) {
    await db.pool.query(
      `insert into ringleader.leads (id, account_id, campaign_id, phone, status, next_attempt_at, import_id, import_row, created_at)
       select gen_random_uuid(), account_id, campaign_id, '+1' || (2012000000 + i), status, next_attempt_at, import_id, import_row + i, created_at
       from ringleader.leads, generate_series(1, $3::int) i where account_id = $1 and campaign_id = $2 and phone = $4`,
      [account, campaign, each, phone(0)],
    );
  }
  await db.pool.query('vacuum analyze');
  return { db, agents: new Map(owners.map(({ account, agent }) => [account, agent])) };
};

export const claim: Bench = {
  name: 'claim',
  about: `claims of ${BATCH} among ${ACCOUNTS} accounts of ${CAP} calls each, by how many leads wait`,
  async run(server, { queued }) {
    const sizes = [10_000, queued / 10, queued];
    const scenes = [];
    for (const size of sizes) scenes.push({ ...(await prepare(server, size)), took: [] as number[] });
    const links = scenes.map(({ db }) => connect(db, 10));
    try {
      // The first claims of a connection plan their statements.
      for (let n = -5; n < CLAIMS; n += 1) {
        for (const [i, { agents, took }] of scenes.entries()) {
          const { verbs } = links[i];
          const began = performance.now();
          const { calls } = await verbs.claimCalls(new Date(), randomUUID(), BATCH, 1000);
          if (n >= 0) took.push(performance.now() - began);
          check(calls.length === BATCH, `a claim of ${BATCH} got ${calls.length}`);
          const owners = [...Map.groupBy(calls, (call) => call.account_id)];
          const most = Math.max(...owners.map(([, own]) => own.length));
          check(most === 1, `one account got ${most} of ${BATCH} while another got none`);
          await crowd(10, () => {
            const own = owners.pop()?.[1];
            return own === undefined ? null : () => serve(verbs, agents, own);
          });
        }
      }
    } finally {
      await Promise.all(links.map(({ pool }) => pool.end()));
      for (const { db } of scenes) await db.drop();
    }
    const [small, , large] = scenes.map(({ took }) => median(took)) as [number, number, number];
    return {
      lines: [line(`claim p50 at ${round(sizes[2])} queued ÷ at ${round(sizes[0])}`, large / small, '<=', 1.3)],
      detail: scenes.map(
        ({ took }, i) =>
          `${round(sizes[i])} queued: p50 ${round(median(took))} ms, p95 ${round(quantile(took, 0.95))} ms, ${CLAIMS} claims in turn`,
      ),
    };
  },
};
