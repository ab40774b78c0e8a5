/**
 * Eight clients over one real Postgres, through the worker's own wrapper and the real driver, in real time: everything that people,
 * providers, crons and dying workers do at once. First with faults; then without, until everything must have come to its end.
 */
import type { Pool } from 'pg';
import { tick } from '../../functions/dispatch.ts';
import { useLocalEndpoint } from '../../lib/db.ts';
import { sweep } from '../../lib/summarise.ts';
import { startNeonProxy } from '../../local/neon-proxy.ts';
import { createRandom, type Random } from '../sim/random.ts';
import { MONDAY } from '../support/engine.ts';
import type { TestDatabase } from '../support/database.ts';
import { judge, watch } from './audit.ts';
import { configOf, createInvoke, createSoakClock, emptyTally, SYSTEM_CAP, type SoakClock, type Tally } from './invocation.ts';
import { actOnce, deliver, makeOwner, type Scene } from './workload.ts';
import { createWorld } from './world.ts';

const CLIENTS = 8;
/**
 * Virtual seconds in a real one. The most that the leases bear: a reservation's ten minutes are ten real seconds then, and a worker
 * may take eight from its fence to its dial.
 */
const SPEED = 60;
const SECOND = 1000;
const MINUTE = 60 * SECOND;
/** Rounds of the calm, of twenty virtual seconds or more, within which everything has to end. */
const ROUNDS = 1000;

export interface SoakOptions {
  seed: number;
  /** Real seconds with faults; longer when by then too little was tried. */
  seconds: number;
  accounts: number;
  /** Campaigns beside the first of each account. */
  campaigns: number;
  /** Ends at the first commit above a cap; nothing is brought to rest then. */
  untilCapBroken?: boolean;
}

export interface SoakReport extends Tally {
  seed: number;
  faults: Record<string, number>;
  /** Commits that reserved a call, each judged; and those that found a cap reached. */
  judged: number;
  capsReached: number;
  calls: number;
  leads: number;
  campaigns: Record<string, number>;
  /** Deadlocks that the server broke; none may reach a caller. */
  deadlocks: number;
  virtualMinutes: number;
  violations: string[];
}

/** Ends sessions of the worker's at random, until told to stop; how many. */
const terminate = async (pool: Pool, role: string, dice: Random, over: () => boolean): Promise<number> => {
  let ended = 0;
  while (!over()) {
    await new Promise((done) => setTimeout(done, dice.between(200, 800)));
    const { rows } = await pool.query<{ pid: number }>(
      'select pid from pg_stat_activity where usename = $1 and datname = current_database() order by pid',
      [role],
    );
    if (rows.length === 0) continue;
    const gone = await pool.query<{ gone: boolean }>('select pg_terminate_backend($1) as gone', [dice.pick(rows).pid]);
    ended += Number(gone.rows[0]!.gone);
  }
  return ended;
};

/** Campaigns in these states. */
const campaignsThat = async (pool: Pool, ...states: string[]): Promise<{ account: string; id: string }[]> =>
  (
    await pool.query<{ account: string; id: string }>(
      'select account_id as account, id from ringleader.campaigns where status = any ($1) order by seq',
      [states],
    )
  ).rows;

/** What is not at its end, as the database sees it. */
const UNDER_WAY = `select (select count(*) from ringleader.campaigns where settled_at is null and status <> 'draft')
  + (select count(*) from ringleader.calls where ended_at is null) + (select count(*) from ringleader.imports where finished_at is null)
  + (select count(*) from ringleader.notifications where next_attempt_at is not null or status = 'sending') as n`;

/** Nothing goes wrong any more: crons fire, webhooks arrive, time passes. Ends when all has ended, or at the horizon. */
const comeToRest = async (scene: Scene, pool: Pool, clock: SoakClock, dice: readonly Random[]): Promise<void> => {
  const { owners, invoke, world } = scene;
  for (const { account } of owners)
    await invoke('wide caps', (deps) => deps.verbs.updateAccount(account, deps.now(), { max_concurrent_calls: 20 }));
  for (const { account, id } of await campaignsThat(pool, 'active', 'paused'))
    await invoke('wide caps', (deps) => deps.verbs.updateCampaign(account, deps.now(), id, { max_concurrent_calls: 20 }));
  const deliverAll = async (own: Random): Promise<void> => {
    for (let n = 0; n < 100 && (await deliver(scene, own));) n += 1; // those to come meanwhile are the next round's
  };
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const { account, id } of await campaignsThat(pool, 'paused'))
      await invoke('resume', (deps) => deps.verbs.resumeCampaign(account, deps.now(), id));
    await Promise.all([...dice.map(deliverAll), invoke('tick', (deps) => tick(deps)), invoke('tick', (deps) => tick(deps))]);
    await invoke('sweep', (deps) => sweep(deps));
    const { rows } = await pool.query<{ n: string }>(UNDER_WAY);
    const [webhook, found] = [world.next(), { due: null as string | null }];
    if (rows[0]!.n === '0' && webhook === null) return;
    await invoke('next due', async (deps) => (found.due = await deps.verbs.nextDue(deps.now())));
    const next = Math.min(webhook ?? Infinity, found.due === null ? Infinity : Date.parse(found.due));
    clock.jump(Math.min(Math.max(next - clock.now().getTime(), 20 * SECOND), 10 * MINUTE));
  }
};

