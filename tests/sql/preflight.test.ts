/** The preflight of a campaign says what explain says of each of its leads, counted; its estimate keeps to caps, paces and windows. */
import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import { testDatabase } from '../support/database.ts';
import { createEngine, phones } from '../support/engine.ts';

const engine = createEngine(await testDatabase());
const { verbs, now } = engine;
afterEach(() => engine.reset());

/** The same, by asking of every single lead. */
const leadByLead = async (account: string, leads: readonly string[]) => {
  const counts: Record<string, number> = {};
  const next: string[] = [];
  let dialable = 0;
  for (const lead of leads) {
    const why = (await verbs.explainLead(account, now(), lead, 1000))!;
    for (const { code } of why.reasons) counts[code] = (counts[code] ?? 0) + 1;
    if (why.dialable) dialable += 1;
    if (why.next_eligible_at !== null) next.push(why.next_eligible_at);
  }
  return { leads: leads.length, dialable, counts, next_eligible_at: next.toSorted()[0] ?? null };
};
const preflight = async (account: string, campaign: string) => {
  const { reasons, ...rest } = (await verbs.preflightCampaign(account, now(), campaign, 1000))!;
  const counts: Record<string, number> = {};
  for (const { code, leads } of reasons) counts[code] = (counts[code] ?? 0) + leads;
  return { ...rest, counts };
};

/** Leads of four zones: waiting, on a call, to be tried again, suppressed, reached, used up. */
const mixed = async () => {
  const owner = await engine.account({ cap: 20 });
  const { account } = owner;
  const campaign = await engine.campaign(owner, {
    window: { days: [1, 2, 3, 4, 5], start: '09:00', end: '17:00' },
    retry: { max_attempts: 1 },
  });
  const here = await engine.leads(account, campaign, phones(8));
  const leads = [
    ...here,
    ...(await engine.leads(account, campaign, phones(3, 20), 'Asia/Tokyo')),
    ...(await engine.leads(account, campaign, phones(2, 40), 'America/New_York')),
    ...(await engine.leads(account, campaign, phones(1, 60), 'Nowhere/Land')),
  ];
  await verbs.addSuppressions(account, now(), [{ phone: phones(1, 21)[0], reason: null }]);
  await verbs.startCampaign(account, now(), campaign);
  const [busy, done] = await engine.place(3);
  await engine.tell(owner, busy.call_id, 'busy');
  await engine.tell(owner, done.call_id, 'completed');
  // The lead stays reached; its number is suppressed all the same.
  await verbs.addSuppressions(account, now(), [{ phone: done.phone, reason: null }]);
  await verbs.updateCampaign(account, now(), campaign, { retry: { max_attempts: 3 } });
  const again = await engine.claim(1);
  await verbs.fenceCalls(now(), randomUUID(), [again[0].call_id]);
  return { owner, account, campaign, leads };
};

describe('preflight', () => {
  test('says of an active campaign what explain says of each of its leads', async () => {
    const { account, campaign, leads } = await mixed();
    const expected = await leadByLead(account, leads);
    expect(Object.keys(expected.counts).toSorted()).toEqual(
      ['lead_final', 'number_in_call', 'outside_campaign_window', 'suppressed', 'unknown_timezone'].toSorted(),
    );
    expect(await preflight(account, campaign)).toMatchObject(expected);
    await verbs.updateAccount(account, now(), { max_concurrent_calls: 2 });
    const full = await leadByLead(account, leads);
    expect(full).toMatchObject({ dialable: 0, counts: { account_cap: expect.any(Number) } });
    expect(await preflight(account, campaign)).toMatchObject(full);
  });

  test('counts retries that are not due yet', async () => {
    const owner = await engine.account();
    const campaign = await engine.campaign(owner, { retry: { busy_minutes: 30 } });
    const leads = await engine.leads(owner.account, campaign, phones(5));
    await verbs.startCampaign(owner.account, now(), campaign);
    for (const call of await engine.place(2)) await engine.tell(owner, call.call_id, 'busy');
    const expected = await leadByLead(owner.account, leads);
    expect(expected).toMatchObject({ dialable: 3, counts: { waiting_for_retry: 2 } });
    expect(await preflight(owner.account, campaign)).toMatchObject(expected);
  });

  test('tells of a draft that it does not run, and what else would hold it up', async () => {
    const owner = await engine.account();
    const campaign = await engine.campaign(owner, { window: { days: [1], start: '09:00', end: '17:00' } });
    await engine.leads(owner.account, campaign, phones(3));
    await engine.leads(owner.account, campaign, phones(2, 10), 'Asia/Tokyo');
    expect(await preflight(owner.account, campaign)).toMatchObject({
      leads: 5,
      dialable: 0,
      counts: { campaign_not_active: 5, outside_campaign_window: 2 },
      next_eligible_at: now().toISOString(),
    });
  });
});

