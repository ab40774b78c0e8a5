import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { describe, expect, test } from 'vitest';
import { SYSTEM_VERBS, VERBS } from '../../lib/verbs.ts';
import { createEngine } from '../support/engine.ts';
import { testDatabase } from '../support/database.ts';

const db = await testDatabase();
const engine = createEngine(db);

describe('who may see what', () => {
  test('only the listed verbs, and one helper that says whether the system is full, run past row-level security', async () => {
    const { rows } = await db.pool.query<{ name: string }>(
      `select proname as name from pg_proc where pronamespace = 'ringleader'::regnamespace and prosecdef order by 1`,
    );
    // What asks the server about its sessions touches no account and runs as the caller.
    const definers = SYSTEM_VERBS.filter((name) => name !== 'server_sessions');
    expect(rows.map((row) => row.name).filter((name) => name !== 'system_is_full')).toEqual(definers);
  });

  test('every verb of the code is a function of the database that takes what the code sends', async () => {
    const { rows } = await db.pool.query<{ name: string; first: string }>(
      `select proname as name, proargnames[1] as first from pg_proc where pronamespace = 'ringleader'::regnamespace`,
    );
    const first = new Map(rows.map((row) => [row.name, row.first]));
    const verbs = Object.values(VERBS);
    for (const verb of verbs) expect(first.get(verb.sql), verb.sql).toBe(verb.scope === 'account' ? 'p_account' : 'p_now');
    expect(verbs.length).toBeGreaterThan(50);
  });

  test('every table has row-level security, forced, with a policy for each role and none else', async () => {
    const { rows } = await db.pool.query<{ name: string; on: boolean; forced: boolean; policies: string[] }>(
      `select c.relname as name, c.relrowsecurity as on, c.relforcerowsecurity as forced,
              (select array_agg(p.polname || '>' || r.rolname order by 1)::text[] from pg_policy p join pg_roles r on r.oid = any (p.polroles) where p.polrelid = c.oid) as policies
       from pg_class c where c.relnamespace = 'ringleader'::regnamespace and c.relkind = 'r'`,
    );
    expect(rows.length).toBe(19);
    for (const row of rows) {
      expect(row, row.name).toMatchObject({
        on: true,
        forced: true,
        policies: ['account>ringleader_app', 'system>ringleader_system'],
      });
    }
  });

  test('the app role owns nothing, is no superuser and cannot pass row-level security', async () => {
    const { rows } = await db.pool.query(
      `select r.rolsuper, r.rolbypassrls, r.rolcreaterole, r.rolcreatedb,
              (select count(*)::int from pg_class c where c.relowner = r.oid) as owned, pg_has_role('ringleader_app', 'ringleader_system', 'member') as system
       from pg_roles r where r.rolname = 'ringleader_app'`,
    );
    expect(rows).toEqual([
      { rolsuper: false, rolbypassrls: false, rolcreaterole: false, rolcreatedb: false, owned: 0, system: false },
    ]);
  });

  test('without an account the app role sees no row, with one only its own (class 39)', async () => {
    const one = await engine.account();
    const two = await engine.account();
    await engine.leads(one.account, await engine.campaign(one), ['+14155550001']);
    await engine.leads(two.account, await engine.campaign(two), ['+14155550001', '+14155550002']);
    const client = new Client({ connectionString: db.appUrl });
    await client.connect();
    const count = async (): Promise<number> =>
      (await client.query<{ n: number }>('select count(*)::int as n from ringleader.leads')).rows[0].n;
    try {
      expect(await count()).toBe(0);
      await client.query('begin');
      await client.query(`select set_config('ringleader.account', $1, true)`, [one.account]);
      expect(await count()).toBe(1);
      await expect(
        client.query(`insert into ringleader.suppressions (account_id, phone, created_at) values ($1, '+1', '2026-01-01')`, [
          two.account,
        ]),
      ).rejects.toMatchObject({ code: '42501' });
      await client.query('rollback');
      expect(await count()).toBe(0);
    } finally {
      await client.end();
    }
  });

  test("another account's ids are nobody's", async () => {
    const { verbs, now } = engine;
    const one = await engine.account();
    const other = await engine.account();
    const campaign = await engine.campaign(one);
    const [lead] = await engine.leads(one.account, campaign, ['+14155550009']);
    const at = now();
    const answers = await Promise.all([
      verbs.getAgent(other.account, at, one.agent),
      verbs.agentSecrets(other.account, at, one.agent),
      verbs.getCampaign(other.account, at, campaign),
      verbs.updateCampaign(other.account, at, campaign, { name: 'mine' }),
      verbs.startCampaign(other.account, at, campaign),
      verbs.pauseCampaign(other.account, at, campaign),
      verbs.cancelCampaign(other.account, at, campaign),
      verbs.beginImport(other.account, at, randomUUID(), campaign),
      verbs.listLeads(other.account, at, campaign, null, null, null, 10, 'created'),
      verbs.getLead(other.account, at, lead),
      verbs.explainLead(other.account, at, lead, 10),
      verbs.preflightCampaign(other.account, at, campaign, 10),
      verbs.exportLeads(other.account, at, campaign, null, 10),
      verbs.listHotLeads(other.account, at, campaign, null, 10),
      verbs.summaryData(other.account, at, campaign),
    ]);
    expect(answers).toEqual(answers.map(() => null));
    expect(await verbs.deleteCampaign(other.account, at, campaign)).toBe(false);
    expect(await verbs.getCampaign(one.account, at, campaign)).toMatchObject({ status: 'draft', name: 'Spring' });
  });

  test('a login that could see past row-level security is refused by name', async () => {
    const client = new Client({ connectionString: db.url });
    await client.connect();
    try {
      const verb = `select ringleader.authenticate('2026-01-01', 'x')`;
      await expect(client.query(verb)).rejects.toMatchObject({ code: 'RL503', message: expect.stringContaining('postgres') });
      const account = `select ringleader.get_account('${randomUUID()}', '2026-01-01')`;
      await expect(client.query(account)).rejects.toMatchObject({ code: 'RL503' });
    } finally {
      await client.end();
    }
  });
});
