/** The way of a call through the verbs: claimed, fenced, told of; and the leads that it came from. */
import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import { testDatabase } from '../support/database.ts';
import { createEngine, phones, scored } from '../support/engine.ts';
import { lookUp } from './look-up.ts';
import { twoSessions } from './two-sessions.ts';

const db = await testDatabase();
const engine = createEngine(db);
const { verbs, now } = engine;
const { during, blocked } = twoSessions(db);
const { begun: running, leadOf: lead, summariesOf: mails } = lookUp(engine);
afterEach(() => engine.reset());

describe('claim', () => {
  test('reserves no more than the campaign, the account and the system allow, and the rest only when a slot is free (class 3)', async () => {
    const one = await running(10, { max_concurrent_calls: 3 }, 5);
    const first = await engine.claim();
    expect(first).toHaveLength(3);
    expect(await engine.claim()).toEqual([]);
    const second = await engine.campaign(one.owner);
    await engine.leads(one.account, second, phones(10, 500));
    await verbs.startCampaign(one.account, now(), second);
    expect(await engine.claim(100, 4)).toHaveLength(1);
    expect(await engine.claim()).toHaveLength(1);
    expect(await engine.claim()).toEqual([]);
    await verbs.cancelCampaign(one.account, now(), one.campaign);
    await verbs.cancelCampaign(one.account, now(), second);
    const { go, held } = await verbs.fenceCalls(
      now(),
      randomUUID(),
      first.map((call) => call.call_id),
    );
    expect([go.length, held.length]).toEqual([0, 3]);
  });

  test('sent again under the same id, it answers with the same calls', async () => {
    await running(5);
    const id = randomUUID();
    const first = await verbs.claimCalls(now(), id, 2, 1000);
    expect(first.calls).toHaveLength(2);
    expect(await verbs.claimCalls(now(), id, 2, 1000)).toEqual(first);
  });

  test('a number that is on the line in the account is not dialled a second time', async () => {
    const one = await running(1);
    const again = await engine.campaign(one.owner);
    const [twin] = await engine.leads(one.account, again, phones(1));
    await verbs.startCampaign(one.account, now(), again);
    const calls = await engine.claim();
    expect(calls).toHaveLength(1);
    expect(await verbs.explainLead(one.account, now(), twin, 1000)).toMatchObject({ dialable: false });
    await verbs.cancelCampaign(one.account, now(), one.campaign);
  });

  test('takes from every account before it takes more from one (class 16)', async () => {
    const big = await running(50, {}, 50);
    const small = await running(2, {}, 50);
    const calls = await engine.claim(4);
    expect(calls.filter((call) => call.account_id === small.account)).toHaveLength(2);
    await verbs.cancelCampaign(big.account, now(), big.campaign);
  });

  test('gives no id twice when a direct call is canceled under it: whoever claims gets the others', async () => {
    const one = await running(3);
    const direct = randomUUID();
    await verbs.requestDirectCall(one.account, now(), direct, one.owner.agent, phones(1, 900)[0]!, null, {});
    let claim: ReturnType<typeof engine.claim> | undefined;
    await during(
      (client) => client.query('select ringleader.cancel_call($1, $2, $3)', [one.account, now(), direct]),
      () => {
        claim = engine.claim(3);
        return blocked();
      },
    );
    expect(new Set((await claim)!.map((call) => call.lead_id))).toEqual(new Set(one.leads));
  });

  test('that parks a lane while leads are added to it leaves it awake for them (class 17)', async () => {
    const { account, campaign } = await running(2);
    const upload = randomUUID();
    await verbs.beginImport(account, now(), upload, campaign); // keeps the campaign open, though nobody is left in it
    await verbs.addSuppressions(
      account,
      now(),
      phones(2).map((phone) => ({ phone, reason: null })),
    );
    const [phone] = phones(1, 77);
    const row = { id: randomUUID(), row: 1, phone, name: null, email: null, company: null, timezone: null, variables: {} };
    let claim: ReturnType<typeof engine.claim> | undefined;
    await during(
      (client) =>
        client.query('select ringleader.import_leads($1, $2, $3, $4, $5::jsonb, $6::jsonb)', [
          account,
          now(),
          upload,
          campaign,
          JSON.stringify([row]),
          '[]',
        ]),
      () => {
        claim = engine.claim();
        return blocked();
      },
    );
    expect(await claim).toEqual([]);
    expect(await engine.claim()).toMatchObject([{ phone }]);
  });

  test('that has read a cap is over before the cap is lowered (class 3)', async () => {
    const { account, campaign } = await running(2);
    const lowered: Promise<unknown>[] = [];
    for (const lower of [
      () => verbs.updateCampaign(account, now(), campaign, { max_concurrent_calls: 1 }),
      () => verbs.updateAccount(account, now(), { max_concurrent_calls: 1 }),
    ])
      await during(
        (client) => client.query('select ringleader.claim_calls($1, $2, 1, 1000)', [now(), randomUUID()]),
        () => {
          lowered.push(lower());
          return blocked();
        },
      );
    expect(await Promise.all(lowered)).toMatchObject([{ max_concurrent_calls: 1 }, { max_concurrent_calls: 1 }]);
  });

  test('finds whoever can be dialled behind any number of campaigns whose numbers are all on the line (class 16)', async () => {
    const one = await running(1);
    const campaigns = await Promise.all(
      Array.from({ length: 210 }, async () => {
        const campaign = await engine.campaign(one.owner);
        await engine.leads(one.account, campaign, phones(1));
        return campaign;
      }),
    );
    expect(await engine.claim()).toHaveLength(1);
    for (const campaign of campaigns) await verbs.startCampaign(one.account, now(), campaign);
    engine.pass(1);
    const other = await running(3);
    expect((await engine.claim(1)).map((call) => call.account_id)).toEqual([other.account]);
    engine.pass(1);
    expect((await engine.claim(4)).map((call) => call.account_id)).toEqual([other.account, other.account]);
    expect(await engine.claim()).toEqual([]);
  });

  test('waits for the window of the lead, in the zone of the lead', async () => {
    const owner = await engine.account();
    const campaign = await engine.campaign(owner, {
      timezone: 'America/New_York',
      window: { days: [1, 2, 3, 4, 5], start: '09:00', end: '17:00' },
    });
    const [east] = await engine.leads(owner.account, campaign, phones(1));
    const [tokyo] = await engine.leads(owner.account, campaign, phones(1, 1), 'Asia/Tokyo');
    await verbs.startCampaign(owner.account, now(), campaign);
    expect(await engine.claim()).toEqual([]); // Monday 10:00 UTC: 05:00 in New York, 19:00 in Tokyo
    expect(await verbs.explainLead(owner.account, now(), east, 1000)).toMatchObject({
      dialable: false,
      reasons: [{ code: 'outside_campaign_window' }],
      next_eligible_at: '2026-03-02T14:00:00.000Z',
    });
    expect(await verbs.explainLead(owner.account, now(), tokyo, 1000)).toMatchObject({
      next_eligible_at: '2026-03-03T00:00:00.000Z',
    });
    engine.set('2026-03-02T14:00:00Z');
    expect((await engine.claim()).map((call) => call.lead_id)).toEqual([east]);
    engine.set('2026-03-03T00:00:00Z');
    expect((await engine.claim()).map((call) => call.lead_id)).toEqual([tokyo]);
  });

  test('keeps to the pace of calls per second', async () => {
    await running(10, { calls_per_second: 2 });
    expect(await engine.claim()).toHaveLength(2);
    const { calls, next_pace_at } = await verbs.claimCalls(now(), randomUUID(), 10, 1000);
    expect(calls).toEqual([]);
    expect(next_pace_at).not.toBeNull();
    engine.pass(1 / 60);
    expect((await engine.claim()).length).toBe(2);
  });

  test('the slowest pace that the contract allows keeps nobody else from calling', async () => {
    await running(3, { calls_per_second: 0.00001 });
    await verbs.updateAccount((await running(3)).account, now(), { calls_per_second: 0.00001 });
    await running(3);
    expect(await engine.claim()).toHaveLength(1 + 1 + 3);
    engine.pass(1440);
    expect(await engine.claim()).toEqual([]);
  });

  test('keeps to the pace of the account, whatever it calls for', async () => {
    const owner = await running(10);
    const { account } = owner;
    const second = await engine.campaign(owner);
    await engine.leads(account, second, phones(10, 100));
    await verbs.startCampaign(account, now(), second);
    await verbs.requestDirectCall(account, now(), randomUUID(), owner.agent, phones(1, 500)[0], null, {});
    await verbs.updateAccount(account, now(), { calls_per_second: 3 });
    const other = await running(2);
    const first = await engine.claim();
    const own = first.filter((call) => call.account_id === account).map(({ kind }) => kind);
    expect(own).toHaveLength(3);
    expect(own).toContain('direct');
    expect(first.filter((call) => call.account_id === other.account)).toHaveLength(2);
    expect(await engine.claim()).toEqual([]);
    engine.pass(1 / 60);
    expect(await engine.claim()).toHaveLength(3);
  });
});

