/** A cancel in every state of a call, and one that crosses what the provider says at the same moment. */
import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import { CALL_STATUSES, type CallStatus } from '../../lib/domain/vocabulary.ts';
import { cancelCall } from '../../lib/dial.ts';
import { Refusal } from '../../lib/errors.ts';
import type { CallFact } from '../../lib/verb-shapes.ts';
import { testDatabase } from '../support/database.ts';
import { createEngine, phones } from '../support/engine.ts';
import { dialRig } from './rig.ts';

const db = await testDatabase();
const engine = createEngine(db);
const { verbs, now } = engine;
afterEach(() => engine.reset());

/** One call of a campaign's only lead, or a direct one that waits, and a provider that is asked to stop it. */
const scene = async (state: CallStatus) => {
  const owner = await engine.account();
  const { account } = owner;
  const rig = dialRig(verbs, now);
  const asked: string[] = [];
  let stop = (): Promise<boolean> => Promise.resolve(true);
  Object.assign(rig.deps.providers.bolna, {
    stopCall: (_agent: unknown, id: string) => {
      asked.push(id);
      return stop();
    },
  });
  const campaign = await engine.campaign(owner);
  const [lead] = await engine.leads(account, campaign, phones(1));
  let call: string = randomUUID();
  const tell = (status: CallFact['status'], more: Partial<CallFact> = {}) => engine.tell(owner, call, status, more);
  const fence = () => verbs.fenceCalls(now(), randomUUID(), [call]);
  const accept = () => verbs.recordCalls(now(), [{ call_id: call, outcome: 'accepted', provider_call_id: `x-${call}` }]);

  if (state === 'waiting') {
    await verbs.requestDirectCall(account, now(), call, owner.agent, phones(1)[0], null, {});
  } else {
    await verbs.startCampaign(account, now(), campaign);
    [{ call_id: call }] = await engine.claim(1);
    if (state !== 'reserved') await fence();
    if (state !== 'reserved' && state !== 'placing') await accept();
    if (state === 'unknown') {
      engine.pass(10);
      await verbs.noteUnfound(account, now(), call);
    } else if (state !== 'reserved' && state !== 'placing' && state !== 'queued') await tell(state);
  }
  const row = async () => (await verbs.getCall(account, now(), call))!;
  expect((await row()).status).toBe(state);
  return {
    account,
    rig,
    asked,
    tell,
    fence,
    accept,
    row,
    stops: (does: () => Promise<boolean>) => void (stop = does),
    lead: async () => (await verbs.getLead(account, now(), lead))!,
    live: async () => (await verbs.getAccount(account, now()))!.live_calls,
    /** The answer as a status of HTTP and, of a refusal, its code. */
    cancel: () =>
      cancelCall(rig.deps, account, call).then(
        (canceled) => [200, canceled?.status],
        (error: unknown) => {
          if (!(error instanceof Refusal)) throw error;
          return [error.status, error.code];
        },
      ),
  };
};

const AT_ONCE = ['waiting', 'reserved'] as const;
const ON_THE_LINE = ['queued', 'dialing', 'ringing', 'in_progress'] as const;
const OVER = ['completed', 'no_answer', 'busy', 'voicemail', 'failed', 'canceled', 'unknown'] as const;

