/** Calls per second: what a pace holds back is dialled when it allows it, and nobody is awake for it before. */
import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import { tick } from '../../functions/dispatch.ts';
import { dispatch } from '../../lib/dial.ts';
import { testDatabase } from '../support/database.ts';
import { createEngine, phones } from '../support/engine.ts';
import { dialRig } from './rig.ts';

const db = await testDatabase();
const engine = createEngine(db);
const { verbs, now } = engine;
afterEach(() => engine.reset());

/** Whoever naps lets time pass. */
const napping = () => {
  const rig = dialRig(verbs, now);
  rig.deps.sleep = (ms) => Promise.resolve(engine.pass(ms / 60_000));
  return rig;
};
const running = async (leads: number, fields: object = {}) => {
  const owner = await engine.account();
  const campaign = await engine.campaign(owner, fields);
  const [lead] = await engine.leads(owner.account, campaign, phones(leads));
  await verbs.startCampaign(owner.account, now(), campaign);
  return { ...owner, campaign, lead: lead! };
};
const request = ({ account, agent }: { account: string; agent: string }, phone: string): Promise<unknown> =>
  verbs.requestDirectCall(account, now(), randomUUID(), agent, phone, null, {});
const SLOWEST = 0.00001;

test('direct calls that the pace of their account holds back go out at that pace, not one with every tick (class 15)', async () => {
  const owner = await engine.account();
  await verbs.updateAccount(owner.account, now(), { calls_per_second: 1 });
  for (const phone of phones(4)) await request(owner, phone);
  const rig = napping();
  const began = now().getTime();
  await dispatch(rig.deps);
  expect(rig.dialled).toHaveLength(4);
  expect(now().getTime() - began).toBe(3000);
});

test('a slot that another campaign frees while a pace is waited for is filled within a second', async () => {
  const owner = await engine.account({ cap: 2 });
  const quick = await engine.campaign(owner);
  await engine.leads(owner.account, quick, phones(5));
  const slow = await engine.campaign(owner, { calls_per_second: 0.1 });
  await engine.leads(owner.account, slow, phones(5, 100));
  for (const campaign of [quick, slow]) await verbs.startCampaign(owner.account, now(), campaign);
  const rig = dialRig(verbs, now);
  let freed: number | undefined;
  let filled: number | undefined;
  rig.deps.sleep = async (ms) => {
    if (freed !== undefined && rig.dialled.length > 2) filled ??= now().getTime();
    engine.pass(ms / 60_000);
    if (freed !== undefined) return;
    freed = now().getTime();
    const { rows } = await db.pool.query<{ id: string }>(
      'select call_id as id from ringleader.open_calls where campaign_id = $1',
      [quick],
    );
    await engine.tell(owner, rows[0]!.id, 'no_answer');
  };
  await dispatch(rig.deps);
  expect(filled! - freed!).toBeLessThanOrEqual(1000);
});

describe('a pace that is changed counts at once (class 17)', () => {
  test.each([10, null])('the campaign’s, from one call a day to %s a second', async (faster) => {
    const { account, campaign, lead } = await running(4, { calls_per_second: SLOWEST });
    expect(await engine.place(1)).toHaveLength(1);
    await verbs.updateCampaign(account, now(), campaign, { calls_per_second: faster });
    engine.pass(1);
    expect(await engine.claim()).toHaveLength(3);
    expect(await verbs.explainLead(account, now(), lead, 1000)).toMatchObject({ reasons: [{ code: 'number_in_call' }] });
  });

  test.each([10, null])('the account’s, from one call a day to %s a second', async (faster) => {
    const { account } = await running(4);
    await verbs.updateAccount(account, now(), { calls_per_second: SLOWEST });
    expect(await engine.claim()).toHaveLength(1);
    await verbs.updateAccount(account, now(), { calls_per_second: faster });
    engine.pass(1);
    expect(await engine.claim()).toHaveLength(3);
  });

  test('and is no way round it: set anew again and again, it lets no more through', async () => {
    const { account, campaign } = await running(9, { calls_per_second: 1 });
    for (let i = 0; i < 10; i += 1) {
      await verbs.updateCampaign(account, now(), campaign, { calls_per_second: 1 });
      await engine.claim();
      engine.pass(0.5 / 60);
    }
    expect(await verbs.getAccount(account, now())).toMatchObject({ live_calls: 5 });
  });
});

describe('nobody wakes for what a pace holds back until it no longer does:', () => {
  const SLOW = { calls_per_second: 0.001 };
  const later = (seconds: number): Date => new Date(now().getTime() + seconds * 1000);

  test('the leads of a campaign', async () => {
    const owner = await running(3, { ...SLOW, retry: { no_answer_minutes: null } });
    const rig = napping();
    await tick(rig.deps);
    await engine.tell(owner, rig.dialled[0]!, 'no_answer');
    expect(await tick(rig.deps)).toEqual(later(1000));
    engine.pass(1000 / 60);
    await tick(rig.deps);
    expect(rig.dialled).toHaveLength(2);
  });

  test('the direct calls and leads of an account', async () => {
    const owner = await running(1);
    await verbs.updateAccount(owner.account, now(), SLOW);
    await request(owner, phones(1, 50)[0]!);
    const rig = napping();
    await tick(rig.deps);
    await engine.tell(owner, rig.dialled[0]!, 'no_answer');
    await request(owner, phones(1, 60)[0]!);
    expect(await tick(rig.deps)).toEqual(later(1000));
    engine.pass(1000 / 60);
    await tick(rig.deps);
    expect(rig.dialled).toHaveLength(2);
  });
});
