/** What a fact does beyond moving its call: repetitions, call backs, do-not-call, posted analyses. */
import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import type { CallFact } from '../../lib/verb-shapes.ts';
import { testDatabase } from '../support/database.ts';
import { createEngine, MONDAY, phones, scored } from '../support/engine.ts';
import { lookUp, type Owner } from './look-up.ts';

const db = await testDatabase();
const engine = createEngine(db);
const { verbs, now } = engine;
const { eventsOf, leadOf, running, statusOf } = lookUp(engine);
afterEach(() => engine.reset());

const [PHONE, OTHER] = phones(2);

describe('an id that a provider gives to two calls', () => {
  /** Two calls of one account and one of another, claimed and fenced together. */
  const placing = async () => {
    const owner = await engine.account();
    await running(owner, [PHONE, OTHER]);
    await running(await engine.account(), [PHONE]);
    const calls = await engine.claim();
    expect(calls).toHaveLength(3);
    await verbs.fenceCalls(
      now(),
      randomUUID(),
      calls.map((call) => call.call_id),
    );
    const twins = calls.filter((call) => call.account_id === owner.account).map((call) => call.call_id);
    expect(twins).toHaveLength(2);
    return { owner, calls, twins };
  };

  test('keeps no call of the same claim from being recorded', async () => {
    const { calls } = await placing();
    const accepted = { outcome: 'accepted', provider_call_id: 'same' } as const;
    await verbs.recordCalls(
      now(),
      calls.map(({ call_id }) => ({ call_id, ...accepted })),
    );
    for (const { account_id, call_id } of calls)
      expect(await verbs.getCall(account_id, now(), call_id)).toMatchObject({ status: 'queued', provider_call_id: 'same' });
  });

  test('lets each be told of that names our attempt', async () => {
    const { owner, twins } = await placing();
    for (const call of twins)
      expect(await engine.tell(owner, call, 'busy', { provider_call_id: 'same' })).toMatchObject({
        fate: 'applied',
        call_id: call,
      });
  });
});

describe('repetitions', () => {
  test('an event that comes again is counted, shown among the events up to twenty times, and does nothing (class 27)', async () => {
    const owner = await engine.account();
    await running(owner, [PHONE]);
    const [{ call_id: call }] = await engine.place();
    await engine.tell(owner, call, 'ringing', { payload: '{"a":1}' });
    for (let i = 0; i < 25; i += 1) {
      engine.pass(1);
      expect(await engine.tell(owner, call, 'ringing')).toMatchObject({ fate: 'duplicate', released: false });
    }
    const [first, ...again] = await eventsOf(owner.account, call);
    expect(first).toMatchObject({ fate: 'applied', repeats: 25, repeated_at: now().toISOString(), payload: '{"a":1}' });
    expect(again).toHaveLength(20);
    for (const event of again) expect(event).toMatchObject({ fate: 'duplicate', repeat_of: first.id, payload: null });
  });

  test('the same statement sent again, its answer lost, says the same and counts nothing', async () => {
    const owner = await engine.account();
    await running(owner, [PHONE]);
    const [{ call_id: call }] = await engine.place();
    const id = randomUUID();
    const fact: CallFact = { event_key: 'x', attempt_id: call, source: 'event', status: 'busy' };
    const one = await verbs.applyFact(owner.account, now(), owner.agent, id, { ...fact, status: 'completed', ...scored(80) });
    expect(one).toMatchObject({ fate: 'applied', status: 'completed', released: true, completed: true });
    expect(await verbs.applyFact(owner.account, now(), owner.agent, id, fact)).toMatchObject({
      fate: 'applied',
      status: 'completed',
      released: true,
      completed: true,
    });
    expect(await eventsOf(owner.account, call)).toMatchObject([{ repeats: 0 }]);
  });

  test('a status that nobody knows is kept and counted, moves nothing, and holds no slot for ever (class 28)', async () => {
    const owner = await engine.account();
    await running(owner, [PHONE]);
    const [{ call_id: call }] = await engine.place();
    const odd = (key: string, source: CallFact['source']) =>
      verbs.applyFact(owner.account, now(), owner.agent, randomUUID(), {
        event_key: key,
        attempt_id: call,
        source,
        provider_status: 'levitating',
        payload: 'as it came',
      });
    for (let minute = 0; minute < 13; minute += 1) {
      expect(await odd(`odd-${minute}`, 'event')).toMatchObject({ fate: 'unknown', status: 'queued' });
      await verbs.tick(now(), 100);
      await odd('read', 'read');
      engine.pass(1);
    }
    await verbs.tick(now(), 100);
    expect(await verbs.getCall(owner.account, now(), call)).toMatchObject({
      status: 'unknown',
      released_at: new Date(MONDAY.getTime() + 12 * 60_000).toISOString(),
    });
    expect((await eventsOf(owner.account, call))[0]).toMatchObject({
      fate: 'unknown',
      status: 'levitating',
      payload: 'as it came',
    });
    expect((await verbs.accountStatus(owner.account, now(), [])).unknown_events).toBe(14);
    expect((await verbs.systemStatus(now(), 10)).unknown_events).toBe(14);
  });
});

