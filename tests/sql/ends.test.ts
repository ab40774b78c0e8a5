/** How calls, leads and campaigns end, and the mail that tells of it. */
import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { afterEach, describe, expect, test } from 'vitest';
import { testDatabase } from '../support/database.ts';
import { createEngine, phones, scored } from '../support/engine.ts';
import { lookUp } from './look-up.ts';

const db = await testDatabase();
const engine = createEngine(db);
const { verbs, now } = engine;
const { begun: running, leadOf: lead, summariesOf: mails } = lookUp(engine);
afterEach(() => engine.reset());

describe('retries and ends', () => {
  test('a lead is tried again after the minutes of its disposition, until its attempts are used (classes 13, 14)', async () => {
    const { owner, account, campaign, leads } = await running(1, { retry: { max_attempts: 2, busy_minutes: 15 } });
    const [first] = await engine.place();
    await engine.tell(owner, first.call_id, 'busy');
    expect(await verbs.explainLead(account, now(), leads[0], 1000)).toMatchObject({
      dialable: false,
      reasons: [{ code: 'waiting_for_retry' }],
    });
    engine.pass(14.9);
    expect(await engine.claim()).toEqual([]);
    expect(await verbs.getCampaign(account, now(), campaign)).toMatchObject({ status: 'active' });
    engine.pass(0.1);
    const [second] = await engine.place();
    expect(await engine.tell(owner, second.call_id, 'busy')).toMatchObject({ completed: true });
    expect(await lead(account, leads[0])).toMatchObject({ status: 'unreached', disposition: 'busy', attempts: 2 });
    expect((await verbs.getLead(account, now(), leads[0]))!.calls.map((call) => call.attempt)).toEqual([1, 2]);
  });

  test('a refusal to come back later costs no attempt, an impossible number ends the lead (class 6)', async () => {
    const { account, leads } = await running(2);
    const calls = await engine.claim();
    await verbs.fenceCalls(
      now(),
      randomUUID(),
      calls.map((call) => call.call_id),
    );
    const [later, invalid] = calls.map((call) => call.call_id) as [string, string];
    const answer = await verbs.recordCalls(now(), [
      { call_id: later, outcome: 'refused', refusal: 'later', retry_after_seconds: 30, reason: '429' },
      { call_id: invalid, outcome: 'refused', refusal: 'invalid', reason: 'no such number' },
    ]);
    expect(answer).toMatchObject({ released: 2 });
    expect(await lead(account, leads[0])).toMatchObject({ status: 'waiting', attempts: 0, disposition: null });
    expect(await lead(account, leads[1])).toMatchObject({ status: 'invalid', attempts: 0 });
    expect(await engine.claim()).toEqual([]);
    engine.pass(0.5);
    expect(await engine.claim()).toHaveLength(1);
  });

  test('a refusal that is recorded again, its answer lost, does not give back a direct call that somebody else is placing by then (class 8)', async () => {
    const { account, agent } = await engine.account();
    const id = randomUUID();
    await verbs.requestDirectCall(account, now(), id, agent, phones(1)[0]!, null, {});
    const [first, second] = [randomUUID(), randomUUID()];
    expect(await engine.claim()).toHaveLength(1);
    await verbs.fenceCalls(now(), first, [id]);
    const later = { call_id: id, outcome: 'refused', refusal: 'later', retry_after_seconds: 1, fence_token: first } as const;
    await verbs.recordCalls(now(), [later]);
    expect(await verbs.getCall(account, now(), id)).toMatchObject({ status: 'waiting' });
    engine.pass(1 / 60);
    expect(await engine.claim()).toHaveLength(1);
    expect((await verbs.fenceCalls(now(), second, [id])).go).toEqual([id]);
    await verbs.recordCalls(now(), [later]);
    expect(await verbs.getCall(account, now(), id)).toMatchObject({ status: 'placing' });
    expect(await verbs.recordCalls(now(), [{ ...later, fence_token: second }])).toMatchObject({ released: 1 });
  });

  test('a refused account pauses its agent instead of burning the list', async () => {
    const { owner, account, leads } = await running(3);
    const [call] = await engine.claim(1);
    await verbs.fenceCalls(now(), randomUUID(), [call.call_id]);
    const answer = await verbs.recordCalls(now(), [
      { call_id: call.call_id, outcome: 'refused', refusal: 'account', reason: '403' },
    ]);
    expect(answer.agent_paused).toBe(true);
    engine.pass(60);
    expect(await engine.claim()).toEqual([]);
    expect(await verbs.explainLead(account, now(), leads[0], 1000)).toMatchObject({
      reasons: [{ code: 'provider_paused' }],
      next_eligible_at: null,
    });
    await verbs.updateAgent(account, now(), owner.agent, { credentials_sealed: 'new' });
    expect(await engine.claim()).toHaveLength(3);
  });

  test('a create-call without an answer holds its slot, is looked for, and ends unknown when its lease is over', async () => {
    const { account, campaign, leads } = await running(1);
    const [call] = await engine.claim();
    await verbs.fenceCalls(now(), randomUUID(), [call.call_id]);
    await verbs.recordCalls(now(), [{ call_id: call.call_id, outcome: 'unknown', reason: 'answered 500' }]);
    engine.pass(1);
    const looked = await verbs.tick(now(), 10);
    expect(looked.look_at.map((look) => look.call_id)).toContain(call.call_id);
    expect(await verbs.noteUnfound(account, now(), call.call_id)).toMatchObject({ status: 'placing' });
    expect(await verbs.getAccount(account, now())).toMatchObject({ live_calls: 1 });
    engine.pass(9);
    expect(await verbs.noteUnfound(account, now(), call.call_id)).toMatchObject({
      status: 'unknown',
      released: true,
      completed: true,
    });
    expect(await lead(account, leads[0])).toMatchObject({ status: 'unreached', disposition: 'unknown' });
    expect(await verbs.getCampaign(account, now(), campaign)).toMatchObject({ status: 'completed' });
  });

  test('a reservation that nobody fences is given back when its lease is over (classes 4, 7)', async () => {
    const { account, leads } = await running(1);
    await engine.claim();
    engine.pass(10);
    expect(await verbs.tick(now(), 100)).toMatchObject({ given_back: 1 });
    expect(await lead(account, leads[0])).toMatchObject({ status: 'waiting', attempts: 0 });
    expect(await engine.claim()).toHaveLength(1);
  });

  test('a quiet call is looked at when its lease is over, and freed two ticks later if nobody can say (class 28)', async () => {
    const { account, leads } = await running(1);
    const [call] = await engine.place();
    engine.pass(10);
    expect((await verbs.tick(now(), 100)).look_at).toMatchObject([
      { call_id: call.call_id, provider_call_id: `x-${call.call_id}` },
    ]);
    await verbs.noteUnasked(account, now(), call.call_id);
    engine.pass(2);
    await verbs.tick(now(), 100);
    expect(await verbs.getCall(account, now(), call.call_id)).toMatchObject({ status: 'unknown' });
    expect(await lead(account, leads[0])).toMatchObject({ status: 'unreached' });
  });

  test('whoever is sent to ask the provider may die: another is sent, ten times, before nobody knows the end (class 7)', async () => {
    const { account, leads } = await running(1);
    const [call] = await engine.place();
    engine.pass(10);
    for (let sent = 1; sent <= 10; sent += 1) {
      expect((await verbs.tick(now(), 100)).look_at, `the ${sent}th`).toMatchObject([{ call_id: call.call_id }]);
      engine.pass(1);
      // Its slot is not held for it.
      if (sent > 2) expect(await verbs.getAccount(account, now()), `after the ${sent}th`).toMatchObject({ live_calls: 0 });
    }
    expect(await verbs.getCall(account, now(), call.call_id)).toMatchObject({ status: 'queued' });
    await verbs.tick(now(), 100);
    expect(await verbs.getCall(account, now(), call.call_id)).toMatchObject({ status: 'unknown' });
    expect(await lead(account, leads[0])).toMatchObject({ status: 'unreached' });
  });

  test('a slot that silence has freed is not freed again by a worker that comes to, and the next one of a direct call is its own (class 7)', async () => {
    const { owner, account } = await running(1);
    const direct = randomUUID();
    await verbs.requestDirectCall(account, now(), direct, owner.agent, phones(1, 500)[0]!, null, {});
    const calls = (await engine.claim()).map(({ call_id }) => call_id);
    expect(calls).toHaveLength(2);
    await verbs.fenceCalls(now(), randomUUID(), calls);
    engine.pass(12);
    await verbs.tick(now(), 100);
    const released = async (id: string) => (await verbs.getCall(account, now(), id))!.released_at;
    const freed = now().toISOString();
    for (const id of calls) expect(await released(id)).toBe(freed);
    engine.pass(1);
    const later = calls.map((call_id) => ({ call_id, outcome: 'refused' as const, refusal: 'later' as const }));
    await verbs.recordCalls(now(), later);
    expect(await released(calls.find((id) => id !== direct)!)).toBe(freed);
    expect(await verbs.getCall(account, now(), direct)).toMatchObject({ status: 'waiting', released_at: null });
    engine.pass(1);
    expect((await engine.claim()).map(({ call_id }) => call_id)).toContain(direct);
    expect(await released(direct)).toBeNull();
  });

  test('a call that the provider calls under way for ever ends unknown: after four hours, or an hour after it has hung up (class 19)', async () => {
    const talking = await running(1);
    const [talk] = await engine.place();
    const hungUp = await running(1);
    const [hung] = await engine.place();
    await engine.tell(hungUp.owner, hung!.call_id, 'in_progress', { line_free: true });
    const over: Record<string, number> = {};
    for (let minute = 0; minute < 5 * 60; minute += 5) {
      engine.pass(5);
      const { look_at } = await verbs.tick(now(), 100);
      for (const { call_id } of look_at) {
        const owner = call_id === talk!.call_id ? talking.owner : hungUp.owner;
        await engine.tell(owner, call_id, 'in_progress', { source: 'read', event_key: `read:${call_id}:in_progress` });
      }
      for (const one of [talking, hungUp]) {
        const { status } = await lead(one.account, one.leads[0]!);
        if (status === 'unreached') over[one.account] ??= minute + 5;
      }
    }
    expect(over[hungUp.account]).toBeGreaterThanOrEqual(60);
    expect(over[hungUp.account]).toBeLessThanOrEqual(80);
    expect(over[talking.account]).toBeGreaterThanOrEqual(240);
    expect(over[talking.account]).toBeLessThanOrEqual(260);
    expect(await verbs.getCampaign(talking.account, now(), talking.campaign)).toMatchObject({ status: 'completed' });
  });

  test('fewer attempts than before count at once: for who waits for a retry, and for who is reserved', async () => {
    const one = await running(2, { retry: { max_attempts: 3, no_answer_minutes: 10 } });
    const calls = await engine.place(2);
    for (const call of calls) await engine.tell(one.owner, call.call_id, 'no_answer');
    engine.pass(10);
    const [reserved] = await engine.claim(1);
    await verbs.updateCampaign(one.account, now(), one.campaign, { retry: { max_attempts: 1 } });
    const waiting = one.leads.find((id) => id !== reserved!.lead_id)!;
    expect(await lead(one.account, waiting)).toMatchObject({ status: 'unreached', disposition: 'no_answer', attempts: 1 });
    const { go } = await verbs.fenceCalls(now(), randomUUID(), [reserved!.call_id]);
    expect(go).toEqual([]);
    expect(await lead(one.account, reserved!.lead_id!)).toMatchObject({ status: 'unreached', attempts: 1 });
    expect(await verbs.getCampaign(one.account, now(), one.campaign)).toMatchObject({ status: 'completed' });
  });

  test('a fact that comes after `unknown` resolves it', async () => {
    const { owner, account, leads } = await running(1);
    const [call] = await engine.place();
    engine.pass(10);
    await verbs.tick(now(), 100);
    await verbs.noteUnasked(account, now(), call.call_id);
    engine.pass(2);
    await verbs.tick(now(), 100);
    expect(await engine.tell(owner, call.call_id, 'completed', scored(90))).toMatchObject({
      fate: 'applied',
      status: 'completed',
    });
    expect(await lead(account, leads[0])).toMatchObject({ status: 'reached', score: 90 });
    expect(await mails(account)).toHaveLength(1);
  });

  test('ends_at expires the leads that wait and completes the campaign (class 21)', async () => {
    const { account, campaign, leads } = await running(2, {
      ends_at: new Date(now().getTime() + 3_600_000).toISOString(),
      max_concurrent_calls: 1,
    });
    engine.pass(60);
    expect(await engine.claim()).toEqual([]);
    expect(await verbs.tick(now(), 100)).toMatchObject({ expired_leads: 2 });
    expect(await lead(account, leads[0])).toMatchObject({ status: 'expired' });
    expect(await verbs.getCampaign(account, now(), campaign)).toMatchObject({ status: 'completed' });
  });
});