describe('fence', () => {
  test('a suppression made after the claim still wins, and costs no attempt', async () => {
    const { account, campaign, leads } = await running(1);
    const [call] = await engine.claim();
    await verbs.addSuppressions(account, now(), [{ phone: call.phone, reason: 'asked' }]);
    const fenced = await verbs.fenceCalls(now(), randomUUID(), [call.call_id]);
    // It was the last of its campaign, so that the summary is due.
    expect(fenced).toEqual({ go: [], held: [{ call_id: call.call_id, reason: 'suppressed' }], mail_due: true });
    expect(await lead(account, leads[0])).toMatchObject({ status: 'suppressed', attempts: 0 });
    expect(await verbs.getCampaign(account, now(), campaign)).toMatchObject({ status: 'completed' });
  });

  test('a pause after the claim gives the reservation back, and the resumed campaign dials it as its first attempt', async () => {
    const { account, campaign, leads } = await running(1);
    const [call] = await engine.claim();
    await verbs.pauseCampaign(account, now(), campaign);
    const fenced = await verbs.fenceCalls(now(), randomUUID(), [call.call_id]);
    expect(fenced.go).toEqual([]);
    expect(await lead(account, leads[0])).toMatchObject({ status: 'waiting', attempts: 0 });
    expect(await engine.claim()).toEqual([]);
    await verbs.resumeCampaign(account, now(), campaign);
    const [again] = await engine.place();
    expect(again).toMatchObject({ attempt: 1, lead_id: leads[0] });
    expect(again.call_id).not.toBe(call.call_id);
  });

  test('lets a direct call through that no campaign call stands before', async () => {
    const { account, agent } = await engine.account();
    await verbs.requestDirectCall(account, now(), randomUUID(), agent, '+14155550001', null, {});
    const [call] = await engine.claim();
    expect((await verbs.fenceCalls(now(), randomUUID(), [call!.call_id])).go).toEqual([call!.call_id]);
  });

  test('of a reservation whose lease has ended stays shut', async () => {
    await running(1);
    const [call] = await engine.claim();
    engine.pass(10);
    expect((await verbs.fenceCalls(now(), randomUUID(), [call.call_id])).go).toEqual([]);
  });

  test('given back for another reason, a number that was suppressed meanwhile waits no more', async () => {
    const { account, campaign, leads } = await running(1);
    const [call] = await engine.claim();
    await verbs.pauseCampaign(account, now(), campaign);
    await verbs.addSuppressions(account, now(), [{ phone: call.phone, reason: 'asked' }]);
    engine.pass(10);
    expect((await verbs.tick(now(), 16)).given_back).toBe(1);
    expect(await lead(account, leads[0])).toMatchObject({ status: 'suppressed', attempts: 0 });
    expect(await verbs.getCampaign(account, now(), campaign)).toMatchObject({ status: 'completed' });
  });

  test('opens once: the same token hears the same answer, another token hears no', async () => {
    const { account } = await running(1);
    const [call] = await engine.claim();
    const token = randomUUID();
    const ids = [call.call_id];
    expect((await verbs.fenceCalls(now(), token, ids)).go).toEqual(ids);
    expect((await verbs.fenceCalls(now(), token, ids)).go).toEqual(ids);
    expect((await verbs.fenceCalls(now(), randomUUID(), ids)).go).toEqual([]);
    // It is being placed, and nobody else may dial it (class 8).
    expect(await verbs.getCall(account, now(), call!.call_id)).toMatchObject({ status: 'placing' });
    expect(await engine.claim()).toEqual([]);
  });
});

