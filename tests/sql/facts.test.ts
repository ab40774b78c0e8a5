/** What a fact does beyond moving its call: repetitions, call backs, do-not-call, posted analyses, pauses, and how long it is kept. */
import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import type { CallFact } from '../../lib/verbs.ts';
import { testDatabase } from '../support/database.ts';
import { createEngine, MONDAY, phones, scored } from '../support/engine.ts';

const db = await testDatabase();
const engine = createEngine(db);
const { verbs, now } = engine;
afterEach(() => engine.reset());

type Owner = Awaited<ReturnType<typeof engine.account>>;
const [PHONE, OTHER] = phones(2);

const leadOf = async (account: string, id: string) => (await verbs.getLead(account, now(), id))!;
const statusOf = async (account: string, campaign: string) => (await verbs.getCampaign(account, now(), campaign))!.status;
/** A started campaign with these leads. */
const running = async (owner: Owner, numbers: readonly string[], fields: object = {}) => {
  const campaign = await engine.campaign(owner, fields);
  const leads = await engine.leads(owner.account, campaign, numbers);
  await verbs.startCampaign(owner.account, now(), campaign);
  return { campaign, leads };
};
const eventsOf = async (account: string, call: string) => (await verbs.listCallEvents(account, now(), call, null, 200))!;

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