describe('completion', () => {
  test('waits for the analysis of the last answered call, and for its grace when it never comes (class 37)', async () => {
    const { owner, account, campaign } = await running(1, { analysis_grace_minutes: 15 });
    const [call] = await engine.place();
    expect(await engine.tell(owner, call.call_id, 'completed')).toMatchObject({ completed: false });
    expect(await verbs.getCampaign(account, now(), campaign)).toMatchObject({ status: 'active' });
    engine.pass(8);
    expect((await verbs.tick(now(), 100)).look_at).toMatchObject([{ call_id: call.call_id }]);
    await verbs.noteUnfound(account, now(), call.call_id);
    expect(await mails(account)).toEqual([]);
    engine.pass(7);
    await verbs.tick(now(), 100);
    expect(await verbs.getCampaign(account, now(), campaign)).toMatchObject({ status: 'completed' });
    expect(await mails(account)).toHaveLength(1);
  });

  test('an hour beyond the grace, no longer waits for analyses for which the provider could not be asked within another', async () => {
    const { owner, account, campaign } = await running(200, { analysis_grace_minutes: 15 }, 200);
    const calls = await engine.place(200);
    expect(calls).toHaveLength(200);
    for (const call of calls) await engine.tell(owner, call.call_id, 'completed');
    const missing = async (): Promise<number> => {
      const { rows } = await db.pool.query<{ n: number }>(
        'select count(*)::int as n from ringleader.calls where analysis_due_at is not null',
      );
      return rows[0]!.n;
    };
    // One is asked about in a minute, the first after half the grace.
    for (let minute = 1; minute < 75; minute += 1) {
      engine.pass(1);
      const { look_at: looks } = await verbs.tick(now(), 1);
      expect(looks).toHaveLength(minute < 8 ? 0 : 1);
      for (const { call_id: call } of looks) await verbs.noteUnfound(account, now(), call);
    }
    expect(await missing()).toBeGreaterThan(130);
    engine.pass(1);
    await verbs.tick(now(), 1);
    expect(await missing()).toBeLessThanOrEqual(62);
    expect(await verbs.getCampaign(account, now(), campaign)).toMatchObject({ status: 'active' });
    for (let minute = 0; minute < 62; minute += 1) {
      engine.pass(1);
      for (const { call_id: call } of (await verbs.tick(now(), 1)).look_at) await verbs.noteUnfound(account, now(), call);
    }
    expect(await verbs.getCampaign(account, now(), campaign)).toMatchObject({ status: 'completed' });
  });

  test('two last events at the same moment complete it once (classes 18, 33)', async () => {
    for (let round = 0; round < 10; round += 1) {
      const { owner, account, campaign } = await running(2);
      const calls = await engine.place();
      const own = calls.filter((call) => call.account_id === account);
      const answers = await Promise.all(own.map((call) => engine.tell(owner, call.call_id, 'voicemail')));
      expect(answers.filter((answer) => answer!.completed)).toHaveLength(1);
      expect(await verbs.getCampaign(account, now(), campaign)).toMatchObject({ status: 'completed' });
      expect(await mails(account)).toHaveLength(1);
    }
  });

  test('a paused campaign completes with its last lead; a read changes nothing (class 20)', async () => {
    const { owner, account, campaign } = await running(1);
    const [call] = await engine.place();
    await verbs.pauseCampaign(account, now(), campaign);
    await verbs.getCampaign(account, now(), campaign);
    expect(await mails(account)).toEqual([]);
    await engine.tell(owner, call.call_id, 'voicemail');
    expect(await verbs.getCampaign(account, now(), campaign)).toMatchObject({ status: 'completed' });
  });

  test('a canceled campaign owes a summary only if it made a call, and only when that call has ended', async () => {
    const none = await running(2);
    await verbs.cancelCampaign(none.account, now(), none.campaign);
    expect(await mails(none.account)).toEqual([]);
    const one = await running(2, { max_concurrent_calls: 1 });
    const [call] = await engine.place();
    await verbs.cancelCampaign(one.account, now(), one.campaign);
    expect(await mails(one.account)).toEqual([]);
    await engine.tell(one.owner, call.call_id, 'no_answer');
    expect(await mails(one.account)).toHaveLength(1);
    expect(await verbs.getCampaign(one.account, now(), one.campaign)).toMatchObject({
      status: 'canceled',
      counts: { leads: { canceled: 2 } },
    });
  });

  test('a running import keeps its campaign open, a dead one only as long as its lease', async () => {
    const { owner, account, campaign } = await running(1);
    const importId = randomUUID();
    await verbs.beginImport(account, now(), importId, campaign);
    const [call] = await engine.place();
    expect(await engine.tell(owner, call.call_id, 'voicemail')).toMatchObject({ completed: false });
    engine.pass(11);
    await verbs.sweepNotifications(now(), randomUUID(), 1, []);
    expect(await verbs.getCampaign(account, now(), campaign)).toMatchObject({ status: 'completed' });
    await expect(verbs.beginImport(account, now(), randomUUID(), campaign)).rejects.toMatchObject({
      status: 409,
      code: 'campaign_closed',
    });
  });

  test('an import whose lease has run out adds no leads to a campaign that is closing at that moment', async () => {
    const { account, campaign } = await running(1);
    const importId = randomUUID();
    await verbs.beginImport(account, now(), importId, campaign);
    engine.pass(11);
    const closing = new Client({ connectionString: db.appUrl });
    await closing.connect();
    try {
      await closing.query('begin');
      await closing.query('select ringleader.cancel_campaign($1, $2, $3)', [account, now(), campaign]);
      const texts = { name: null, email: null, company: null, timezone: null };
      const rows = [{ id: randomUUID(), row: 2, phone: '+14155559999', ...texts, variables: {} }];
      const late = verbs.importLeads(account, now(), importId, campaign, rows, []);
      await expect(late).rejects.toMatchObject({ status: 409, code: 'import_closed' });
      await closing.query('commit');
    } finally {
      await closing.end();
    }
    expect(await verbs.getCampaign(account, now(), campaign)).toMatchObject({
      status: 'canceled',
      counts: { leads: { canceled: 1 } },
    });
  });
});

