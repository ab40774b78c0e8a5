import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import { tick } from '../../functions/dispatch.ts';
import { dialRig } from '../dial/rig.ts';
import { testDatabase } from '../support/database.ts';
import { createEngine, phones } from '../support/engine.ts';

const db = await testDatabase();
const engine = createEngine(db);
const { verbs, now } = engine;
afterEach(() => engine.reset());

const running = async (leads: number, fields: object = {}, cap = 10) => {
  const owner = await engine.account({ cap });
  const campaign = await engine.campaign(owner, fields);
  const ids = await engine.leads(owner.account, campaign, phones(leads));
  await verbs.startCampaign(owner.account, now(), campaign);
  return { ...owner, owner, campaign, leads: ids };
};

/** From here on every change of a lead of this campaign fails, as a bug or a damaged row would make it. */
const breakCampaign = async (campaign: string): Promise<void> => {
  await db.pool.query(`create or replace function public.broken() returns trigger language plpgsql as $$
    begin raise exception using errcode = '22012', message = 'of ' || new.phone; end $$`);
  await db.pool.query(
    `create or replace trigger broken before update on ringleader.leads for each row when (new.campaign_id = '${campaign}') execute function public.broken()`,
  );
};
const mend = (): Promise<unknown> => db.pool.query('drop trigger broken on ringleader.leads');

