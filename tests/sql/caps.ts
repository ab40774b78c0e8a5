/** Many clients claim, dial and hang up at once while caps move under them and, on request, Postgres is killed. Every commit is judged. */
import { randomUUID } from 'node:crypto';
import { DatabaseError, Pool } from 'pg';
import { bindVerbs, type VerbRunner, type Verbs } from '../../lib/verbs.ts';
import { MONDAY, phones } from '../support/engine.ts';
import { watchCaps } from '../support/watch-caps.ts';

const SYSTEM_CAP = 8;

export interface CapsReport {
  claims: number;
  /** Claims that got fewer calls than they asked for. */
  short: number;
  reserved: number;
  ended: number;
  directCalls: number;
  capChanges: number;
  pauses: number;
  /** How often Postgres was killed, and how many statements were lost with it and asked again. */
  kills: number;
  lost: number;
  /** Counts that the trigger took, those of them that found a cap reached, and those that found it exceeded. */
  counted: number;
  capsReached: number;
  violations: string[];
  /** Errors that reached a caller, by SQLSTATE. */
  errors: Record<string, number>;
  leadsReservedTwice: number;
}

export interface CapsOptions {
  clients: number;
  seconds: number;
  accounts?: number;
  /** Leads reserved before it ends, however slow the machine. */
  reservations?: number;
  /** Of each campaign; an account has two. */
  leads?: number;
  /** Kills Postgres, and resolves when it is back. */
  kill?: () => Promise<void>;
  kills?: number;
  /** Ends at the first commit above a cap. */
  untilViolated?: boolean;
}

interface Owner {
  account: string;
  agent: string;
  campaigns: string[];
}

const nap = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Real milliseconds for which a server that went is waited for, and by which the end may be put off until enough has been tried. */
const PATIENCE_MS = 60_000;

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

/** The server went, or is on its way back: nothing that a verb said. */
const isAway = (error: unknown): boolean => !(error instanceof DatabaseError) || /^(57P|08)/.test(error.code ?? '');

/** Asks again what was lost with the server, as the worker's own wrapper does with a verb that may be sent twice; nothing else. */
const askAgain = (pool: Pool, report: CapsReport): VerbRunner => ({
  async query(text, params) {
    const until = Date.now() + PATIENCE_MS;
    for (;;) {
      try {
        return await pool.query(text, [...params]);
      } catch (error) {
        if (!isAway(error) || Date.now() > until) throw error;
        report.lost += 1;
        await nap(50);
      }
    }
  },
});

const pick = <T>(from: readonly T[]): T => from[Math.floor(Math.random() * from.length)];

/** Claims, has the calls accepted and ends them. */
const claimAndDial = async (verbs: Verbs, agents: ReadonlyMap<string, string>, report: CapsReport): Promise<void> => {
  const wanted = 1 + Math.floor(Math.random() * 6);
  const { calls } = await verbs.claimCalls(MONDAY, randomUUID(), wanted, SYSTEM_CAP);
  report.claims += 1;
  report.reserved += calls.length;
  if (calls.length < wanted) report.short += 1;
  for (const call of calls) {
    const { go } = await verbs.fenceCalls(MONDAY, randomUUID(), [call.call_id]);
    if (go.length === 0) continue;
    await verbs.recordCalls(MONDAY, [{ call_id: call.call_id, outcome: 'accepted', provider_call_id: call.call_id }]);
    const status = pick(['completed', 'voicemail', 'busy'] as const);
    const fact = { event_key: `${call.call_id}:end`, attempt_id: call.call_id, source: 'event' as const, status };
    await verbs.applyFact(call.account_id, MONDAY, agents.get(call.account_id)!, randomUUID(), fact);
    report.ended += 1;
  }
};

