/** Accounts, campaigns and leads to dial, made through the verbs. */
import { randomUUID } from 'node:crypto';
import { Pool } from 'pg';
import { type ImportRow } from '../lib/verb-shapes.ts';
import { bindVerbs, type Verbs } from '../lib/verbs.ts';
import type { BenchDatabase } from './server.ts';

export const ALWAYS = { days: [1, 2, 3, 4, 5, 6, 7], start: '00:00', end: '24:00' };

export interface Owner {
  account: string;
  agent: string;
  campaign: string;
}

/** The verbs over `clients` connections that stay open. */
export const connect = (db: BenchDatabase, clients: number): { verbs: Verbs; pool: Pool } => {
  const pool = new Pool({ connectionString: db.appUrl, max: clients, idleTimeoutMillis: 0 });
  pool.on('error', () => undefined); // a query under way rejects all the same
  return {
    pool,
    verbs: bindVerbs({
      query: (text, params, { verb }) => pool.query({ name: `${verb} ${params.length}`, text, values: [...params] }),
    }),
  };
};

export interface SceneOptions {
  accounts: number;
  /** Leads of each account's one campaign. */
  leads: number;
  accountCap: number;
  campaignCap?: number;
  credentials?: string;
}

/** Number `n`: distinct, and valid in the North American plan. */
export const phone = (n: number): string => `+1${String(2_012_000_000 + n)}`;

const rowsOf = (from: number, to: number): ImportRow[] =>
  Array.from({ length: to - from }, (_, i) => ({
    id: randomUUID(),
    row: from + i + 2,
    phone: phone(from + i),
    name: null,
    email: null,
    company: null,
    timezone: null,
    variables: {},
  }));

/** Accounts with one started campaign each. A lead is dialled once, whatever comes of it. */
export const stage = async (db: BenchDatabase, options: SceneOptions): Promise<Owner[]> => {
  const { pool, verbs } = connect(db, 4);
  const { accounts, leads, accountCap, campaignCap = accountCap, credentials = 'sealed' } = options;
  const owners: Owner[] = [];
  try {
    for (let i = 0; i < accounts; i += 1) {
      const now = new Date();
      const owner = { account: randomUUID(), agent: randomUUID(), campaign: randomUUID() };
      await verbs.createAccount(
        owner.account,
        now,
        `Account ${i}`,
        'a@example.com',
        'UTC',
        accountCap,
        randomUUID(),
        randomUUID(),
      );
      await verbs.createAgent(owner.account, now, {
        id: owner.agent,
        name: 'agent',
        provider: 'bolna',
        provider_agent_id: 'p',
        from_number: null,
        credentials_sealed: credentials,
        webhook_secrets_sealed: null,
        analysis_mapping: null,
      });
      await verbs.createCampaign(owner.account, now, owner.campaign, {
        name: 'campaign',
        agent_id: owner.agent,
        window: ALWAYS,
        max_concurrent_calls: campaignCap,
        retry: { max_attempts: 1 },
      });
      const importId = randomUUID();
      await verbs.beginImport(owner.account, now, importId, owner.campaign);
      for (let at = 0; at < leads; at += 1000)
        await verbs.importLeads(owner.account, now, importId, owner.campaign, rowsOf(at, Math.min(at + 1000, leads)), []);
      await verbs.finishImport(owner.account, now, importId, owner.campaign);
      await verbs.startCampaign(owner.account, now, owner.campaign);
      owners.push(owner);
    }
    await db.pool.query('vacuum analyze');
    return owners;
  } finally {
    await pool.end();
  }
};
