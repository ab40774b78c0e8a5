import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import { testDatabase } from '../support/database.ts';
import { createEngine, phones } from '../support/engine.ts';

const db = await testDatabase();
const engine = createEngine(db);
const { verbs, now } = engine;
afterEach(() => engine.reset());

/** A started campaign of so many leads, most of them laid in as an import leaves them. */
const running = async (leads: number, cap: number, fields: object = {}) => {
  const owner = await engine.account({ cap });
  const campaign = await engine.campaign(owner, { retry: { max_attempts: 1 }, ...fields });
  await engine.leads(owner.account, campaign, phones(1));
  await db.pool.query(
    `insert into ringleader.leads (id, account_id, campaign_id, phone, status, next_attempt_at, created_at)
     select gen_random_uuid(), $1, $2, '+1201' || (2000000 + n), 'waiting', $4, $4 from generate_series(1, $3::int) n`,
    [owner.account, campaign, leads - 1, now()],
  );
  await verbs.startCampaign(owner.account, now(), campaign);
  return { ...owner, owner, campaign };
};
/** Every call on the line ends, its lead with it. */
const allEnd = (): Promise<unknown> =>
  db.pool.query(
    `with over as (update ringleader.calls set status = 'no_answer', disposition = 'no_answer', released_at = $1, ended_at = $1
       where reserved_at is not null and released_at is null returning id, lead_id),
       closed as (delete from ringleader.open_calls o using over where o.call_id = over.id)
     update ringleader.leads l set status = 'unreached', attempts = 1 from over where l.id = over.lead_id`,
    [now()],
  );
const claim = async (limit: number, systemCap: number): Promise<Map<string, number>> => {
  const { calls } = await verbs.claimCalls(now(), randomUUID(), limit, systemCap);
  return new Map([...Map.groupBy(calls, (call) => call.account_id)].map(([account, own]) => [account, own.length]));
};

