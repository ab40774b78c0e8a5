import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { afterEach, describe, expect, test } from 'vitest';
import { follow } from '../../lib/follow.ts';
import { refill, wakeDispatch } from '../../lib/dial.ts';
import { testDatabase } from '../support/database.ts';
import type { Applied, CallOutcome } from '../../lib/verb-shapes.ts';
import type { Verbs } from '../../lib/verbs.ts';
import { createEngine, phones } from '../support/engine.ts';
import { dialRig } from './rig.ts';
import { slotsOf } from './slots.ts';

const db = await testDatabase();
const engine = createEngine(db);
const { verbs, now } = engine;
const { running, live, hangUp } = slotsOf(engine);
afterEach(() => engine.reset());

describe('a refill ends with the record of its last calls', () => {
  /** The rig's use cases, with the verbs that they call in order. */
  const watched = (systemCap = 1000) => {
    const called: string[] = [];
    const noting = Object.fromEntries(
      Object.entries(verbs).map(([name, verb]) => [
        name,
        (...args: never[]) => {
          called.push(name);
          return (verb as (...args: never[]) => unknown)(...args);
        },
      ]),
    );
    return { called, rig: dialRig(noting as unknown as Verbs, now, systemCap) };
  };
  /** What is done between a claim and its record, once, and what the provider then answers. */
  const whileAsked = (
    rig: ReturnType<typeof dialRig>,
    work: () => Promise<unknown>,
    answer?: Omit<CallOutcome, 'call_id'>,
  ): void => {
    const { providers } = rig.deps;
    rig.deps.providers = {
      ...providers,
      bolna: {
        ...providers.bolna,
        async createCall(...args) {
          rig.deps.providers = providers;
          const taken = await providers.bolna.createCall(...args);
          await work();
          return answer ?? taken;
        },
      },
    };
  };
  const accepted = (calls: readonly { call_id: string }[]) =>
    calls.map(({ call_id }) => ({ call_id, outcome: 'accepted' as const, provider_call_id: `x-${call_id}` }));
  /** The refill's claim and fence, by hand; the answer's `record` records it as accepted. */
  const claimed = async (account: string, token: string) => {
    const claim = await verbs.claimCalls(now(), randomUUID(), 4, 1000, account, token);
    await verbs.fenceCalls(
      now(),
      randomUUID(),
      claim.calls.map((call) => call.call_id),
    );
    return { ...claim, record: () => verbs.recordCalls(now(), accepted(claim.calls), account, token) };
  };
  const isFree = (account: string): Promise<boolean> => verbs.beginRefill(account, now(), randomUUID());
  /** A slot that is freed in a transaction which stays open while `meanwhile` goes on. */
  const freedSlowly = async (
    owner: { account: string; agent: string },
    call: string,
    meanwhile: (commit: () => Promise<unknown>) => Promise<void>,
  ): Promise<void> => {
    const client = new Client({ connectionString: db.appUrl });
    await client.connect();
    try {
      const fact = { event_key: `${call}:slow`, attempt_id: call, status: 'in_progress', line_free: true, source: 'event' };
      await client.query('begin');
      const { rows } = await client.query<{ applied: Applied }>(
        'select ringleader.apply_fact($1, $2, $3, $4, $5, $6, null) as applied',
        [owner.account, now(), owner.agent, randomUUID(), fact, fact.attempt_id],
      );
      expect(rows[0]!.applied).toMatchObject({ released: true });
      expect(rows[0]!.applied.refill ?? null).toBeNull();
      await meanwhile(() => client.query('commit'));
    } finally {
      await client.end();
    }
  };

  test('so one freed slot costs three statements after its webhook: claim, fence, record', async () => {
    const { owner, account } = await running(5, 2);
    const [call] = await engine.place(2);
    const { rig, called } = watched();
    follow(rig.deps, (await hangUp(owner, call!.call_id))!);
    await rig.goOn();
    expect(called).toEqual(['claimCalls', 'fenceCalls', 'recordCalls']);
    expect(rig.dialled).toHaveLength(1);
    expect(rig.handedOver).toBe(0);
    expect(await isFree(account)).toBe(true);
  });

  test('but not when a slot is freed while the provider is asked: that one is filled by the same refill', async () => {
    const { owner, account } = await running(6, 3);
    const [one, two, three] = await engine.place(3);
    const { rig, called } = watched();
    const first = (await hangUp(owner, one!.call_id))!;
    whileAsked(rig, async () => {
      for (const call of [two, three]) expect((await hangUp(owner, call!.call_id))!.refill ?? null).toBeNull();
    });
    await refill(rig.deps, first.refill!);
    expect(rig.dialled).toHaveLength(3);
    // The second claim finds no more either, and nobody has come since: there is no third.
    expect(called.filter((name) => name === 'claimCalls')).toHaveLength(2);
    expect(await live(account)).toBe(3);
    expect(await isFree(account)).toBe(true);
  });

  test('but not when work is added while the provider is asked (class 17)', async () => {
    const { account, campaign } = await running(1, 50);
    const { rig } = watched();
    const mine = { account_id: account, token: randomUUID() };
    await verbs.beginRefill(account, now(), mine.token);
    whileAsked(rig, async () => {
      await engine.leads(account, campaign, phones(2, 100));
      wakeDispatch(rig.deps, account);
      await rig.goOn();
    });
    await refill(rig.deps, mine);
    expect(rig.dialled).toHaveLength(3);
    expect(rig.handedOver).toBe(0);
  });

  test('but not while somebody who found it under way has not committed, for whom it does not wait', async () => {
    const { owner, account } = await running(4, 2);
    const [one, two] = await engine.place(2);
    const { token } = (await hangUp(owner, one!.call_id))!.refill!;
    const claim = await claimed(account, token);
    expect(claim).toMatchObject({ dry: true });
    await freedSlowly(owner, two!.call_id, async (commit) => {
      expect(await claim.record()).toMatchObject({ refill_over: false });
      await commit();
    });
    const next = await claimed(account, token);
    expect(next.calls).toHaveLength(1);
    // It was marked after the record had looked.
    expect(await next.record()).toMatchObject({ refill_over: false });
    expect((await claimed(account, token)).calls).toEqual([]);
    expect(await isFree(account)).toBe(true);
  });

  test('but not by a record that is said again, its answer lost, after somebody had found it under way', async () => {
    const { account, campaign } = await running(1, 50);
    const token = randomUUID();
    await verbs.beginRefill(account, now(), token);
    const { dry, record } = await claimed(account, token);
    await engine.leads(account, campaign, phones(2, 100));
    expect([dry, await verbs.beginRefill(account, now(), randomUUID())]).toEqual([true, false]);
    for (const nth of ['first', 'again']) expect(await record(), nth).toMatchObject({ refill_over: false });
    expect(await isFree(account)).toBe(false);
  });

  test('but not when somebody relied on the mark of another and committed after the claim', async () => {
    const { owner, account } = await running(6, 3);
    const [one, two, three] = await engine.place(3);
    const { token } = (await hangUp(owner, one!.call_id))!.refill!;
    expect((await hangUp(owner, two!.call_id))!.refill ?? null).toBeNull();
    await freedSlowly(owner, three!.call_id, async (commit) => {
      const claim = await claimed(account, token);
      expect(claim).toMatchObject({ dry: true });
      expect(claim.calls).toHaveLength(2);
      await commit();
      expect(await claim.record()).toMatchObject({ refill_over: false });
    });
    const next = await claimed(account, token);
    expect(next.calls).toHaveLength(1);
    expect(await next.record()).toMatchObject({ refill_over: true });
  });

  test('but not when the fence gave a slot back', async () => {
    const { account } = await running(6, 2);
    const { rig } = watched();
    const mine = { account_id: account, token: randomUUID() };
    await verbs.beginRefill(account, now(), mine.token);
    const sound = rig.deps.verbs;
    rig.deps.verbs = {
      ...sound,
      async fenceCalls(at, token, ids) {
        rig.deps.verbs = sound;
        const call = (await verbs.getCall(account, now(), ids[0]!))!;
        await verbs.addSuppressions(account, now(), [{ phone: call.phone, reason: null }]);
        return sound.fenceCalls(at, token, ids);
      },
    };
    await refill(rig.deps, mine);
    expect(rig.dialled).toHaveLength(2);
    expect(await live(account)).toBe(2);
    expect(await isFree(account)).toBe(true);
  });

  test('but not when the provider refused a call, and with it gave its slot back', async () => {
    const { account } = await running(6, 2);
    const { rig } = watched();
    const mine = { account_id: account, token: randomUUID() };
    await verbs.beginRefill(account, now(), mine.token);
    whileAsked(rig, () => Promise.resolve(), { outcome: 'refused', refusal: 'invalid', reason: 'no such number' });
    await refill(rig.deps, mine);
    expect(rig.dialled).toHaveLength(3);
    expect(await live(account)).toBe(2);
    expect(await isFree(account)).toBe(true);
  });

  test('a refused call’s slot is free however often the record is sent', async () => {
    const { account } = await running(6, 1);
    const token = randomUUID();
    await verbs.beginRefill(account, now(), token);
    const { calls } = await claimed(account, token);
    const record = () =>
      verbs.recordCalls(
        now(),
        calls.map(({ call_id }) => ({
          call_id,
          outcome: 'refused' as const,
          refusal: 'invalid' as const,
          reason: 'no such number',
        })),
        account,
        token,
      );
    expect(await record()).toMatchObject({ released: 1, refill_over: false });
    expect(await record()).toMatchObject({ released: 0, refill_over: false });
    expect(await isFree(account)).toBe(false);
  });

  test('and what holds the system’s cap is filled by whoever freed it, whosever the leads are', async () => {
    const waits = await running(4, 4);
    await verbs.pauseCampaign(waits.account, now(), waits.campaign);
    const busy = await running(2, 2);
    const [one, two] = await engine.place(2);
    await verbs.resumeCampaign(waits.account, now(), waits.campaign);
    const { rig, called } = watched(2);
    const first = (await hangUp(busy.owner, one!.call_id))!;
    whileAsked(rig, async () => {
      expect((await hangUp(busy.owner, two!.call_id))!.refill ?? null).toBeNull();
    });
    await refill(rig.deps, first.refill!);
    expect(rig.dialled).toHaveLength(2);
    expect(await live(waits.account)).toBe(2);
    expect(called.filter((name) => name === 'claimCalls')).toHaveLength(2);
    expect(await isFree(busy.account)).toBe(true);
  });

  test('whose place somebody else has taken is over, and leaves that one alone', async () => {
    const { account } = await running(2, 1);
    const token = randomUUID();
    await verbs.beginRefill(account, now(), token);
    const claim = await claimed(account, token);
    engine.pass(2);
    const other = randomUUID();
    expect(await verbs.beginRefill(account, now(), other)).toBe(true);
    expect(await claim.record()).toMatchObject({ refill_over: true });
    expect(await isFree(account)).toBe(false);
    expect(await verbs.endRefill(account, now(), other)).toBe(true);
  });

  describe('a claim is dry', () => {
    const claimIn = async (account: string, limit = 4) => {
      const token = randomUUID();
      await verbs.beginRefill(account, now(), token);
      return verbs.claimCalls(now(), randomUUID(), limit, 1000, account, token);
    };

    test('when it takes all that is due, or all slots, and not when it takes all that it may', async () => {
      const { account } = await running(3, 2);
      const { calls, dry } = await claimIn(account);
      expect([calls.length, dry]).toEqual([2, true]);
      const more = await running(3, 5);
      expect(await claimIn(more.account, 2)).toMatchObject({ dry: false });
    });

    test('not when it is repeated: what it left is no longer known', async () => {
      const { account } = await running(3, 2);
      const token = randomUUID();
      await verbs.beginRefill(account, now(), token);
      const id = randomUUID();
      const claim = () => verbs.claimCalls(now(), id, 4, 1000, account, token);
      const first = await claim();
      expect(first.dry).toBe(true);
      expect(await claim()).toEqual({ ...first, dry: false });
    });

    test('not when the pace holds a lead back', async () => {
      const { account } = await running(3, 5, { calls_per_second: 0.01 });
      const { calls, dry } = await claimIn(account);
      expect([calls.length, dry]).toEqual([1, false]);
    });

    test('not when somebody edits a lead that is due', async () => {
      const { account } = await running(2, 5);
      const client = await db.pool.connect();
      try {
        await client.query('begin');
        const held = await client.query(`select from ringleader.leads where account_id = $1 order by seq limit 1 for update`, [
          account,
        ]);
        expect(held.rowCount).toBe(1);
        const { calls, dry } = await claimIn(account);
        expect([calls.length, dry]).toEqual([1, false]);
        await client.query('rollback');
      } finally {
        client.release();
      }
    });

    test('only once it has looked into every lane, however many are due', async () => {
      const many = await running(1, 5);
      const behind = await running(3, 5);
      expect(await engine.place(3)).toHaveLength(3);
      const { account } = await running(1, 5);
      // Lanes whose leads are gone, which nobody has found empty yet.
      const { rowCount } = await db.pool.query(
        `insert into ringleader.campaign_zones (account_id, campaign_id, zone, opens_at, closes_at, window_rev, next_due_at)
         select $1, $2, 'zone ' || n, $3, $4, (select a.window_rev + k.window_rev from ringleader.accounts a, ringleader.campaigns k where a.id = $1 and k.id = $2), $3
         from generate_series(1, 500) n`,
        [many.account, many.campaign, now(), new Date(now().getTime() + 3_600_000)],
      );
      expect(rowCount).toBe(500);
      const { calls, dry } = await claimIn(account);
      expect(new Set(calls.map((call) => call.account_id))).toEqual(new Set([account, behind.account]));
      expect(dry).toBe(true);
    });
  });
});
