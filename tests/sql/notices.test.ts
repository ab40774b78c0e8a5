import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { testDatabase } from '../support/database.ts';
import { createEngine, phones, scored } from '../support/engine.ts';

const db = await testDatabase();
const engine = createEngine(db);
const { verbs, now } = engine;
afterEach(() => engine.reset());

const running = async (n: number, fields: object = {}) => {
  const owner = await engine.account({ cap: 100 });
  const campaign = await engine.campaign(owner, fields);
  const leads = await engine.leads(owner.account, campaign, phones(n));
  await verbs.startCampaign(owner.account, now(), campaign);
  return { owner, account: owner.account, campaign, leads };
};
const mails = async (account: string, type: string) =>
  (await verbs.listNotifications(account, now(), null, 100)).filter((mail) => mail.type === type).reverse();
const taken = async () => (await verbs.sweepNotifications(now(), randomUUID(), 10, [])).taken;

describe('hot leads while the campaign runs', () => {
  test('the first is told at once, those of the next 15 minutes in one digest, and each once', async () => {
    const { owner, account } = await running(6);
    const calls = await engine.place();
    expect(await engine.tell(owner, calls[0].call_id, 'completed', scored(90))).toMatchObject({ mail_due: true });
    const [first] = await taken();
    expect(first).toMatchObject({ type: 'hot_lead' });
    expect((await verbs.noticeData(account, now(), first.id))!.hot_leads.map((lead) => lead.score)).toEqual([90]);
    await verbs.recordNotification(account, now(), first.id, 'sent', null, 'm');
    engine.pass(5);
    await engine.tell(owner, calls[1].call_id, 'completed', scored(80));
    await engine.tell(owner, calls[2].call_id, 'completed', scored(95));
    await engine.tell(owner, calls[3].call_id, 'completed', scored(20));
    expect(await taken()).toEqual([]);
    engine.pass(9.9);
    expect(await taken()).toEqual([]);
    engine.pass(0.1);
    const [digest] = await taken();
    expect((await verbs.noticeData(account, now(), digest.id))!.hot_leads.map((lead) => lead.score)).toEqual([95, 80]);
    expect(await taken()).toEqual([]);
    expect(await mails(account, 'hot_lead')).toHaveLength(2);
  });

  test('two hot leads of one moment share one mail', async () => {
    const { owner, account } = await running(3);
    const calls = await engine.place();
    await Promise.all(calls.slice(0, 2).map((call) => engine.tell(owner, call.call_id, 'completed', scored(90))));
    const [mail, ...more] = await taken();
    expect(more).toEqual([]);
    expect((await verbs.noticeData(account, now(), mail.id))!.hot_leads).toHaveLength(2);
  });

  test('a lead that becomes hot while the mail is being taken is told in the next, not in one that has gone without it', async () => {
    const { owner, account, leads } = await running(3);
    const calls = await engine.place();
    await engine.tell(owner, calls[0].call_id, 'completed', scored(90));
    const sweeper = new Client({ connectionString: db.appUrl });
    await sweeper.connect();
    try {
      await sweeper.query('begin');
      const { rows } = await sweeper.query<{ mails: { taken: { id: string }[] } }>(
        'select ringleader.sweep_notifications($1, $2, 1, $3) as mails',
        [now(), randomUUID(), '[]'],
      );
      let over = false;
      const second = engine.tell(owner, calls[1].call_id, 'completed', scored(80)).finally(() => (over = true));
      await vi.waitUntil(async () => {
        const sql = "select from pg_stat_activity where datname = $1 and wait_event_type = 'Lock' and query like '%apply_fact%'";
        return over || (await db.pool.query(sql, [db.name])).rowCount === 1;
      });
      await sweeper.query('commit');
      await second;
      const told = await verbs.noticeData(account, now(), rows[0].mails.taken[0].id);
      expect(told!.hot_leads.map((lead) => lead.score)).toEqual([90]);
      engine.pass(15);
      const [next] = await taken();
      const digest = await verbs.noticeData(account, now(), next.id);
      expect(digest!.hot_leads.map((lead) => lead.lead_id)).toEqual([leads[1]]);
    } finally {
      await sweeper.end();
    }
  });

  test('those not told of when the campaign completes are left to its summary', async () => {
    const { owner, account } = await running(1);
    const [call] = await engine.place();
    await engine.tell(owner, call.call_id, 'completed', scored(90));
    expect(await mails(account, 'hot_lead')).toMatchObject([{ status: 'skipped', reason: expect.stringContaining('summary') }]);
    expect((await taken()).map((mail) => mail.type)).toEqual(['campaign_summary']);
  });
});

