import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { afterEach, describe, expect, test } from 'vitest';
import { tick } from '../../functions/dispatch.ts';
import { follow } from '../../lib/follow.ts';
import { dispatch, placeDirectCall, refill, wakeDispatch } from '../../lib/dial.ts';
import { testDatabase } from '../support/database.ts';
import type { Applied } from '../../lib/verb-shapes.ts';
import { createEngine, phones } from '../support/engine.ts';
import { dialRig } from './rig.ts';
import { slotsOf } from './slots.ts';

const db = await testDatabase();
const engine = createEngine(db);
const { verbs, now } = engine;
const { running, live, hangUp } = slotsOf(engine);
afterEach(() => engine.reset());

describe('a refill', () => {
  test('of 200 slots freed at once, one is started, which ends at its limits and leaves the rest to the next tick', async () => {
    const { owner, account } = await running(400, 200);
    const calls = await engine.place(200);
    expect(calls).toHaveLength(200);
    const rig = dialRig(verbs, now);
    const told = await Promise.all(calls.map((call) => hangUp(owner, call.call_id)));
    for (const applied of told) follow(rig.deps, applied!);
    expect(told.filter((applied) => applied!.released)).toHaveLength(200);
    expect(rig.later).toHaveLength(1);
    await rig.goOn();
    expect(rig.dialled).toHaveLength(24);
    expect(rig.handedOver).toBe(1);
    // It has been given back: the next slot that is freed starts another.
    const [next] = rig.dialled;
    follow(rig.deps, (await hangUp(owner, next!))!);
    expect(rig.later).toHaveLength(1);
    await rig.goOn();
    await tick(rig.deps);
    expect(rig.dialled.length).toBeGreaterThan(64);
    expect(rig.reports).toEqual([]);
    expect(await live(account)).toBe(rig.dialled.length - 1);
  });

  test('is not started again by what starts, resumes, adds or changes while it runs; it dials all of that itself (class 17)', async () => {
    const { owner, account, campaign } = await running(1, 50);
    const rig = dialRig(verbs, now);
    const mine = { account_id: account, token: randomUUID() };
    expect(await verbs.beginRefill(account, now(), mine.token)).toBe(true);
    const second = await engine.campaign(owner);
    await engine.leads(account, second, phones(3, 100));
    await verbs.startCampaign(account, now(), second);
    wakeDispatch(rig.deps, account);
    await engine.leads(account, campaign, phones(2, 200));
    wakeDispatch(rig.deps, account);
    await verbs.pauseCampaign(account, now(), campaign);
    await verbs.resumeCampaign(account, now(), campaign);
    wakeDispatch(rig.deps, account);
    await rig.goOn();
    expect(rig.dialled).toEqual([]);
    await refill(rig.deps, mine);
    expect(rig.dialled).toHaveLength(6);
    expect(rig.handedOver).toBe(0);
    // Nobody has it any more.
    await engine.leads(account, campaign, phones(1, 300));
    wakeDispatch(rig.deps, account);
    await rig.goOn();
    expect(rig.dialled).toHaveLength(7);
  });

  test('of one account keeps nobody else from his', async () => {
    const one = await running(1, 5);
    const two = await running(1, 5);
    expect(await verbs.beginRefill(one.account, now(), randomUUID())).toBe(true);
    expect(await verbs.beginRefill(one.account, now(), randomUUID())).toBe(false);
    expect(await verbs.beginRefill(two.account, now(), randomUUID())).toBe(true);
  });

  test('follows a direct call that waits, and dials it when a slot is free (class 15)', async () => {
    const { owner, account, agent } = await running(3, 1);
    const [busy] = await engine.place(1);
    const rig = dialRig(verbs, now);
    const id = randomUUID();
    await verbs.requestDirectCall(account, now(), id, agent, '+14155559999', null, {});
    expect(await placeDirectCall(rig.deps, account, id)).toMatchObject({ position: 1 });
    await rig.goOn();
    expect(rig.dialled).toEqual([]);
    follow(rig.deps, (await hangUp(owner, busy!.call_id))!);
    await rig.goOn();
    expect(rig.dialled).toEqual([id]);
  });

  test('a direct call whose number is suppressed, or that is canceled, before it is placed is refused, not said to be accepted', async () => {
    const owner = await engine.account();
    const [phone] = phones(1, 800);
    const meddle = {
      suppressed: () => verbs.addSuppressions(owner.account, now(), [{ phone: phone!, reason: null }]),
      wrong_state: (id: string) => verbs.cancelCall(owner.account, now(), id),
    };
    for (const code of ['wrong_state', 'suppressed'] as const) {
      const id = randomUUID();
      await verbs.requestDirectCall(owner.account, now(), id, owner.agent, phone!, null, {});
      const claimCalls: typeof verbs.claimCalls = async (...asked) => {
        const claim = await verbs.claimCalls(...asked);
        if (claim.calls.length > 0) await meddle[code](id);
        return claim;
      };
      const rig = dialRig({ ...verbs, claimCalls }, now);
      expect(await placeDirectCall(rig.deps, owner.account, id)).toMatchObject({
        call: { status: 'canceled' },
        position: null,
        refused: { status: 409, code },
      });
      expect(rig.dialled).toEqual([]);
    }
  });

  test('whose worker died is over after a minute; the tick dispatches meanwhile', async () => {
    const { owner, account } = await running(10, 2);
    const calls = await engine.place(2);
    const first = (await hangUp(owner, calls[0]!.call_id))!;
    expect(first.refill).toMatchObject({ account_id: account });
    // Nobody runs it.
    const second = (await hangUp(owner, calls[1]!.call_id))!;
    expect(second).toMatchObject({ released: true });
    expect(second.refill ?? null).toBeNull();
    const rig = dialRig(verbs, now);
    await tick(rig.deps);
    expect(rig.dialled).toHaveLength(2);
    engine.pass(1);
    expect((await hangUp(owner, rig.dialled[0]!))!.refill).not.toBeNull();
  });

  test('taken by an event whose answer was lost is answered again when the event is sent again', async () => {
    const { owner, account } = await running(2, 1);
    const [call] = await engine.place(1);
    const event = randomUUID();
    const first = await hangUp(owner, call!.call_id, event);
    expect(first!.refill).toEqual({ account_id: account, token: event });
    expect((await hangUp(owner, call!.call_id, event))!.refill).toEqual(first!.refill);
    // The provider's own repetition is another request: it has taken nothing.
    expect((await hangUp(owner, call!.call_id))!.refill).toBeNull();
  });

  test('that waits for the pace keeps its place, and naps for no other account', async () => {
    const slow = await running(10, 10, { calls_per_second: 0.01 });
    const quick = await running(1, 10);
    await dispatch(dialRig(verbs, now).deps);
    const token = randomUUID();
    await verbs.beginRefill(slow.account, now(), token);
    const claim = (account: string, own: string) => verbs.claimCalls(now(), randomUUID(), 4, 1000, account, own);
    expect(await claim(slow.account, token)).toMatchObject({ calls: [], next_pace_at: expect.any(String), dry: false });
    expect(await verbs.beginRefill(slow.account, now(), randomUUID())).toBe(false);
    const other = randomUUID();
    await verbs.beginRefill(quick.account, now(), other);
    expect(await claim(quick.account, other)).toEqual({ calls: [], agents: [], next_pace_at: null, dry: false });
    expect(await verbs.beginRefill(quick.account, now(), randomUUID())).toBe(true);
  });
});