describe('events', () => {
  test('a call ends once, whatever comes again, late or out of order; its slot is free when the line is (class 27)', async () => {
    const { owner, account, campaign, leads } = await running(1);
    const [call] = await engine.place();
    const id = call.call_id;
    expect(await engine.tell(owner, id, 'in_progress')).toMatchObject({ fate: 'applied', released: false });
    expect(await engine.tell(owner, id, 'ringing')).toMatchObject({ fate: 'late', status: 'in_progress' });
    const freed = await engine.tell(owner, id, 'in_progress', { event_key: 'line', line_free: true });
    expect(freed).toMatchObject({ released: true, completed: false });
    expect(await verbs.getAccount(account, now())).toMatchObject({ live_calls: 0 });
    expect(await engine.tell(owner, id, 'completed', { duration_seconds: 30, ...scored(80) })).toMatchObject({
      released: false,
      completed: true,
    });
    expect(await engine.tell(owner, id, 'completed')).toMatchObject({ fate: 'duplicate', completed: false });
    expect(await engine.tell(owner, id, 'failed')).toMatchObject({ fate: 'late', status: 'completed' });
    expect(await lead(account, leads[0])).toMatchObject({ status: 'reached', score: 80, temperature: 'hot', attempts: 1 });
    expect(await verbs.getCampaign(account, now(), campaign)).toMatchObject({ counts: { calls: { completed: 1 } }, progress: 1 });
    expect(await mails(account)).toHaveLength(1);
  });

  test('events that come before the create-call answer are kept and applied in order when it comes (class 10)', async () => {
    const { owner, account, leads } = await running(1);
    const [call] = await engine.claim();
    await verbs.fenceCalls(now(), randomUUID(), [call.call_id]);
    const strange = (status: 'ringing' | 'no_answer') =>
      verbs.applyFact(account, now(), owner.agent, randomUUID(), {
        event_key: `e-${status}`,
        provider_call_id: 'px',
        status,
        source: 'event',
      });
    expect(await strange('no_answer')).toMatchObject({ fate: 'parked' });
    expect(await strange('ringing')).toMatchObject({ fate: 'parked' });
    expect(await strange('ringing')).toMatchObject({ fate: 'parked' });
    const recorded = await verbs.recordCalls(now(), [{ call_id: call.call_id, outcome: 'accepted', provider_call_id: 'px' }]);
    expect(recorded).toMatchObject({ released: 1 });
    expect(await lead(account, leads[0])).toMatchObject({ status: 'waiting', disposition: 'no_answer', attempts: 1 });
    const events = await verbs.listCallEvents(account, now(), call.call_id, null, 10);
    expect(events!.map((event) => event.fate)).toEqual(['applied', 'late']);
  });

  test('an event of an earlier attempt cannot touch a later one', async () => {
    const { owner, account, leads } = await running(1, { retry: { no_answer_minutes: 5 } });
    const [first] = await engine.place();
    await engine.tell(owner, first.call_id, 'no_answer');
    engine.pass(5);
    const [second] = await engine.place();
    expect(second).toMatchObject({ attempt: 2, lead_id: leads[0] });
    expect(await engine.tell(owner, first.call_id, 'completed')).toMatchObject({ fate: 'late', released: false });
    expect(await lead(account, leads[0])).toMatchObject({ status: 'calling' });
    expect(await verbs.getAccount(account, now())).toMatchObject({ live_calls: 1 });
  });
});

