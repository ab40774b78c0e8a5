/**
 * Many clients claim, dial and hang up at once while caps move under them. A deferred constraint trigger takes one advisory
 * transaction lock and then counts, so that every commit is checked against all commits before it; sampling would prove nothing.
 */
import { randomUUID } from 'node:crypto';
import { Pool } from 'pg';
import { bindVerbs, type Verbs } from '../../lib/verbs.ts';
import { MONDAY, phones } from '../support/engine.ts';

const SYSTEM_CAP = 12;
const WATCH = `
  create table watch.violations (what text not null);
  create function watch.check_caps() returns trigger language plpgsql security definer as $$
  begin
    perform pg_advisory_xact_lock(4711);
    insert into watch.violations
    select 'system ' || n from (select count(*) as n from ringleader.calls where reserved_at is not null and released_at is null) s where n > ${SYSTEM_CAP}
    union all
    select 'account ' || s.n from (select account_id, count(*) as n from ringleader.calls where reserved_at is not null and released_at is null group by 1) s
      join ringleader.accounts a on a.id = s.account_id where s.account_id = new.account_id and s.n > a.max_concurrent_calls
    union all
    select 'campaign ' || s.n from (select campaign_id, count(*) as n from ringleader.calls where reserved_at is not null and released_at is null group by 1) s
      join ringleader.campaigns k on k.id = s.campaign_id where s.campaign_id = new.campaign_id and s.n > k.max_concurrent_calls;
    return null;
  end $$;
  create constraint trigger caps after insert on ringleader.calls deferrable initially deferred for each row execute function watch.check_caps();`;

export interface CapsReport {
  claims: number;
  reserved: number;
  ended: number;
  capChanges: number;
  pauses: number;
  violations: string[];
  /** Errors that reached a caller, by SQLSTATE. */
  errors: Record<string, number>;
  leadsReservedTwice: number;
}

interface Owner {
  account: string;
  agent: string;
  campaigns: string[];
}

const prepare = async (verbs: Verbs, accounts: number, leads: number): Promise<Owner[]> =>
  Promise.all(
    Array.from({ length: accounts }, async (_, i) => {
      const owner: Owner = { account: randomUUID(), agent: randomUUID(), campaigns: [randomUUID(), randomUUID()] };
      const { account, agent } = owner;
      await verbs.createAccount(account, MONDAY, `A${i}`, 'a@example.com', 'UTC', 4, randomUUID(), randomUUID());
      const secrets = { credentials_sealed: 's', webhook_secrets_sealed: null, analysis_mapping: null };
      await verbs.createAgent(account, MONDAY, {
        id: agent,
        name: 'a',
        provider: 'bolna',
        provider_agent_id: 'p',
        from_number: null,
        ...secrets,
      });
      for (const [n, id] of owner.campaigns.entries()) {
        const window = { days: [1, 2, 3, 4, 5, 6, 7], start: '00:00', end: '24:00' };
        await verbs.createCampaign(account, MONDAY, id, { name: 'c', agent_id: agent, window, max_concurrent_calls: 3 });
        const importId = randomUUID();
        await verbs.beginImport(account, MONDAY, importId, id);
        const none = { name: null, email: null, company: null, timezone: null, variables: {} };
        const rows = phones(leads, n * leads).map((phone, row) => ({ id: randomUUID(), row, phone, ...none }));
        await verbs.importLeads(account, MONDAY, importId, id, rows, []);
        await verbs.finishImport(account, MONDAY, importId, id);
        await verbs.startCampaign(account, MONDAY, id);
      }
      return owner;
    }),
  );