describe('a provider that refuses the account', () => {
  const agentOf = async (owner: Owner, tag: string | null, provider: 'bolna' | 'vapi' = 'bolna'): Promise<string> => {
    const id = randomUUID();
    await verbs.createAgent(owner.account, now(), {
      id,
      name: 'Bea',
      provider,
      provider_agent_id: id,
      from_number: null,
      credentials_sealed: 'sealed',
      ...(tag === null ? {} : { credentials_tag: tag }),
      webhook_secrets_sealed: null,
      analysis_mapping: null,
    });
    return id;
  };
  const paused = async (owner: Owner, agent: string) => (await verbs.getAgent(owner.account, now(), agent))!.paused_reason;

  test('is not dialled by any agent with these credentials, tells every campaign of theirs, and is again when they are set', async () => {
    const { account } = await engine.account();
    const owner = { account, agent: await agentOf({ account, agent: '' }, 'one') };
    const sister = { account, agent: await agentOf(owner, 'one') };
    const others = [await agentOf(owner, 'two'), await agentOf(owner, 'one', 'vapi'), await agentOf(owner, null)];
    const [own, hers] = [await running(owner, [PHONE]), await running(sister, [OTHER])];
    const [{ call_id: call }] = await engine.claim(1);
    await verbs.fenceCalls(now(), randomUUID(), [call]);
    await verbs.recordCalls(now(), [{ call_id: call, outcome: 'refused', refusal: 'account', reason: '402: no credit' }]);
    for (const agent of [owner.agent, sister.agent]) expect(await paused(owner, agent)).toBe('402: no credit');
    for (const agent of others) expect(await paused(owner, agent)).toBeNull();
    expect(await engine.claim()).toEqual([]);
    const mails = await verbs.listNotifications(account, now(), null, 10);
    expect(mails.map(({ type }) => type)).toEqual(['campaign_paused', 'campaign_paused']);
    expect(new Set(mails.map((mail) => mail.campaign_id))).toEqual(new Set([own.campaign, hers.campaign]));
    await verbs.updateAgent(account, now(), sister.agent, { credentials_sealed: 'again', credentials_tag: 'one' });
    expect(await engine.claim()).toHaveLength(2);
  });

  test('a reason that concerns the agent alone pauses it alone, from a refusal or from an event', async () => {
    const { account } = await engine.account();
    const owner = { account, agent: await agentOf({ account, agent: '' }, 'one') };
    const sister = { account, agent: await agentOf(owner, 'one') };
    await running(owner, [PHONE]);
    const [{ call_id: call }] = await engine.place();
    await engine.tell(owner, call, 'failed', { agent_refused: true, reason: 'assistant-not-found' });
    expect([await paused(owner, owner.agent), await paused(owner, sister.agent)]).toEqual(['assistant-not-found', null]);
    await running(sister, [OTHER]);
    const [{ call_id: next }] = await engine.place();
    await engine.tell(sister, next, 'failed', { account_refused: true, reason: 'balance-low' });
    expect(await paused(owner, sister.agent)).toBe('balance-low');
  });

  test('ends the direct calls that wait for it, also one that is claimed at that moment: none surprises days later (class 15)', async () => {
    const owner = await engine.account({ cap: 2 });
    const ids = [randomUUID(), randomUUID(), randomUUID()];
    for (const [i, id] of ids.entries())
      await verbs.requestDirectCall(owner.account, now(), id, owner.agent, phones(1, i)[0], null, {});
    const claimed = await engine.claim();
    expect(claimed).toHaveLength(2);
    await verbs.fenceCalls(now(), randomUUID(), [ids[0]]);
    await verbs.recordCalls(now(), [{ call_id: ids[0], outcome: 'refused', refusal: 'account', reason: '401' }]);
    await verbs.fenceCalls(now(), randomUUID(), [ids[1]]);
    for (const id of ids)
      expect(await verbs.getCall(owner.account, now(), id)).toMatchObject({
        status: 'failed',
        disposition: 'failed',
        reason: '401',
      });
    expect((await verbs.accountStatus(owner.account, now(), [])).live_calls).toBe(0);
  });

  test('is told although no campaign runs, once and by the name of the agent; the mail can be sent again', async () => {
    const { account } = await engine.account();
    const owner = { account, agent: await agentOf({ account, agent: '' }, 'one') };
    await agentOf(owner, 'one');
    const idle = await engine.campaign(owner);
    await engine.leads(account, idle, [PHONE]);
    const direct = randomUUID();
    await verbs.requestDirectCall(account, now(), direct, owner.agent, OTHER, null, {});
    await engine.claim();
    await verbs.fenceCalls(now(), randomUUID(), [direct]);
    const recorded = await verbs.recordCalls(now(), [
      { call_id: direct, outcome: 'refused', refusal: 'account', reason: '402: no credit' },
    ]);
    expect(recorded).toMatchObject({ agent_paused: true, mail_due: true });
    const [mail, ...more] = await verbs.listNotifications(account, now(), null, 10);
    expect(mail).toMatchObject({ type: 'campaign_paused', campaign_id: null, campaign_name: null, agent_name: 'Bea' });
    expect(more).toEqual([]);
    expect(await verbs.noticeData(account, now(), mail.id)).toMatchObject({
      campaign_id: null,
      agent: { id: owner.agent, name: 'Bea' },
      pause_reason: 'The provider refused the account: 402: no credit',
      hot_leads: [],
      failed_calls: [],
    });
    const { taken } = await verbs.sweepNotifications(now(), randomUUID(), 1, []);
    expect(taken).toMatchObject([{ id: mail.id, campaign_id: null }]);
    await verbs.recordNotification(account, now(), mail.id, 'failed', 'no', null);
    expect(await verbs.requestSend(account, now(), mail.id)).toMatchObject({ status: 'pending' });
  });

  test('goes on without new credentials when a person lifts the pause, for all who were paused with it and nobody else', async () => {
    const { account } = await engine.account();
    const owner = { account, agent: await agentOf({ account, agent: '' }, 'one') };
    const [sister, broken] = [await agentOf(owner, 'one'), await agentOf(owner, 'one')];
    await running({ account, agent: broken }, [OTHER]);
    const [{ call_id: odd }] = await engine.place();
    await engine.tell({ account, agent: broken }, odd, 'failed', { agent_refused: true, reason: 'assistant-not-found' });
    await running(owner, [PHONE]);
    const [{ call_id: call }] = await engine.claim();
    await verbs.fenceCalls(now(), randomUUID(), [call]);
    await verbs.recordCalls(now(), [{ call_id: call, outcome: 'refused', refusal: 'account', reason: '402' }]);
    const reasons = () => Promise.all([owner.agent, sister, broken].map((agent) => paused(owner, agent)));
    expect(await reasons()).toEqual(['402', '402', 'assistant-not-found']);
    await verbs.updateAgent(account, now(), sister, { name: 'Bea Two' });
    expect(await reasons()).toEqual(['402', '402', 'assistant-not-found']);
    expect(await verbs.updateAgent(account, now(), sister, { paused_reason: null })).toMatchObject({ paused_reason: null });
    expect(await reasons()).toEqual([null, null, 'assistant-not-found']);
    expect(await engine.claim()).toHaveLength(1);
  });

  test('agents of an earlier release are tagged once, and not over credentials that were set meanwhile', async () => {
    const { account, agent } = await engine.account();
    const newer = await agentOf({ account, agent }, 'new');
    const bare = await verbs.tagAgents(account, now(), 'bolna', []);
    expect(bare.map((one) => one.agent_id)).toEqual([agent]);
    const stale = [{ agent_id: agent, sealed: 'of yesterday', tag: 'one' }];
    expect(await verbs.tagAgents(account, now(), 'bolna', stale)).toHaveLength(1);
    const tags = [
      { agent_id: agent, sealed: 'sealed', tag: 'one' },
      { agent_id: newer, sealed: 'sealed', tag: 'one' },
    ];
    expect(await verbs.tagAgents(account, now(), 'bolna', tags)).toEqual([]);
    const { rows } = await db.pool.query('select id, credentials_tag from ringleader.agents where account_id = $1', [account]);
    expect(new Map(rows.map((row: { id: string; credentials_tag: string }) => [row.id, row.credentials_tag]))).toEqual(
      new Map([
        [agent, 'one'],
        [newer, 'new'],
      ]),
    );
  });
});