describe('a lead that calls back', () => {
  const inbound = (owner: Owner, status: CallFact['status'], more: Partial<CallFact> = {}) =>
    verbs.applyFact(owner.account, now(), owner.agent, randomUUID(), {
      event_key: `in-1:${status ?? 'odd'}`,
      provider_call_id: 'in-1',
      source: 'event',
      direction: 'inbound',
      from: PHONE,
      ...(status === undefined ? {} : { status }),
      ...more,
    });

  test('is another lead’s when the campaign of the first is deleted meanwhile, and nothing of the first is left', async () => {
    const owner = await engine.account();
    const older = await running(owner, [PHONE]);
    const newer = await running(owner, [PHONE]);
    const [dialled] = await engine.place();
    await engine.tell(owner, dialled!.call_id, 'completed', scored(10));
    const [over, other] = dialled!.campaign_id === older.campaign ? [older, newer] : [newer, older];
    expect(await inbound(owner, 'ringing')).toMatchObject({ fate: 'applied' });
    expect(await verbs.deleteCampaign(owner.account, now(), over.campaign)).toBe(true);
    expect((await db.pool.query('select from ringleader.open_calls')).rowCount).toBe(0);
    expect(await inbound(owner, 'in_progress')).toMatchObject({ fate: 'applied' });
    expect(await leadOf(owner.account, other.leads[0]!)).toMatchObject({ status: 'reached' });
  });

  test('is recorded for each of two agents that are told of the same call', async () => {
    const owner = await engine.account();
    await running(owner, [PHONE]);
    const agent = randomUUID();
    const bea = { id: agent, name: 'Bea', provider: 'bolna', provider_agent_id: 'agent-2', from_number: null } as const;
    const secrets = { credentials_sealed: 'sealed', webhook_secrets_sealed: null, analysis_mapping: null };
    await verbs.createAgent(owner.account, now(), { ...bea, ...secrets });
    const told = [await inbound(owner, 'ringing'), await inbound({ ...owner, agent }, 'ringing')];
    expect(told).toMatchObject([{ fate: 'applied' }, { fate: 'applied' }]);
    expect(await inbound({ ...owner, agent }, 'completed')).toMatchObject({ fate: 'applied' });
  });

  test('is reached, its pending attempts are canceled in every campaign, and what that completes is complete', async () => {
    const owner = await engine.account();
    const first = await running(owner, [PHONE], { retry: { no_answer_minutes: 60 } });
    const [dialled] = await engine.place();
    await engine.tell(owner, dialled.call_id, 'no_answer');
    const second = await running(owner, [PHONE, OTHER]);
    expect(await leadOf(owner.account, first.leads[0])).toMatchObject({ status: 'waiting', attempts: 1 });

    expect(await inbound(owner, 'ringing')).toMatchObject({ fate: 'applied', completed: false });
    expect(await leadOf(owner.account, first.leads[0])).toMatchObject({ status: 'waiting' });
    const answered = await inbound(owner, 'in_progress');
    expect(answered).toMatchObject({ fate: 'applied', released: false });
    for (const [lead, attempts] of [
      [first.leads[0], 1],
      [second.leads[0], 0],
    ] as const) {
      const row = await leadOf(owner.account, lead);
      expect(row).toMatchObject({ status: 'reached', disposition: 'completed', attempts, next_attempt_at: null });
    }
    // Its campaign waits for the end of the talk and for the analysis, which may make it hot.
    expect(await statusOf(owner.account, first.campaign)).toBe('active');
    expect(await inbound(owner, 'completed', scored(91))).toMatchObject({ fate: 'applied', completed: true });
    expect(await statusOf(owner.account, first.campaign)).toBe('completed');
    expect(await statusOf(owner.account, second.campaign)).toBe('active');

    const lead = await leadOf(owner.account, first.leads[0]);
    expect(lead).toMatchObject({ score: 91, temperature: 'hot' });
    expect(lead.calls).toHaveLength(2);
    expect(lead.calls[1]).toMatchObject({
      id: answered!.call_id,
      kind: 'campaign',
      direction: 'inbound',
      campaign_id: first.campaign,
      status: 'completed',
      reserved_at: null,
      score: 91,
    });
    const left = await engine.place();
    expect(left.map(({ phone }) => phone)).toEqual([OTHER]);
  });

  test('counts once, whatever order its events come in, and never takes a slot', async () => {
    const owner = await engine.account({ cap: 1 });
    const { leads } = await running(owner, [PHONE]);
    await inbound(owner, 'completed');
    for (const status of ['in_progress', 'ringing', 'completed'] as const) await inbound(owner, status);
    await inbound(owner, 'failed', { event_key: 'late' });
    const { calls, ...lead } = await leadOf(owner.account, leads[0]);
    expect(lead).toMatchObject({ status: 'reached', attempts: 0 });
    expect(calls).toMatchObject([{ direction: 'inbound', status: 'completed' }]);
    await running(owner, [OTHER]);
    await inbound(owner, 'in_progress', { event_key: 'b', provider_call_id: 'in-2' });
    expect((await verbs.accountStatus(owner.account, now(), [])).live_calls).toBe(0);
    expect(await engine.place()).toHaveLength(1);
  });

  test('two events of one inbound call at the same moment make one call', async () => {
    const owner = await engine.account();
    const { leads } = await running(owner, [PHONE]);
    const fates = await Promise.all(
      Array.from({ length: 8 }, (_, i) => inbound(owner, 'in_progress', { event_key: `same-${i}` })),
    );
    expect(new Set(fates.map((applied) => applied!.call_id)).size).toBe(1);
    expect((await leadOf(owner.account, leads[0])).calls).toHaveLength(1);
  });

  test('is not dialled although it was claimed, and a call under way is its last', async () => {
    const owner = await engine.account();
    const claimed = await running(owner, [PHONE]);
    const [reserved] = await engine.claim();
    await inbound(owner, 'completed');
    const { go, held } = await verbs.fenceCalls(now(), randomUUID(), [reserved.call_id]);
    expect([go, held]).toEqual([[], [{ call_id: reserved.call_id, reason: 'the lead called back' }]]);
    expect(await leadOf(owner.account, claimed.leads[0])).toMatchObject({ status: 'reached', attempts: 0 });

    const busy = await running(owner, [OTHER], { retry: { busy_minutes: 1 } });
    const [dialled] = await engine.place();
    await inbound(owner, 'in_progress', { event_key: 'c', provider_call_id: 'in-3', from: OTHER });
    expect(await leadOf(owner.account, busy.leads[0])).toMatchObject({ status: 'calling' });
    await engine.tell(owner, dialled.call_id, 'busy');
    expect(await leadOf(owner.account, busy.leads[0])).toMatchObject({ status: 'reached', disposition: 'completed' });
    engine.pass(5);
    expect(await engine.place()).toEqual([]);
  });

  test('whom nobody answered stays as it was; who was unreached and calls back is reached', async () => {
    const owner = await engine.account();
    const { leads, campaign } = await running(owner, [PHONE], { retry: { max_attempts: 1 } });
    const [{ call_id: call }] = await engine.place();
    await engine.tell(owner, call, 'no_answer');
    expect(await leadOf(owner.account, leads[0])).toMatchObject({ status: 'unreached' });
    await inbound(owner, 'no_answer');
    expect(await leadOf(owner.account, leads[0])).toMatchObject({ status: 'unreached' });
    expect(await statusOf(owner.account, campaign)).toBe('completed');
    await inbound(owner, 'completed', { event_key: 'd', provider_call_id: 'in-4' });
    expect(await leadOf(owner.account, leads[0])).toMatchObject({ status: 'reached' });
    expect(await statusOf(owner.account, campaign)).toBe('completed');
  });

  test('whom no lead of the account knows leaves nothing, in particular not in another account', async () => {
    const [owner, stranger] = [await engine.account(), await engine.account()];
    const { leads } = await running(owner, [PHONE]);
    expect(await inbound(stranger, 'completed')).toEqual({
      fate: 'ignored',
      call_id: null,
      status: null,
      released: false,
      completed: false,
    });
    const { rows } = await db.pool.query('select from ringleader.call_events');
    expect(rows).toEqual([]);
    expect(await leadOf(owner.account, leads[0])).toMatchObject({ status: 'waiting' });
  });

  test('whose end nobody tells is looked after like any call, and keeps its campaign open no longer than that', async () => {
    const owner = await engine.account();
    const { campaign } = await running(owner, [PHONE]);
    const call = (await inbound(owner, 'in_progress'))!.call_id!;
    engine.pass(10);
    const { look_at } = await verbs.tick(now(), 10);
    expect(look_at).toMatchObject([{ call_id: call, provider_call_id: 'in-1' }]);
    await verbs.noteUnasked(owner.account, now(), call);
    engine.pass(3);
    await verbs.tick(now(), 10);
    expect(await verbs.getCall(owner.account, now(), call)).toMatchObject({ status: 'unknown' });
    expect(await statusOf(owner.account, campaign)).toBe('completed');
  });
});