/** One client: mostly claims; now and then it moves a cap, pauses a campaign or asks for a direct call. */
const client = async (verbs: Verbs, owners: readonly Owner[], isOver: () => boolean, report: CapsReport): Promise<void> => {
  const agents = new Map(owners.map(({ account, agent }) => [account, agent]));
  while (!isOver()) {
    const { account, agent, campaigns } = pick(owners);
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
      } else if (dice < 0.12) {
        report.directCalls += 1;
        const [to] = phones(1, 1_000_000 + Math.floor(Math.random() * 3_000_000));
        await verbs.requestDirectCall(account, MONDAY, randomUUID(), agent, to, null, {});
      } else {
        await claimAndDial(verbs, agents, report);
      }
    } catch (error) {
      const { code } = error as { code?: string };
      // A pause of a paused campaign, an edit of a completed one: refused, as it should be.
      if (code !== 'wrong_state' && code !== 'campaign_closed')
        report.errors[code ?? String(error)] = (report.errors[code ?? String(error)] ?? 0) + 1;
    }
  }
};

/** Kills so many times, evenly over the time, and each time when something has been reserved since the last. */
const killSometimes = async (options: CapsOptions, began: number, isOver: () => boolean, report: CapsReport): Promise<void> => {
  const { kill, kills = 0, seconds } = options;
  for (let n = 1; n <= kills; n += 1) {
    const before = report.reserved;
    while (Date.now() < began + (n * seconds * 1000) / (kills + 1) || report.reserved < before + 30) {
      if (isOver()) return;
      await nap(20);
    }
    await kill!();
    report.kills += 1;
  }
};

const EXCEEDED = 'select distinct cap, live, allowed from watch.counted where live > allowed';

/** What the trigger saw, and whether an attempt of a lead was made twice. */
const judge = async (pool: Pool, report: CapsReport): Promise<void> => {
  const { rows } = await pool.query<{ cap: string; live: number; allowed: number }>(EXCEEDED);
  report.violations = rows.map(({ cap, live, allowed }) => `${cap}: ${live} of ${allowed}`);
  const sums = await pool.query<{ counted: number; reached: number; twice: number }>(
    `select (select count(*)::int from watch.counted) as counted, (select count(*)::int from watch.counted where live = allowed) as reached,
       (select count(*)::int from (select lead_id, attempt from ringleader.calls where disposition is not null and lead_id is not null
          group by 1, 2 having count(*) > 1) d) as twice`,
  );
  report.counted = sums.rows[0].counted;
  report.capsReached = sums.rows[0].reached;
  report.leadsReservedTwice = sums.rows[0].twice;
};

/** Runs the clients against a database; `pool` is a superuser's. Longer than asked, when by then too little was tried. */
export const runCaps = async (db: { pool: Pool; appUrl: string }, options: CapsOptions): Promise<CapsReport> => {
  const { clients, seconds, reservations = 200, accounts = 6, leads = 400, kills = 0, untilViolated = false } = options;
  await db.pool.query(watchCaps(SYSTEM_CAP));
  const pool = new Pool({ connectionString: db.appUrl, max: clients });
  pool.on('error', () => undefined); // a query under way rejects all the same
  const report: CapsReport = {
    claims: 0,
    short: 0,
    reserved: 0,
    ended: 0,
    directCalls: 0,
    capChanges: 0,
    pauses: 0,
    kills: 0,
    lost: 0,
    counted: 0,
    capsReached: 0,
    violations: [],
    errors: {},
    leadsReservedTwice: 0,
  };
  const verbs = bindVerbs(askAgain(pool, report));
  try {
    const owners = await prepare(verbs, accounts, leads);
    const began = Date.now();
    const until = began + seconds * 1000;
    let seen = false;
    const enough = (): boolean =>
      report.capChanges >= 25 &&
      report.reserved > reservations &&
      report.pauses >= 3 &&
      report.directCalls >= 3 &&
      report.kills >= kills;
    const isOver = (): boolean => seen || (Date.now() > until && (enough() || Date.now() > until + PATIENCE_MS));
    const look = async (): Promise<void> => {
      while (!isOver()) {
        seen = (await db.pool.query(EXCEEDED)).rows.length > 0;
        await nap(100);
      }
    };
    const all = Array.from({ length: clients }, () => client(verbs, owners, isOver, report));
    await Promise.all([...all, killSometimes(options, began, isOver, report), ...(untilViolated ? [look()] : [])]);
  } finally {
    await pool.end();
  }
  await judge(db.pool, report);
  return report;
};