describe('a call that the provider took and did not dial', () => {
  test('costs no attempt and counts nowhere: its lead waits half a minute and is tried again, whatever comes after', async () => {
    const owner = await engine.account({ cap: 1 });
    const { campaign, leads } = await running(owner, [PHONE, OTHER], { retry: { max_attempts: 1 } });
    const [{ call_id: call }] = await engine.place(1);
    const ended = await engine.tell(owner, call, 'failed', {
      undialled: true,
      line_free: true,
      reason: 'concurrency_limit_reached',
    });
    expect(ended).toMatchObject({ fate: 'applied', status: 'failed', released: true, completed: false });
    expect(await verbs.getCall(owner.account, now(), call)).toMatchObject({
      status: 'failed',
      disposition: null,
      released_at: now().toISOString(),
      reason: 'concurrency_limit_reached',
    });
    const again = new Date(now().getTime() + 30_000).toISOString();
    expect(await leadOf(owner.account, leads[0])).toMatchObject({ status: 'waiting', attempts: 0, next_attempt_at: again });
    expect(await engine.tell(owner, call, 'failed', { undialled: true, event_key: 'analyzed' })).toMatchObject({ fate: 'late' });
    expect((await verbs.getCampaign(owner.account, now(), campaign))!.counts.calls).toEqual({});
    // The next call would fare no better: the agent is left alone as long.
    expect(await engine.claim()).toEqual([]);
    engine.pass(0.5);
    expect(await engine.claim()).toHaveLength(1);
  });

  test('twenty of them trip no breaker, and a campaign that was canceled meanwhile ends with the last', async () => {
    const owner = await engine.account({ cap: 100 });
    const { campaign } = await running(owner, phones(20));
    const calls = await engine.place();
    const refuse = ({ call_id }: { call_id: string }) => engine.tell(owner, call_id, 'failed', { undialled: true, reason: 'x' });
    for (const call of calls.slice(1)) await refuse(call);
    expect(await statusOf(owner.account, campaign)).toBe('active');
    await verbs.cancelCampaign(owner.account, now(), campaign);
    await refuse(calls[0]);
    await verbs.tick(now(), 10);
    expect((await verbs.getCampaign(owner.account, now(), campaign))!.counts).toEqual({ leads: { canceled: 20 }, calls: {} });
    expect(calls).toHaveLength(20);
  });

  test('for want of credit, it is given back and its agent paused: not one lead is burnt', async () => {
    const owner = await engine.account();
    const { leads } = await running(owner, [PHONE]);
    const [{ call_id: call }] = await engine.place();
    await engine.tell(owner, call, 'failed', { undialled: true, account_refused: true, reason: 'balance-low' });
    expect(await leadOf(owner.account, leads[0])).toMatchObject({ status: 'waiting', attempts: 0 });
    engine.pass(60);
    expect(await engine.claim()).toEqual([]);
    await verbs.updateAgent(owner.account, now(), owner.agent, { paused_reason: null });
    expect(await engine.claim()).toHaveLength(1);
  });

  test('is no dial: a campaign whose calls are all refused so for a day is told of as silent', async () => {
    const owner = await engine.account();
    const { campaign } = await running(owner, [PHONE]);
    for (let hour = 0; hour < 25; hour += 1) {
      const [{ call_id: call }] = await engine.place();
      await engine.tell(owner, call, 'failed', { undialled: true, reason: 'concurrency_limit_reached' });
      engine.pass(60);
    }
    await verbs.tick(now(), 10);
    const mails = await verbs.listNotifications(owner.account, now(), null, 10);
    expect(mails).toMatchObject([{ type: 'nothing_dialled', campaign_id: campaign }]);
  });

  test('a direct call has failed: somebody waits for its answer', async () => {
    const owner = await engine.account();
    const direct = randomUUID();
    await verbs.requestDirectCall(owner.account, now(), direct, owner.agent, PHONE, null, {});
    await engine.place();
    await engine.tell(owner, direct, 'failed', { undialled: true, reason: 'no_concurrency_fallback' });
    expect(await verbs.getCall(owner.account, now(), direct)).toMatchObject({ status: 'failed', disposition: 'failed' });
  });

  test('because nobody can have its number, its lead is invalid and never tried again', async () => {
    const owner = await engine.account();
    const { campaign, leads } = await running(owner, [PHONE], { retry: { failed_minutes: 1 } });
    const [{ call_id: call }] = await engine.place();
    await engine.tell(owner, call, 'failed', { invalid_number: true, reason: 'invalid_destination' });
    expect(await leadOf(owner.account, leads[0])).toMatchObject({ status: 'invalid', attempts: 0 });
    expect(await statusOf(owner.account, campaign)).toBe('completed');
  });
});