describe('a request not to be called', () => {
  const DNC: Partial<CallFact> = { analysis: { state: 'absent', do_not_call: true } };

  test('suppresses the number and its waiting leads in every campaign of the account, in one commit, and completes what that ends', async () => {
    const [owner, stranger] = [await engine.account(), await engine.account()];
    const here = await running(owner, [PHONE]);
    const [{ call_id: call }] = await engine.place(1);
    const [only, more, draft] = [
      await running(owner, [PHONE]),
      await running(owner, [PHONE, OTHER]),
      await engine.campaign(owner),
    ];
    const [inDraft] = await engine.leads(owner.account, draft, [PHONE]);
    const foreign = await running(stranger, [PHONE]);

    expect(await engine.tell(owner, call, 'completed', DNC)).toMatchObject({ fate: 'applied', completed: true });
    expect(await leadOf(owner.account, here.leads[0])).toMatchObject({ status: 'reached' });
    for (const lead of [only.leads[0], more.leads[0], inDraft])
      expect(await leadOf(owner.account, lead)).toMatchObject({ status: 'suppressed', next_attempt_at: null });
    expect(await leadOf(owner.account, more.leads[1])).toMatchObject({ status: 'waiting' });
    expect(await leadOf(stranger.account, foreign.leads[0])).toMatchObject({ status: 'waiting' });
    expect(await verbs.listSuppressions(owner.account, now(), null, 10)).toMatchObject([
      { phone: PHONE, reason: 'asked not to be called' },
    ]);
    expect(await verbs.listSuppressions(stranger.account, now(), null, 10)).toEqual([]);
    for (const { campaign } of [here, only]) expect(await statusOf(owner.account, campaign)).toBe('completed');
    expect(await statusOf(owner.account, more.campaign)).toBe('active');
    const { rows } = await db.pool.query<{ xmins: string }>(
      `select count(distinct x) as xmins from (select xmin::text x from ringleader.suppressions where account_id = $1
       union all select xmin::text from ringleader.leads where account_id = $1 and status = 'suppressed'
       union all select xmin::text from ringleader.call_events where call_id = $2) t`,
      [owner.account, call],
    );
    expect(rows[0].xmins).toBe('1');
    const dialled = await engine.place();
    expect(new Set(dialled.map(({ account_id, phone }) => `${account_id} ${phone}`))).toEqual(
      new Set([`${owner.account} ${OTHER}`, `${stranger.account} ${PHONE}`]),
    );
  });

  test('wins over a reservation, a retry, and a direct call that waits', async () => {
    const owner = await engine.account({ cap: 1 });
    const retried = await running(owner, [PHONE], { retry: { voicemail_minutes: 1 } });
    const [{ call_id: call }] = await engine.place();
    const other = await engine.account();
    const direct = randomUUID();
    await verbs.requestDirectCall(owner.account, now(), direct, owner.agent, PHONE, null, {});
    await engine.tell(owner, call, 'voicemail', DNC);
    expect(await leadOf(owner.account, retried.leads[0])).toMatchObject({ status: 'suppressed' });
    engine.pass(2);
    expect(await engine.claim()).toMatchObject([{ call_id: direct }]);
    expect((await verbs.fenceCalls(now(), randomUUID(), [direct])).held).toMatchObject([{ reason: 'suppressed' }]);
    expect(await verbs.getCall(owner.account, now(), direct)).toMatchObject({ status: 'canceled', reason: 'suppressed' });

    // The request comes with a late analysis, between the claim and the fence of the next attempt.
    const { leads } = await running(other, [OTHER], { retry: { no_answer_minutes: 1 } });
    const [first] = await engine.place();
    await engine.tell(other, first.call_id, 'no_answer');
    engine.pass(2);
    const [second] = await engine.claim();
    expect(second.lead_id).toBe(leads[0]);
    expect(await engine.tell(other, first.call_id, 'no_answer', { ...DNC, event_key: 'late' })).toMatchObject({
      fate: 'applied',
    });
    expect((await verbs.fenceCalls(now(), randomUUID(), [second.call_id])).go).toEqual([]);
    expect(await leadOf(other.account, leads[0])).toMatchObject({ status: 'suppressed' });
  });

  test('two at the same moment for one number in two campaigns wait for each other and lose nothing', async () => {
    const owner = await engine.account();
    const calls: string[] = [];
    for (let i = 0; i < 2; i += 1) {
      await running(owner, [PHONE, OTHER]);
      for (const { call_id: call } of await engine.place()) {
        await engine.tell(owner, call, 'completed');
        calls.push(call);
      }
    }
    expect(calls).toHaveLength(4);
    const applied = await Promise.all(
      calls.map((call) => engine.tell(owner, call, 'completed', { ...DNC, event_key: `${call}:dnc` })),
    );
    expect(applied.map((fact) => fact!.fate)).toEqual(Array.from({ length: 4 }, () => 'applied'));
    expect(await verbs.listSuppressions(owner.account, now(), null, 10)).toHaveLength(2);
  });

  test('lifted by a person, it is not renewed by a repetition', async () => {
    const owner = await engine.account();
    await running(owner, [PHONE]);
    const [{ call_id: call }] = await engine.place();
    await engine.tell(owner, call, 'completed', DNC);
    await verbs.deleteSuppression(owner.account, now(), PHONE);
    expect(await engine.tell(owner, call, 'completed', DNC)).toMatchObject({ fate: 'duplicate' });
    expect(await verbs.listSuppressions(owner.account, now(), null, 10)).toEqual([]);
  });
});