describe('the tick: what fails for one never touches the next', () => {
  test('a campaign that cannot be ended is told by step, row and code, and all others end in the same tick', async () => {
    const hour = { ends_at: new Date(now().getTime() + 3_600_000).toISOString() };
    const all = [await running(2, hour), await running(2, hour), await running(2, hour)];
    const order = [...all].sort((a, b) => (a.campaign < b.campaign ? -1 : 1));
    await breakCampaign(order[0]!.campaign);
    engine.pass(60);
    const said = await verbs.tick(now(), 16);
    expect(said).toMatchObject({ expired_leads: 4, completed: 2 });
    expect(said.failed).toEqual([{ step: 'close_campaign', id: order[0]!.campaign, sqlstate: '22012' }]);
    const rig = dialRig(verbs, now);
    await tick(rig.deps);
    expect(rig.reports).toEqual(['call_dispatch_failed']);
    await mend();
    expect(await verbs.tick(now(), 16)).toMatchObject({ expired_leads: 2, completed: 1, failed: [] });
  });

  test('a reservation that cannot be given back keeps no other from it, and none from being dialled', async () => {
    const broken = await running(1);
    const sound = await running(1);
    const calls = await engine.claim();
    expect(calls).toHaveLength(2);
    await breakCampaign(broken.campaign);
    engine.pass(10);
    const rig = dialRig(verbs, now);
    await tick(rig.deps);
    expect(rig.reports).toEqual(['call_dispatch_failed']);
    expect(rig.dialled).toHaveLength(1);
    expect(await verbs.getLead(sound.account, now(), sound.leads[0]!)).toMatchObject({ status: 'calling', attempts: 1 });
    await mend();
  });

  test('a campaign that somebody has at that moment is left to the next tick: upkeep, which holds a lot, waits for nobody', async () => {
    const hour = { ends_at: new Date(now().getTime() + 3_600_000).toISOString() };
    const [held] = [await running(1, hour), await running(1, hour)];
    engine.pass(60);
    const client = await db.pool.connect();
    try {
      await client.query('begin');
      await client.query('select from ringleader.campaigns where id = $1 for update', [held!.campaign]);
      expect(await verbs.tick(now(), 16)).toMatchObject({ expired_leads: 2, completed: 1, failed: [] });
      expect(await verbs.sweepNotifications(now(), randomUUID(), 10, [])).toMatchObject({ completed: 0 });
    } finally {
      await client.query('rollback');
      client.release();
    }
    expect(await verbs.tick(now(), 16)).toMatchObject({ completed: 1, failed: [] });
  });

  test('a campaign whose silence cannot be told keeps no other from being told, nor any mail from being sent', async () => {
    const all = [await running(1), await running(1), await running(1)];
    const [broken, ...sound] = [...all].sort((a, b) => (a.campaign < b.campaign ? -1 : 1));
    await db.pool.query(`create or replace function public.broken_mail() returns trigger language plpgsql as $$
      begin raise exception using errcode = '22012', message = 'of ' || new.recipient; end $$`);
    await db.pool.query(
      `create trigger broken before insert on ringleader.notifications for each row when (new.campaign_id = '${broken!.campaign}') execute function public.broken_mail()`,
    );
    engine.pass(25 * 60);
    const { taken } = await verbs.sweepNotifications(now(), randomUUID(), 10, []);
    expect(new Set(taken.map((mail) => mail.campaign_id))).toEqual(new Set(sound.map(({ campaign }) => campaign)));
    expect((await verbs.tick(now(), 16)).failed).toEqual([{ step: 'tell_silence', id: broken!.campaign, sqlstate: '22012' }]);
    await db.pool.query('drop trigger broken on ringleader.notifications');
    expect((await verbs.tick(now(), 16)).failed).toEqual([]);
    expect(await verbs.listNotifications(broken!.account, now(), null, 10)).toMatchObject([{ type: 'nothing_dialled' }]);
  });

  test('the silence of the hundred-and-first campaign is told too', async () => {
    const owner = await engine.account();
    for (let i = 0; i < 101; i += 1) {
      const campaign = await engine.campaign(owner);
      await engine.leads(owner.account, campaign, phones(1));
      await verbs.startCampaign(owner.account, now(), campaign);
    }
    engine.pass(25 * 60);
    for (let i = 0; i < 2; i += 1) expect((await verbs.tick(now(), 16)).failed).toEqual([]);
    expect(await verbs.listNotifications(owner.account, now(), null, 200)).toHaveLength(101);
  });

  test('a zone that this Postgres does not know stays shut, and nobody else waits for it', async () => {
    const broken = await running(1, { timezone: 'Europe/Paris' });
    const sound = await running(2);
    await db.pool.query(`update ringleader.campaigns set timezone = 'Mars/Base' where id = $1`, [broken.campaign]);
    engine.pass(25 * 60); // its window has to be worked out again
    const calls = await engine.claim();
    expect(calls.map((call) => call.account_id)).toEqual([sound.account, sound.account]);
    expect((await verbs.tick(now(), 16)).failed).toEqual([]);
    expect(await verbs.explainLead(broken.account, now(), broken.leads[0]!, 1000)).toMatchObject({
      dialable: false,
      reasons: [{ code: 'unknown_timezone' }],
      next_eligible_at: null,
    });
  });

  test('a canceled campaign with more leads than one statement may end is ended over several ticks, which are due until then', async () => {
    const { account, campaign } = await running(1);
    await db.pool.query(
      `insert into ringleader.leads (id, account_id, campaign_id, phone, status, next_attempt_at, created_at)
       select gen_random_uuid(), $1, $2, '+1201' || (2000000 + n), 'waiting', now(), now() from generate_series(1, 45000) n`,
      [account, campaign],
    );
    await verbs.cancelCampaign(account, now(), campaign);
    let ticks = 0;
    while ((await verbs.nextDue(now())) === now().toISOString() && ticks < 10) {
      await verbs.tick(now(), 16);
      ticks += 1;
    }
    expect(ticks).toBe(2);
    const { rows } = await db.pool.query<{ n: number }>(
      `select count(*)::int as n from ringleader.leads where status = 'canceled'`,
    );
    expect(rows[0]!.n).toBe(45_001);
  }, 60_000);

  test('campaigns that end together, with more leads than one statement has time for, end over several ticks and keep nobody waiting', async () => {
    const other = await running(1);
    expect(await engine.claim(1)).toHaveLength(1);
    const ends_at = new Date(now().getTime() + 11 * 60_000).toISOString();
    const ending = [];
    for (let i = 0; i < 3; i += 1) ending.push(await running(1, { ends_at }));
    for (const { account, campaign } of ending)
      await db.pool.query(
        `insert into ringleader.leads (id, account_id, campaign_id, phone, status, next_attempt_at, created_at)
         select gen_random_uuid(), $1, $2, '+1201' || (2000000 + n), 'waiting', now(), now() from generate_series(1, 11999) n`,
        [account, campaign],
      );
    engine.pass(11);
    expect(await verbs.tick(now(), 16)).toMatchObject({ given_back: 1, expired_leads: 20_000, completed: 1, failed: [] });
    expect(Date.parse((await verbs.nextDue(now()))!)).toBeLessThanOrEqual(now().getTime());
    expect(await verbs.getLead(other.account, now(), other.leads[0]!)).toMatchObject({ status: 'waiting' });
    expect(await verbs.tick(now(), 16)).toMatchObject({ expired_leads: 16_000, completed: 2, failed: [] });
  }, 60_000);

  test('a campaign of very many lanes has their windows worked out a thousand at a time, and keeps nobody waiting', async () => {
    const odd = await running(1);
    const { account } = await running(1);
    await db.pool.query(
      `insert into ringleader.campaign_zones (account_id, campaign_id, zone, opens_at, closes_at, next_due_at)
       select $1, $2, 'Etc/GMT+' || repeat('0', n), $3, $3, $3 from generate_series(1, 1500) n`,
      [odd.account, odd.campaign, now()],
    );
    const shut = async (): Promise<number> => {
      const { rows } = await db.pool.query<{ n: number }>(
        'select count(*)::int as n from ringleader.campaign_zones where closes_at <= $1',
        [now()],
      );
      return rows[0]!.n;
    };
    expect(await shut()).toBe(1500);
    expect((await engine.claim()).map((call) => call.account_id)).toContain(account);
    expect(await shut()).toBe(500);
    await verbs.tick(now(), 16);
    expect(await shut()).toBe(0);
  });

  test('a zone spelled in other letters is the same lane, and is shown as it was given', async () => {
    const owner = await engine.account();
    const campaign = await engine.campaign(owner);
    for (const [i, zone] of ['Europe/Paris', 'europe/PARIS'].entries()) {
      const [id] = await engine.leads(owner.account, campaign, phones(1, i), zone);
      expect(await verbs.getLead(owner.account, now(), id!)).toMatchObject({ timezone: zone });
    }
    const { rows } = await db.pool.query('select zone from ringleader.campaign_zones where campaign_id = $1', [campaign]);
    expect(rows).toEqual([{ zone: 'europe/paris' }]);
    await verbs.startCampaign(owner.account, now(), campaign);
    expect(await engine.claim()).toHaveLength(2);
  });
});