describe('retention', () => {
  const DAY = 24 * 60;

  test('payloads are kept 30 days, events half a year, transcripts a year; what was counted stays', async () => {
    const owner = await engine.account();
    const { leads } = await running(owner, [PHONE]);
    const [{ call_id: call }] = await engine.place();
    const end = () => engine.tell(owner, call, 'completed', { ...scored(75), payload: '{"secret":1}', transcript: 'Hello' });
    await end();
    const kept = async () => ({
      events: (await eventsOf(owner.account, call)).map(({ payload }) => payload),
      transcript: (await verbs.getCall(owner.account, now(), call))!.transcript,
    });
    engine.pass(30 * DAY - 1);
    await verbs.tick(now(), 10);
    expect(await kept()).toEqual({ events: ['{"secret":1}'], transcript: 'Hello' });
    engine.pass(1);
    await verbs.tick(now(), 10);
    expect(await kept()).toEqual({ events: [null], transcript: 'Hello' });
    const { rows } = await db.pool.query(`select from ringleader.call_events where fact::text like '%Hello%'`);
    expect(rows).toEqual([]);
    expect(await end()).toMatchObject({ fate: 'duplicate' });
    engine.pass(150 * DAY);
    await verbs.tick(now(), 10);
    // The repetition came later; it goes later.
    expect(await kept()).toEqual({ events: [null], transcript: 'Hello' });
    engine.pass(185 * DAY);
    await verbs.tick(now(), 10);
    expect(await kept()).toEqual({ events: [], transcript: null });
    expect(await leadOf(owner.account, leads[0])).toMatchObject({ score: 75, evidence: 'said 75' });
  });

  test('one tick forgets a bounded number, and says that more is left', async () => {
    const owner = await engine.account();
    await running(owner, [PHONE]);
    const [{ call_id: call }] = await engine.place();
    await db.pool.query(
      `insert into ringleader.call_events (id, account_id, agent_id, call_id, event_key, fate, fact, payload, received_at)
       select gen_random_uuid(), $1, $2, $3, 'key-' || n, 'applied', '{}', 'body', $4 from generate_series(1, 700) n`,
      [owner.account, owner.agent, call, now()],
    );
    engine.pass(31 * DAY);
    const left = async (): Promise<number> => {
      const { rows } = await db.pool.query<{ n: number }>(
        'select count(*)::int as n from ringleader.call_events where payload is not null',
      );
      return rows[0].n;
    };
    expect((await verbs.tick(now(), 10)).unfinished).toBe(true);
    expect(await left()).toBe(200);
    expect((await verbs.tick(now(), 10)).unfinished).toBe(false);
    expect(await left()).toBe(0);
  });
});