describe('a posted analysis', () => {
  const post = (owner: Owner, call: string, analysis: CallFact['analysis'], key = 'posted:1') =>
    verbs.applyFact(owner.account, now(), owner.agent, randomUUID(), {
      event_key: `${call}:${key}`,
      attempt_id: call,
      provider_status: 'analysis',
      source: 'posted',
      ...(analysis === undefined ? {} : { analysis: { raw: {}, ...analysis } }),
      payload: '{}',
    });

  test('completes the campaign that waits for it, tells of the hot lead, and counts once', async () => {
    const owner = await engine.account();
    const { campaign, leads } = await running(owner, phones(2));
    const [one, two] = await engine.place();
    for (const { call_id: call } of [one, two]) await engine.tell(owner, call, 'completed');
    expect(await statusOf(owner.account, campaign)).toBe('active');
    expect(await post(owner, one.call_id, { state: 'valid', score: 80 })).toMatchObject({ fate: 'applied', mail_due: true });
    expect(await post(owner, two.call_id, { state: 'invalid', reason: 'the score is not a number' })).toMatchObject({
      fate: 'applied',
      completed: true,
    });
    expect(await post(owner, one.call_id, { state: 'valid', score: 80 })).toMatchObject({ fate: 'duplicate' });
    expect(await leadOf(owner.account, leads[0])).toMatchObject({ score: 80, temperature: 'hot' });
    expect(await verbs.getCall(owner.account, now(), two.call_id)).toMatchObject({
      score: null,
      unscored_reason: 'the score is not a number',
    });
    expect(await statusOf(owner.account, campaign)).toBe('completed');
  });

  test('has its reasons beside the score, of call and lead; they go with the score, and what has none takes them away', async () => {
    const owner = await engine.account();
    const { leads } = await running(owner, [PHONE]);
    const [{ call_id: call }] = await engine.place();
    await engine.tell(owner, call, 'completed');
    const shown = async () => {
      const lead = await leadOf(owner.account, leads[0]);
      expect(lead.calls[0].reasons).toEqual(lead.reasons);
      return [lead.score, lead.reasons];
    };
    expect(await shown()).toEqual([null, []]);
    await post(owner, call, { state: 'valid', score: 80, reasons: ['has budget', 'decides "alone"'] });
    expect(await shown()).toEqual([80, ['has budget', 'decides "alone"']]);
    await post(owner, call, { state: 'invalid', reason: 'the score is not a number' }, 'posted:2');
    expect(await shown()).toEqual([80, ['has budget', 'decides "alone"']]);
    const [exported] = (await verbs.exportLeads(
      owner.account,
      now(),
      (await leadOf(owner.account, leads[0])).campaign_id,
      null,
      10,
    ))!;
    expect(exported.reasons).toEqual(['has budget', 'decides "alone"']);
    await post(owner, call, { state: 'valid', score: 12 }, 'posted:3');
    expect(await shown()).toEqual([12, []]);
  });

  test('with a tag and no score counts where there is no score, and takes none away', async () => {
    const owner = await engine.account();
    const { leads, campaign } = await running(owner, phones(2));
    const [{ call_id: call }] = await engine.place();
    await engine.tell(owner, call, 'completed');
    const shown = async () => {
      const { score, temperature, evidence, reasons, calls } = await leadOf(owner.account, leads[0]);
      expect(calls[0]).toMatchObject({ score, temperature, evidence, reasons });
      return [score, temperature, evidence, reasons];
    };
    await post(owner, call, { state: 'valid', tag: 'warm', evidence: 'polite' });
    expect(await shown()).toEqual([null, 'warm', 'polite', []]);
    await post(owner, call, { state: 'valid', score: 98, evidence: 'wants it', reasons: ['budget'] }, 'posted:2');
    expect(await shown()).toEqual([98, 'hot', 'wants it', ['budget']]);
    await post(owner, call, { state: 'valid', tag: 'cold', evidence: 'short' }, 'posted:3');
    expect(await shown()).toEqual([98, 'hot', 'wants it', ['budget']]);
    // A call is judged by the thresholds of today, as its lead is.
    await verbs.updateCampaign(owner.account, now(), campaign, { hot_score: 99 });
    expect(await shown()).toEqual([98, 'warm', 'wants it', ['budget']]);
  });

  test('late, it changes score and evidence, and reopens nothing; early, the end does not wait for another', async () => {
    const owner = await engine.account();
    const { campaign, leads } = await running(owner, [PHONE]);
    const [{ call_id: call }] = await engine.place();
    await post(owner, call, { state: 'valid', tag: 'warm' });
    expect(await engine.tell(owner, call, 'completed')).toMatchObject({ completed: true });
    engine.pass(60);
    expect(await post(owner, call, { state: 'valid', score: 12 }, 'posted:2')).toMatchObject({
      fate: 'applied',
      status: 'completed',
    });
    expect(await leadOf(owner.account, leads[0])).toMatchObject({ status: 'reached', score: 12, temperature: 'cold' });
    expect(await statusOf(owner.account, campaign)).toBe('completed');
  });

  test('of a call that was never placed is refused, and nothing is kept', async () => {
    const owner = await engine.account();
    await running(owner, [PHONE]);
    const [{ call_id: call }] = await engine.claim();
    await expect(post(owner, call, { state: 'valid', score: 1 })).rejects.toMatchObject({ status: 409, code: 'wrong_state' });
    expect(await eventsOf(owner.account, call)).toEqual([]);
  });
});

test('temperature follows the thresholds, inclusive, and none stays none', async () => {
  const table: [score: number | null, hot: number, warm: number, temperature: string | null][] = [
    [null, 70, 40, null],
    [100, 70, 40, 'hot'],
    [70, 70, 40, 'hot'],
    [69.99, 70, 40, 'warm'],
    [40, 70, 40, 'warm'],
    [39.99, 70, 40, 'cold'],
    [0, 70, 40, 'cold'],
    [0, 0, 0, 'hot'],
  ];
  for (const [score, hot, warm, temperature] of table) {
    const { rows } = await db.pool.query('select ringleader.temperature_of($1, $2, $3) as t', [score, hot, warm]);
    expect(rows).toEqual([{ t: temperature }]);
  }
  expect(table).toHaveLength(8);
});