/** One client: claims, fences, has calls accepted and ended, and now and then moves a cap or pauses a campaign. */
const client = async (verbs: Verbs, owners: readonly Owner[], until: number, report: CapsReport): Promise<void> => {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(Math.random() * from.length)];
  const agents = new Map(owners.map(({ account, agent }) => [account, agent]));
  // On a busy machine the time may pass before anything has been tried: it lasts until enough was, within a minute more.
  const enough = (): boolean => report.capChanges >= 25 && report.reserved >= 200 && report.pauses >= 3;
  while (Date.now() < until || (!enough() && Date.now() < until + 60_000)) {
    const { account, campaigns } = pick(owners);
    const dice = Math.random();
    try {
      if (dice < 0.04) {
        report.capChanges += 1;
        await verbs.updateAccount(account, MONDAY, { max_concurrent_calls: 1 + Math.floor(Math.random() * 6) });
      } else if (dice < 0.08) {
        report.capChanges += 1;
        await verbs.updateCampaign(account, MONDAY, pick(campaigns), { max_concurrent_calls: 1 + Math.floor(Math.random() * 4) });
      } else if (dice < 0.1) {
        report.pauses += 1;
        const campaign = pick(campaigns);
        await verbs.pauseCampaign(account, MONDAY, campaign);
        await verbs.resumeCampaign(account, MONDAY, campaign);
      } else {
        report.claims += 1;
        const { calls } = await verbs.claimCalls(MONDAY, randomUUID(), 1 + Math.floor(Math.random() * 6), SYSTEM_CAP);
        report.reserved += calls.length;
        for (const call of calls) {
          const { go } = await verbs.fenceCalls(call.account_id, MONDAY, randomUUID(), [call.call_id]);
          if (go.length === 0) continue;
          await verbs.recordCalls(call.account_id, MONDAY, [
            { call_id: call.call_id, outcome: 'accepted', provider_call_id: call.call_id },
          ]);
          const status = pick(['completed', 'voicemail', 'busy'] as const);
          const fact = { event_key: `${call.call_id}:end`, attempt_id: call.call_id, source: 'event' as const, status };
          await verbs.applyFact(call.account_id, MONDAY, agents.get(call.account_id)!, randomUUID(), fact);
          report.ended += 1;
        }
      }
    } catch (error) {
      const { code } = error as { code?: string };
      // A pause of a paused campaign, an edit of a completed one: refused, as it should be.
      if (code !== 'wrong_state' && code !== 'campaign_closed')
        report.errors[code ?? String(error)] = (report.errors[code ?? String(error)] ?? 0) + 1;
    }
  }
};

/** Runs `clients` against the database for `seconds`. */
export const runCaps = async (
  db: { pool: Pool; appUrl: string },
  { clients, seconds, accounts = 6, leads = 400 }: { clients: number; seconds: number; accounts?: number; leads?: number },
): Promise<CapsReport> => {
  await db.pool.query(
    `create schema watch; ${WATCH} grant usage on schema watch to public; grant insert on watch.violations to public`,
  );
  const pool = new Pool({ connectionString: db.appUrl, max: clients });
  pool.on('error', () => undefined); // a query under way rejects all the same
  const verbs = bindVerbs({ query: (text, params) => pool.query(text, [...params]) });
  const report: CapsReport = {
    claims: 0,
    reserved: 0,
    ended: 0,
    capChanges: 0,
    pauses: 0,
    violations: [],
    errors: {},
    leadsReservedTwice: 0,
  };
  try {
    const owners = await prepare(verbs, accounts, leads);
    const until = Date.now() + seconds * 1000;
    await Promise.all(Array.from({ length: clients }, () => client(verbs, owners, until, report)));
  } finally {
    await pool.end();
  }
  const { rows } = await db.pool.query<{ what: string }>('select distinct what from watch.violations');
  report.violations = rows.map((row) => row.what);
  const twice = await db.pool.query<{ n: number }>(
    `select count(*)::int as n from (select lead_id, attempt from ringleader.calls where disposition is not null group by 1, 2 having count(*) > 1) d`,
  );
  report.leadsReservedTwice = twice.rows[0].n;
  return report;
};