describe('the estimated finish', () => {
  const finish = async (fields: object, leads: number, cap = 10) => {
    const owner = await engine.account({ cap });
    const campaign = await engine.campaign(owner, fields);
    await engine.leads(owner.account, campaign, phones(leads));
    await verbs.startCampaign(owner.account, now(), campaign);
    return (await verbs.preflightCampaign(owner.account, now(), campaign, 1000))!.estimated_finish_at;
  };
  // Monday 10:00; an attempt takes a minute until the campaign has calls of its own.
  test.each([
    ['is a minute for as many leads as slots', {}, 10, 10, '2026-03-02T10:01:00.000Z'],
    ['is bound by the cap of the account', {}, 100, 10, '2026-03-02T10:10:00.000Z'],
    ['is bound by the cap of the campaign', { max_concurrent_calls: 1 }, 100, 10, '2026-03-02T11:40:00.000Z'],
    ['is bound by the pace', { calls_per_second: 0.05 }, 100, 10, '2026-03-02T10:33:20.000Z'],
    [
      'goes on in the next window',
      { window: { days: [1, 3], start: '09:00', end: '11:00' }, max_concurrent_calls: 1 },
      100,
      10,
      '2026-03-04T09:40:00.000Z',
    ],
    ['begins at starts_at', { starts_at: '2026-03-02T12:00:00.000Z' }, 100, 10, '2026-03-02T12:10:00.000Z'],
    ['is ends_at at the latest', { ends_at: '2026-03-02T10:05:00.000Z' }, 100, 10, '2026-03-02T10:05:00.000Z'],
  ])('%s', async (_, fields, leads, cap, expected) => expect(await finish(fields, leads, cap)).toBe(expected));

  test('takes each zone in its own hours, the one that closes first before the others', async () => {
    const owner = await engine.account({ cap: 1 });
    const campaign = await engine.campaign(owner, { window: { days: [1, 2, 3, 4, 5], start: '09:00', end: '17:00' } });
    await engine.leads(owner.account, campaign, phones(240));
    // In Nairobi the window closes at 14:00 UTC, the very time when it opens in New York.
    await engine.leads(owner.account, campaign, phones(30, 1000), 'America/New_York');
    await engine.leads(owner.account, campaign, phones(60, 2000), 'Africa/Nairobi');
    await verbs.startCampaign(owner.account, now(), campaign);
    const { estimated_finish_at } = (await verbs.preflightCampaign(owner.account, now(), campaign, 1000))!;
    expect(estimated_finish_at).toBe('2026-03-02T15:30:00.000Z');
  });

  test('is told from the calls that were made, and of none that waits nothing', async () => {
    const owner = await engine.account({ cap: 1 });
    const campaign = await engine.campaign(owner);
    await engine.leads(owner.account, campaign, phones(3));
    await verbs.startCampaign(owner.account, now(), campaign);
    const [first] = await engine.place(1);
    engine.pass(4);
    await engine.tell(owner, first.call_id, 'completed');
    expect(await verbs.preflightCampaign(owner.account, now(), campaign, 1000)).toMatchObject({
      average_call_seconds: 240,
      estimated_finish_at: '2026-03-02T10:12:00.000Z',
    });
    await verbs.cancelCampaign(owner.account, now(), campaign);
    expect(await verbs.preflightCampaign(owner.account, now(), campaign, 1000)).toMatchObject({
      dialable: 0,
      next_eligible_at: null,
      estimated_finish_at: null,
    });
  });
});