const figures = async (pool: Pool) => {
  const { rows } = await pool.query<Pick<SoakReport, 'judged' | 'capsReached' | 'calls' | 'leads' | 'campaigns' | 'deadlocks'>>(
    `select (select count(*)::int from watch.counted where cap = 'system') as judged,
       (select count(*)::int from watch.counted where live = allowed) as "capsReached",
       (select count(*)::int from ringleader.calls) as calls, (select count(*)::int from ringleader.leads) as leads,
       (select jsonb_object_agg(status, n) from (select status, count(*) as n from ringleader.campaigns group by 1) s) as campaigns,
       (select deadlocks::int from pg_stat_database where datname = current_database()) as deadlocks`,
  );
  return rows[0]!;
};

/** Without these a run has no say. */
export const NEEDED = [
  'webhook lost',
  'webhook doubled',
  'webhook late',
  'create-call told to wait',
  'answer to create-call lost',
  'worker dead after create-call',
] as const;

/** Whether enough was tried for a verdict. */
const enough = ({ operations }: Tally, faults: Readonly<Record<string, number>>): boolean =>
  (operations['webhook'] ?? 0) >= 100 && (operations['pause'] ?? 0) >= 3 && NEEDED.every((kind) => (faults[kind] ?? 0) > 0);

const capBroken = async (pool: Pool): Promise<boolean> =>
  (await pool.query('select from watch.counted where live > allowed limit 1')).rows.length > 0;

/** Runs the soak against a database of its own. */
export const runSoak = async (db: TestDatabase, options: SoakOptions): Promise<SoakReport> => {
  const { seed, seconds, accounts, campaigns, untilCapBroken = false } = options;
  const role = new URL(db.appUrl).username;
  await db.pool.query(`alter role ${role} in database ${db.name} set statement_timeout = '60s'`);
  await watch(db.pool, SYSTEM_CAP);
  const proxy = await startNeonProxy({ postgres: { socketPath: db.socketPath } });
  useLocalEndpoint(proxy.wsProxy);
  const clock = createSoakClock(MONDAY, SPEED);
  const world = createWorld(seed, () => clock.now().getTime());
  const tally = emptyTally();
  const invoke = createInvoke(configOf(db.appUrl), clock, world, tally);
  const scene: Scene = { owners: [], campaignsLeft: campaigns, world, invoke };
  const dice = Array.from({ length: CLIENTS }, (_, i) => createRandom(seed * 1000 + i + 1));
  try {
    for (let i = 0; i < accounts; i += 1)
      await invoke('new account', async (deps) => scene.owners.push(await makeOwner(deps, dice[0]!)));
    const until = Date.now() + seconds * 1000;
    let broken = false;
    const over = (): boolean => broken || (Date.now() > until && (enough(tally, world.faults) || Date.now() > until + 60_000));
    const client = async (own: Random): Promise<void> => {
      while (!over()) {
        await actOnce(scene, own);
        if (untilCapBroken) broken ||= await capBroken(db.pool);
      }
    };
    const killing = terminate(db.pool, role, createRandom(seed * 1000), over);
    const [terminated] = await Promise.all([killing, ...dice.map(client)]);
    world.calm = true;
    if (!broken) await comeToRest(scene, db.pool, clock, dice);
    const violations = await judge(db.pool, world);
    const faults = { ...world.faults, 'session terminated': terminated };
    const virtualMinutes = Math.round((clock.now().getTime() - MONDAY.getTime()) / MINUTE);
    return { ...tally, seed, faults, ...(await figures(db.pool)), virtualMinutes, violations };
  } finally {
    await proxy.stop();
  }
};