describe('the breaker', () => {
  /** `ahead`: how many minutes the provider's clock is ahead of ours. */
  const fail = async (n: number, of: number, ahead = 0) => {
    const scene = await running(60);
    const calls = await engine.place(of);
    const ended_at = new Date(now().getTime() + ahead * 60_000).toISOString();
    for (const [i, call] of calls.entries()) {
      await engine.tell(scene.owner, call.call_id, i < of - n ? 'completed' : 'failed', { reason: 'no route', ended_at });
    }
    return scene;
  };

  test('half of 20 calls failed pause the campaign, name the calls and their reason, and tell once', async () => {
    const { account, campaign } = await fail(10, 20);
    const paused = await verbs.getCampaign(account, now(), campaign);
    expect(paused).toMatchObject({
      status: 'paused',
      pause_reason: expect.stringMatching(/^10 of the last 20 calls failed.*10× no route/),
    });
    expect(await mails(account, 'campaign_paused')).toHaveLength(1);
    const [mail] = (await taken()).filter((one) => one.type === 'campaign_paused');
    expect((await verbs.noticeData(account, now(), mail.id))!.pause_reason).toContain('no route');
  });

  test('fewer than half, or fewer than 20, pause nothing', async () => {
    const some = await fail(9, 20);
    expect(await verbs.getCampaign(some.account, now(), some.campaign)).toMatchObject({ status: 'active' });
    const few = await fail(19, 19);
    expect(await verbs.getCampaign(few.account, now(), few.campaign)).toMatchObject({ status: 'active' });
  });

  test.each([
    ['with ours', 0],
    ['ahead of ours', 5],
  ])('the mail of a pause names the calls that failed, the latest first, with their reasons: a clock %s', async (_, ahead) => {
    const { account } = await fail(12, 22, ahead);
    const [mail] = (await taken()).filter((one) => one.type === 'campaign_paused');
    const data = (await verbs.noticeData(account, now(), mail.id))!;
    expect(data.failed_calls).toHaveLength(10);
    expect(data.failed_calls[0]).toMatchObject({
      phone: expect.stringMatching(/^\+1415/),
      disposition: 'failed',
      reason: 'no route',
    });
  });

  test('a campaign that the last failing call completes is complete, not paused', async () => {
    const { owner, account, campaign } = await running(20);
    for (const call of await engine.place()) await engine.tell(owner, call.call_id, 'failed');
    expect(await verbs.getCampaign(account, now(), campaign)).toMatchObject({ status: 'completed' });
    expect(await mails(account, 'campaign_paused')).toEqual([]);
  });

  test('calls that ended more than ten minutes ago no longer count', async () => {
    const { owner, account, campaign } = await running(60);
    const calls = await engine.place(20);
    for (const call of calls.slice(0, 19)) await engine.tell(owner, call.call_id, 'failed');
    engine.pass(10);
    await engine.tell(owner, calls[19].call_id, 'failed');
    expect(await verbs.getCampaign(account, now(), campaign)).toMatchObject({ status: 'active' });
  });

  test.each([
    ['with ours', 0],
    ['ahead of ours', 5],
  ])('what failed before a person resumed the campaign does not count again: a clock %s', async (_, ahead) => {
    const { owner, account, campaign } = await fail(10, 20, ahead);
    engine.pass(1);
    await verbs.resumeCampaign(account, now(), campaign);
    const [call] = await engine.place(1);
    await engine.tell(owner, call.call_id, 'failed');
    expect(await verbs.getCampaign(account, now(), campaign)).toMatchObject({ status: 'active' });
  });
});

