/** A provider that refuses the account, or takes a call and does not dial it. */
import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import { testDatabase } from '../support/database.ts';
import { createEngine, phones } from '../support/engine.ts';
import { lookUp, type Owner } from './look-up.ts';

const db = await testDatabase();
const engine = createEngine(db);
const { verbs, now } = engine;
const { leadOf, running, statusOf } = lookUp(engine);
afterEach(() => engine.reset());

const [PHONE, OTHER] = phones(2);

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

  test('ends a direct call that went back to waiting while it was refused: the next tick does, and is due for it (class 15)', async () => {
    const { account, agent } = await engine.account();
    const call = randomUUID();
    await verbs.requestDirectCall(account, now(), call, agent, phones(1)[0]!, null, {});
    expect(await verbs.nextDue(now())).toBe(now().toISOString());
    await db.pool.query(`update ringleader.agents set paused_reason = '401: bad key' where id = $1`, [agent]);
    expect(await verbs.nextDue(now())).toBe(now().toISOString());
    expect(await verbs.tick(now(), 16)).toMatchObject({ failed: [] });
    expect(await verbs.getCall(account, now(), call)).toMatchObject({ status: 'failed', reason: '401: bad key' });
    expect(await verbs.nextDue(now())).toBeNull();
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
  test('costs no attempt and counts nowhere: its lead waits half a minute and is tried again, whatever comes after (class 23)', async () => {
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

  test('is not believed of a call that has rung: its person was called, and that attempt counts', async () => {
    const owner = await engine.account();
    const campaign = await engine.campaign(owner, { retry: { max_attempts: 1 } });
    const [lead] = await engine.leads(owner.account, campaign, [PHONE]);
    await verbs.startCampaign(owner.account, now(), campaign);
    const [{ call_id: call }] = await engine.place();
    await engine.tell(owner, call, 'ringing');
    await engine.tell(owner, call, 'failed', { undialled: true, reason: 'balance-low' });
    expect(await verbs.getLead(owner.account, now(), lead!)).toMatchObject({ status: 'unreached', attempts: 1 });
    engine.pass(1);
    expect(await engine.claim()).toEqual([]);
  });
});