describe('imports', () => {
  test('a batch sent again adds nothing and answers the same; a number counts once per campaign (class 12)', async () => {
    const owner = await engine.account();
    const campaign = await engine.campaign(owner);
    await verbs.addSuppressions(owner.account, now(), [{ phone: '+14155550003', reason: null }]);
    const importId = randomUUID();
    await verbs.beginImport(owner.account, now(), importId, campaign);
    const rows = ['+14155550001', '+14155550002', '+14155550001', '+14155550003'].map((phone, i) => ({
      id: randomUUID(),
      row: i + 2,
      phone,
      name: 'Zoë, "Z"',
      email: null,
      company: null,
      timezone: null,
      variables: { note: "select ' drop\u2028" },
    }));
    const first = await verbs.importLeads(owner.account, now(), importId, campaign, rows, []);
    expect(first).toEqual({ imported: 3, duplicates: 1, suppressed: 1 });
    expect(await verbs.importLeads(owner.account, now(), importId, campaign, rows, [])).toEqual(first);
    await verbs.finishImport(owner.account, now(), importId, campaign);
    await expect(verbs.importLeads(owner.account, now(), importId, campaign, rows, [])).rejects.toMatchObject({
      code: 'import_closed',
    });
    expect(await verbs.getCampaign(owner.account, now(), campaign)).toMatchObject({
      counts: { leads: { waiting: 2, suppressed: 1 } },
    });
  });

  test('a campaign without a callable lead does not start', async () => {
    const owner = await engine.account();
    const campaign = await engine.campaign(owner);
    await expect(verbs.startCampaign(owner.account, now(), campaign)).rejects.toMatchObject({ status: 409, code: 'no_leads' });
  });
});