describe('what else is told', () => {
  test('an account that the provider refuses is told once per campaign', async () => {
    const { account } = await running(3);
    const calls = await engine.claim();
    await verbs.fenceCalls(
      now(),
      randomUUID(),
      calls.map((call) => call.call_id),
    );
    const refused = calls.map(({ call_id }) => ({
      call_id,
      outcome: 'refused' as const,
      refusal: 'account' as const,
      reason: '402: no credit',
    }));
    await verbs.recordCalls(now(), refused);
    expect(await mails(account, 'campaign_paused')).toHaveLength(1);
  });

  test('a call that ends for want of credit pauses its agent: the list is not burnt', async () => {
    const { owner, account, leads } = await running(2);
    await verbs.updateAccount(account, now(), { max_concurrent_calls: 1 });
    const [call] = await engine.place();
    await engine.tell(owner, call.call_id, 'failed', { account_refused: true, reason: 'balance-low' });
    expect(await engine.claim()).toEqual([]);
    expect(await verbs.explainLead(account, now(), leads[1], 100)).toMatchObject({ reasons: [{ code: 'provider_paused' }] });
    expect(await mails(account, 'campaign_paused')).toHaveLength(1);
  });

  test('nothing dialled for a day though leads wait is told once per dry spell', async () => {
    const { account } = await running(2);
    await verbs.updateAccount(account, now(), { max_concurrent_calls: 1 });
    engine.pass(24 * 60 - 1);
    await verbs.sweepNotifications(now(), randomUUID(), 0, []);
    expect(await mails(account, 'nothing_dialled')).toEqual([]);
    engine.pass(1);
    await verbs.sweepNotifications(now(), randomUUID(), 1, []);
    engine.pass(5);
    await verbs.sweepNotifications(now(), randomUUID(), 1, []);
    expect(await mails(account, 'nothing_dialled')).toHaveLength(1);
  });

  test('a weekend without a window is no silence; a Monday on which nothing is dialled is', async () => {
    const owner = await engine.account();
    const office = { days: [1, 2, 3, 4, 5], start: '09:00', end: '18:00' };
    const campaign = await engine.campaign(owner, { window: office, max_concurrent_calls: 1 });
    await engine.leads(owner.account, campaign, phones(2));
    await verbs.startCampaign(owner.account, now(), campaign);
    engine.set('2026-03-06T17:30:00Z'); // Friday
    const [call] = await engine.place();
    await engine.tell(owner, call.call_id, 'voicemail');
    await db.pool.query(`update ringleader.agents set paused_reason = 'no credit'`);
    const told = async (instant: string): Promise<number> => {
      engine.set(instant);
      await verbs.tick(now(), 10);
      return (await mails(owner.account, 'nothing_dialled')).length;
    };
    expect(await told('2026-03-07T18:00:00Z')).toBe(0);
    expect(await told('2026-03-08T12:00:00Z')).toBe(0);
    expect(await verbs.nextDue(now())).toBe('2026-03-09T09:30:00.000Z');
    expect(await told('2026-03-09T09:29:00Z')).toBe(0);
    expect(await told('2026-03-09T09:30:00Z')).toBe(1);
    expect(await told('2026-03-09T12:00:00Z')).toBe(1);
  });

  test('a bounce marks the address until the account changes it', async () => {
    const { owner, account } = await running(1);
    const [call] = await engine.place();
    await engine.tell(owner, call.call_id, 'voicemail');
    const [mail] = await taken();
    expect(await verbs.noteBounce(now(), mail.id, 'other@example.com', 'bounced: HardBounce')).toBe(false);
    expect(await verbs.noteBounce(now(), mail.id, 'Owner@example.com', 'bounced: HardBounce')).toBe(true);
    expect(await verbs.accountStatus(account, now(), [])).toMatchObject({ email_problem: 'bounced: HardBounce' });
    await verbs.updateAccount(account, now(), { email: 'new@example.com' });
    expect(await verbs.accountStatus(account, now(), [])).toMatchObject({ email_problem: null });
  });
});