describe('no freed slot is overlooked', () => {
  test('a refill that finds nothing waits for who found it under way, and looks once more', async () => {
    const { owner, account, agent } = await running(2, 1);
    const [call] = await engine.place(1);
    const token = randomUUID();
    await verbs.beginRefill(account, now(), token);
    const client = new Client({ connectionString: db.appUrl });
    await client.connect();
    try {
      const fact = { event_key: 'line', attempt_id: call!.call_id, status: 'in_progress', line_free: true, source: 'event' };
      await client.query('begin');
      const { rows } = await client.query<{ applied: Applied }>(
        'select ringleader.apply_fact($1, $2, $3, $4, $5, $6, null) as applied',
        [owner.account, now(), agent, randomUUID(), fact, fact.attempt_id],
      );
      expect(rows[0]!.applied).toMatchObject({ released: true });
      expect(rows[0]!.applied.refill ?? null).toBeNull();
      const state = { over: false };
      const claim = verbs.claimCalls(now(), randomUUID(), 4, 1000, account, token).finally(() => (state.over = true));
      const waiting = `select count(*)::int as n from pg_locks where locktype = 'advisory' and not granted`;
      await expect
        .poll(async () => state.over || (await db.pool.query<{ n: number }>(waiting)).rows[0]!.n > 0, { timeout: 30_000 })
        .toBe(true);
      await client.query('commit');
      expect((await claim).calls).toHaveLength(1);
    } finally {
      await client.end();
    }
  });

  test('whoever finds a refill under way is seen by it, or refills himself: when all have ended, no slot is free while a lead waits', async () => {
    const CAP = 6;
    const { owner, account } = await running(900, CAP);
    const rig = dialRig(verbs, now);
    const started = { refills: 0, releases: 0 };
    /** One caller: hangs up and does what the answer says, as a webhook's invocation does. */
    const caller = async (call: string): Promise<void> => {
      const applied = (await hangUp(owner, call))!;
      started.releases += 1;
      if (!applied.refill) return;
      started.refills += 1;
      await refill(rig.deps, applied.refill);
    };
    await dispatch(rig.deps);
    for (let round = 0; round < 120; round += 1) {
      const line = rig.dialled.splice(0);
      expect(line).toHaveLength(CAP);
      await Promise.all(line.map(caller));
      expect(await live(account)).toBe(CAP);
    }
    expect(started.releases).toBe(120 * CAP);
    expect(started.refills).toBeGreaterThanOrEqual(120);
    expect(started.refills).toBeLessThan(120 * CAP);
    expect(rig.handedOver).toBe(0);
  }, 120_000);
});