describe('mail', () => {
  const owed = async () => {
    const one = await running(1);
    const [call] = await engine.place();
    await engine.tell(one.owner, call.call_id, 'voicemail');
    return one;
  };
  const take = async (off: string[] = []) => (await verbs.sweepNotifications(now(), randomUUID(), 10, off)).taken;

  test('is taken once by any number of sweeps; the same sweep sent again gets the same mails (class 33)', async () => {
    const { account } = await owed();
    const token = randomUUID();
    const first = await verbs.sweepNotifications(now(), token, 10, []);
    expect(first.taken).toHaveLength(1);
    expect((await verbs.sweepNotifications(now(), token, 10, [])).taken).toEqual(first.taken);
    expect((await Promise.all(Array.from({ length: 6 }, () => take()))).flat()).toEqual([]);
    expect(await verbs.recordNotification(account, now(), first.taken[0].id, 'sent', null, 'm-1')).toBe('sent');
    expect(await mails(account)).toMatchObject([{ status: 'sent', provider_message_id: 'm-1' }]);
    expect(await verbs.recordNotification(account, now(), first.taken[0].id, 'failed', 'late', null)).toBe('sent');
  });

  test('is skipped with its reason when switched off, and sent when a person asks (classes 32, 38)', async () => {
    const { account } = await owed();
    expect(await take(['campaign_summary'])).toEqual([]);
    const [skipped] = await mails(account);
    expect(skipped).toMatchObject({ status: 'skipped', reason: expect.stringContaining('configuration') });
    expect(await verbs.requestSend(account, now(), skipped.id)).toMatchObject({ status: 'pending' });
    expect(await take(['campaign_summary'])).toMatchObject([{ id: skipped.id }]);

    const quiet = await owed();
    await verbs.putPreferences(quiet.account, now(), {
      campaign_summary_emails: false,
      hot_lead_emails: true,
      campaign_paused_emails: true,
      nothing_dialled_emails: true,
    });
    expect(await take()).toEqual([]);
    expect(await mails(quiet.account)).toMatchObject([{ status: 'skipped', reason: expect.stringContaining('preferences') }]);
  });

  test('of unknown end is looked up after 1, 5, 15 and 60 minutes and never taken again by itself', async () => {
    const { account } = await owed();
    const [mail] = await take();
    await verbs.recordNotification(account, now(), mail.id, 'unknown', 'no answer', null);
    const seen: number[] = [];
    const told: boolean[] = [];
    const last: boolean[] = [];
    for (let minute = 1; minute <= 90; minute += 1) {
      engine.pass(1);
      const { taken, look_up } = await verbs.sweepNotifications(now(), randomUUID(), 10, []);
      expect(taken).toEqual([]);
      for (const { id, nth, last: said } of look_up) {
        seen.push(minute);
        told.push(said);
        last.push(await verbs.noteLookup(account, now(), id, nth, false));
        // A worker that stalled over this look-up counts no other.
        expect(await verbs.noteLookup(account, now(), id, nth, false)).toBe(said);
        await verbs.noteLookup(account, now(), id, nth - 1, true);
      }
    }
    expect(seen).toEqual([1, 5, 15, 60]);
    expect(last).toEqual([false, false, false, true]);
    expect(told).toEqual(last);
    expect(await mails(account)).toMatchObject([{ status: 'unknown' }]);
    expect(await verbs.requestSend(account, now(), mail.id)).toMatchObject({ status: 'pending' });
  });

  test('that is sent again on request ends as that sending ended: what was said of the one before, said again, counts no more', async () => {
    const { account } = await owed();
    const [first] = await take();
    const refusal = () => verbs.recordNotification(account, now(), first.id, 'failed', 'inactive', null, first.token);
    expect(await refusal()).toBe('failed');
    await verbs.requestSend(account, now(), first.id);
    const [second] = await take();
    expect(await refusal()).toBe('sending'); // its answer had been lost
    expect(await verbs.recordNotification(account, now(), second.id, 'sent', null, 'm-2', second.token)).toBe('sent');
    expect(await mails(account)).toMatchObject([{ status: 'sent', provider_message_id: 'm-2', reason: null }]);
  });

  test('whose worker died while sending is of unknown end; a transient failure is tried again for a day, then failed', async () => {
    const dead = await owed();
    await take();
    engine.pass(21);
    expect(await take()).toEqual([]);
    expect(await mails(dead.account)).toMatchObject([{ status: 'unknown' }]);

    const slow = await owed();
    const waits: number[] = [];
    let before: string = randomUUID();
    for (let minute = 0; minute <= 26 * 60; minute += 1) {
      const [mail] = (await take()).filter((one) => one.account_id === slow.account);
      if (mail) {
        // The word of whoever took it before, sent again because its answer was lost.
        const stale = verbs.recordNotification(slow.account, now(), mail.id, 'again', 'answered 429', null, before);
        expect(await stale).toBe('sending');
        waits.push(minute);
        await verbs.recordNotification(slow.account, now(), mail.id, 'again', 'answered 429', null, mail.token);
        before = mail.token;
      }
      engine.pass(1);
    }
    expect(waits.slice(0, 7)).toEqual([0, 1, 3, 7, 15, 31, 63]);
    expect(await mails(slow.account)).toMatchObject([{ status: 'failed', reason: 'answered 429' }]);
  });
});