describe('fairness as numbers (class 16)', () => {
  test('beside an account with 100,000 leads, 99 with 100 each finish as if each had its fair share alone', async () => {
    const CAP = 50;
    const big = await running(100_000, CAP);
    const small: string[] = [];
    for (let i = 0; i < 99; i += 1) small.push((await running(100, CAP)).account);
    await db.pool.query('vacuum analyze ringleader.leads');
    const got = new Map<string, number>();
    const finished = new Map<string, number>();
    for (let round = 1; finished.size < small.length && round <= 260; round += 1) {
      const claimed = await claim(CAP, CAP);
      expect([...claimed.values()].reduce((sum, n) => sum + n, 0)).toBe(CAP);
      for (const [account, n] of claimed) {
        got.set(account, (got.get(account) ?? 0) + n);
        if (got.get(account) === 100 && account !== big.account) finished.set(account, round);
      }
      await allEnd();
      engine.pass(1 / 60);
    }
    // 50 slots among 100 accounts are half a slot each: 100 leads take 200 rounds.
    const rounds = [...finished.values()];
    expect(rounds).toHaveLength(99);
    expect(Math.max(...rounds)).toBeLessThanOrEqual(204);
    expect(Math.min(...rounds)).toBeGreaterThanOrEqual(196);
    expect(got.get(big.account)).toBeGreaterThanOrEqual(96);
    expect(got.get(big.account)).toBeLessThanOrEqual(204);
  }, 120_000);

  test('1,000 accounts with one lead each are all served, none twice, whatever the size of the claim', async () => {
    const template = await running(1, 5);
    await db.pool.query(
      `do $$ declare n int; a uuid; g uuid; k uuid; begin
         for n in 1..999 loop
           a := gen_random_uuid(); g := gen_random_uuid(); k := gen_random_uuid();
           insert into ringleader.accounts (id, name, email, timezone, max_concurrent_calls, created_at) select a, name, email, timezone, max_concurrent_calls, created_at from ringleader.accounts where id = '${template.account}';
           insert into ringleader.agents (id, account_id, name, provider, provider_agent_id, credentials_sealed, created_at) select g, a, name, provider, provider_agent_id, credentials_sealed, created_at from ringleader.agents where id = '${template.agent}';
           insert into ringleader.campaigns (id, account_id, agent_id, name, status, window_days, window_start, window_end, created_at, started_at) select k, a, g, name, status, window_days, window_start, window_end, created_at, started_at from ringleader.campaigns where id = '${template.campaign}';
           insert into ringleader.campaign_zones (account_id, campaign_id, zone, opens_at, closes_at, next_due_at) select a, k, zone, opens_at, closes_at, next_due_at from ringleader.campaign_zones where campaign_id = '${template.campaign}';
           insert into ringleader.leads (id, account_id, campaign_id, phone, status, next_attempt_at, created_at) select gen_random_uuid(), a, k, phone, status, next_attempt_at, created_at from ringleader.leads where campaign_id = '${template.campaign}';
         end loop; end $$`,
    );
    const served: string[] = [];
    for (let size = await claim(37, 5000); size.size > 0; size = await claim(37, 5000)) {
      expect([...size.values()].every((n) => n === 1)).toBe(true);
      served.push(...size.keys());
    }
    expect(served).toHaveLength(1000);
    expect(new Set(served).size).toBe(1000);
  }, 60_000);

  test('one campaign of thousands beside tiny ones of the same account takes turns with them', async () => {
    const big = await running(5000, 12);
    for (let i = 0; i < 3; i += 1) {
      const tiny = await engine.campaign(big.owner);
      await engine.leads(big.account, tiny, phones(3, 100 + 10 * i));
      await verbs.startCampaign(big.account, now(), tiny);
    }
    const { calls } = await verbs.claimCalls(now(), randomUUID(), 12, 100);
    const each = [...Map.groupBy(calls, (call) => call.campaign_id).values()].map((own) => own.length);
    expect(each).toEqual([3, 3, 3, 3]);
  });

  test('campaigns of one account take turns under its pace, though they list the same numbers', async () => {
    const owner = await engine.account({ cap: 50 });
    await verbs.updateAccount(owner.account, now(), { calls_per_second: 1 });
    const names = new Map<string | null, string>();
    for (const [name, leads] of Object.entries({ short: 10, long: 30 })) {
      const campaign = await engine.campaign(owner, { retry: { max_attempts: 1 } });
      await engine.leads(owner.account, campaign, phones(leads));
      await verbs.startCampaign(owner.account, now(), campaign);
      names.set(campaign, name);
    }
    const turns: string[] = [];
    for (let second = 0; second < 16; second += 1) {
      const { calls } = await verbs.claimCalls(now(), randomUUID(), 100, 1000);
      turns.push(...calls.map((call) => names.get(call.campaign_id)!));
      engine.pass(1 / 60);
    }
    expect(
      turns.slice(2).every((name, i) => name !== turns[i + 1] && name === turns[i]),
      turns.join(' '),
    ).toBe(true);
    expect(turns).toHaveLength(16);
  });

  test('direct calls go before all campaigns, within the caps, and leave the rest to them (class 15)', async () => {
    const big = await running(5000, 4);
    const other = await running(10, 4);
    for (let n = 0; n < 6; n += 1)
      await verbs.requestDirectCall(big.account, now(), randomUUID(), big.agent, phones(1, 50_000 + n)[0], null, {});
    const kinds = async (): Promise<Record<string, number>> => {
      const { calls } = await verbs.claimCalls(now(), randomUUID(), 100, 6);
      const owners = new Map([
        [big.account, 'big'],
        [other.account, 'other'],
      ]);
      const counts: Record<string, number> = {};
      for (const { account_id, kind } of calls) {
        const key = `${owners.get(account_id)} ${kind}`;
        counts[key] = (counts[key] ?? 0) + 1;
      }
      return counts;
    };
    expect(await kinds()).toEqual({ 'big direct': 4, 'other campaign': 2 });
    await allEnd();
    const { 'big direct': direct, ...campaigns } = await kinds();
    expect(direct).toBe(2);
    expect(campaigns).toEqual({ 'big campaign': 1, 'other campaign': 3 });
    await allEnd();
    expect(await kinds()).toEqual({ 'big campaign': 3, 'other campaign': 3 });
  });

  test('a cap lowered below the live calls gives nothing until they are fewer; a paused campaign gives nothing at all', async () => {
    const one = await running(40, 10);
    expect(await claim(100, 100)).toEqual(new Map([[one.account, 10]]));
    await verbs.updateAccount(one.account, now(), { max_concurrent_calls: 4 });
    expect(await claim(100, 100)).toEqual(new Map());
    await allEnd();
    expect(await claim(100, 100)).toEqual(new Map([[one.account, 4]]));
    await allEnd();
    await verbs.pauseCampaign(one.account, now(), one.campaign);
    expect(await claim(100, 100)).toEqual(new Map());
    await verbs.resumeCampaign(one.account, now(), one.campaign);
    expect(await claim(100, 100)).toEqual(new Map([[one.account, 4]]));
  });
});