describe('a cancel', () => {
  test('is tried in every state', () => {
    expect([...AT_ONCE, 'placing', ...ON_THE_LINE, ...OVER].toSorted()).toEqual(CALL_STATUSES.toSorted());
    expect(CALL_STATUSES).toHaveLength(14);
  });

  test.each(AT_ONCE)('of a call that is %s ends it at once, and nobody is asked', async (state) => {
    const { cancel, asked, row, live, lead, fence } = await scene(state);
    expect(await cancel()).toEqual([200, 'canceled']);
    expect(await row()).toMatchObject({ status: 'canceled', disposition: 'canceled', reason: 'canceled by a person' });
    expect([asked, await live()]).toEqual([[], 0]);
    if (state === 'reserved') expect(await lead()).toMatchObject({ status: 'unreached', attempts: 0 });
    expect((await fence()).go).toEqual([]);
    expect(await cancel()).toEqual([409, 'wrong_state']);
  });

  test('of a call that is being placed is refused, and taken once the provider has it', async () => {
    const { cancel, asked, row, live, accept } = await scene('placing');
    expect(await cancel()).toEqual([409, 'wrong_state']);
    expect([(await row()).status, await live(), asked]).toEqual(['placing', 1, []]);
    await accept();
    expect(await cancel()).toEqual([200, 'queued']);
    expect(asked).toHaveLength(1);
  });

  test.each(ON_THE_LINE)('of a call that is %s asks the provider, whose event ends it and frees its slot', async (state) => {
    const { cancel, asked, row, live, lead, tell } = await scene(state);
    expect(await cancel()).toEqual([200, state]);
    const { id, provider_call_id } = await row();
    expect([asked, provider_call_id, await live()]).toEqual([[`x-${id}`], `x-${id}`, 1]);
    expect(await tell('canceled', { line_free: true })).toMatchObject({ fate: 'applied', released: true });
    expect(await row()).toMatchObject({ status: 'canceled', disposition: 'canceled' });
    expect([await live(), await lead()]).toMatchObject([0, { status: 'unreached', disposition: 'canceled' }]);
  });

  test.each(ON_THE_LINE)('of a call that is %s and that the provider does not stop is refused: it goes on', async (state) => {
    const { cancel, row, live, stops, rig } = await scene(state);
    stops(() => Promise.resolve(false));
    expect(await cancel()).toEqual([409, 'not_stopped']);
    stops(() => Promise.reject(new Error('the connection failed')));
    expect(await cancel()).toEqual([409, 'not_stopped']);
    expect(rig.reports).toEqual(['provider_api_failure']);
    expect([(await row()).status, await live()]).toEqual([state, 1]);
  });

  test.each(OVER)('of a call that is %s is refused and changes nothing', async (state) => {
    const { cancel, asked, row, lead } = await scene(state);
    const before = [await row(), await lead()];
    expect(await cancel()).toEqual([409, 'wrong_state']);
    expect([await row(), await lead()]).toEqual(before);
    expect(asked).toEqual([]);
  });
});

describe("a cancel that crosses the provider's answer", () => {
  const crossings: [said: NonNullable<CallFact['status']>, agrees: boolean, answer: unknown[]][] = [
    ['completed', false, [409, 'wrong_state']],
    ['completed', true, [200, 'completed']],
    ['busy', false, [409, 'wrong_state']],
    ['canceled', false, [200, 'canceled']],
    ['canceled', true, [200, 'canceled']],
  ];
  test.each(crossings)('to end it (%s, the provider agreeing: %s) tells what is true: %j', async (said, agrees, answer) => {
    const { cancel, row, live, tell, stops } = await scene('in_progress');
    stops(async () => {
      await tell(said, { line_free: true });
      return agrees;
    });
    expect(await cancel()).toEqual(answer);
    expect([(await row()).status, await live()]).toEqual([said, 0]);
    // The event of the stop comes all the same, too late to change anything.
    if (said !== 'canceled') expect(await tell('canceled', { event_key: 'stopped' })).toMatchObject({ fate: 'late' });
    expect((await row()).status).toBe(said);
  });

  test('when the line is free and the end still to come, there is nothing to stop', async () => {
    const { cancel, row, tell, stops } = await scene('in_progress');
    stops(async () => {
      await tell('in_progress', { event_key: 'disconnected', line_free: true });
      return false;
    });
    expect(await cancel()).toEqual([409, 'wrong_state']);
    expect(await row()).toMatchObject({ status: 'in_progress', ended_at: null });
  });

  test('to the create-call, at the same moment: refused, or asked of the provider; one call, one slot, until it ends', async () => {
    const seen: unknown[] = [];
    for (let i = 0; i < 10; i += 1) {
      const { cancel, accept, asked, row, live, tell } = await scene('placing');
      const [answer] = await Promise.all([cancel(), accept()]);
      seen.push(answer);
      expect([
        [409, 'wrong_state'],
        [200, 'queued'],
      ]).toContainEqual(answer);
      expect(asked).toHaveLength(answer[0] === 200 ? 1 : 0);
      expect([(await row()).status, await live()]).toEqual(['queued', 1]);
      await tell('canceled', { line_free: true });
      expect(await live()).toBe(0);
    }
    expect(seen).toHaveLength(10);
  });

  test('and one that crosses the fence: either it is dialled and not canceled, or canceled and never dialled', async () => {
    for (let i = 0; i < 10; i += 1) {
      const { cancel, fence, row, live } = await scene('reserved');
      const [answer, { go }] = await Promise.all([cancel(), fence()]);
      const dialled = go.length === 1;
      expect(answer).toEqual(dialled ? [409, 'wrong_state'] : [200, 'canceled']);
      expect([(await row()).status, await live()]).toEqual(dialled ? ['placing', 1] : ['canceled', 0]);
    }
  });
});
