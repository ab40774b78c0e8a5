/** What the tick does about a call that has fallen silent, over the real use cases (classes 4, 7, 28). */
import { randomUUID } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import { tick } from '../../functions/dispatch.ts';
import type { Provider, ReadResult } from '../../lib/providers/provider.ts';
import type { ClaimedCall } from '../../lib/verb-shapes.ts';
import { testDatabase } from '../support/database.ts';
import { createEngine, phones } from '../support/engine.ts';
import { dialRig } from './rig.ts';

const db = await testDatabase();
const engine = createEngine(db);
const { verbs, now } = engine;
afterEach(() => engine.reset());

type Placing = (owner: { account: string; agent: string }) => Promise<ClaimedCall[]>;

/** A call whose lease has just ended, and a provider that answers what `read` says when it is asked about it. */
const silent = async (read: () => Promise<ReadResult>, place: Placing = () => engine.place()) => {
  const owner = await engine.account();
  const campaign = await engine.campaign(owner);
  await engine.leads(owner.account, campaign, phones(1));
  await verbs.startCampaign(owner.account, now(), campaign);
  const [call] = await place(owner);
  engine.pass(10);
  const rig = dialRig(verbs, now);
  const asked: string[] = [];
  const provider: Pick<Provider, 'name' | 'readCall' | 'findCall'> = {
    name: 'bolna',
    readCall: (_, id) => (asked.push(id), read()),
    findCall: (_, { attempt_id }) => (asked.push(attempt_id), read()),
  };
  Object.assign(rig.deps.providers.bolna, provider);
  const status = async (): Promise<string> => (await verbs.getCall(owner.account, now(), call!.call_id))!.status;
  return { owner, campaign, call: call!, rig, asked, status };
};

/** One whose provider never answers until `alive`: whoever asks it dies. `dies` has so many ask, a minute apart. */
const unanswered = async (place?: Placing) => {
  const ended = { event_key: 'read', source: 'read', status: 'completed', analysis: { state: 'absent' } } as const;
  let alive = false;
  const scene = await silent(
    () => (alive ? Promise.resolve({ state: 'found', fact: ended }) : new Promise(() => undefined)),
    place,
  );
  const dies = async (times: number): Promise<void> => {
    for (let left = times; left > 0; left -= 1) {
      const before = scene.asked.length;
      void tick(scene.rig.deps); // never comes back
      await expect.poll(() => scene.asked.length, { timeout: 30_000 }).toBe(before + 1);
      engine.pass(1);
    }
  };
  const answers = async (): Promise<void> => {
    alive = true;
    await tick(scene.rig.deps);
  };
  return { ...scene, dies, answers };
};

test('a provider that cannot be asked is asked once more, two ticks later nobody knows the end', async () => {
  const { rig, asked, status } = await silent(() => Promise.resolve({ state: 'failed', reason: 'answered 503' }));
  await tick(rig.deps);
  engine.pass(1);
  await tick(rig.deps);
  expect([asked.length, await status()]).toEqual([2, 'queued']);
  engine.pass(1);
  await tick(rig.deps);
  expect([asked.length, await status()]).toEqual([2, 'unknown']);
  expect(rig.reports).toEqual(['provider_api_failure', 'provider_api_failure']);
});

test('a worker that dies while it asks is no answer: the next asks, and the call ends as the provider says', async () => {
  const { dies, answers, status } = await unanswered();
  await dies(4);
  expect(await status()).toBe('queued');
  await answers();
  expect(await status()).toBe('completed');
});

test('ten workers that die in a row are enough, and a sign of life from the call begins their count anew', async () => {
  const { owner, call, dies, answers, status } = await unanswered();
  await dies(9);
  await engine.tell(owner, call.call_id, 'ringing');
  engine.pass(10);
  await dies(3);
  expect(await status()).toBe('ringing');
  await engine.tell(owner, call.call_id, 'ringing', { event_key: 'still ringing' });
  engine.pass(10);
  await dies(10);
  expect(await status()).toBe('ringing');
  await answers();
  expect(await status()).toBe('unknown');
});

const fence = ({ call_id }: ClaimedCall) => verbs.fenceCalls(now(), randomUUID(), [call_id]);
/** One that was fenced, and of whose create-call nothing is known. */
const placing = async (): Promise<ClaimedCall[]> => {
  const calls = await engine.claim(1);
  await fence(calls[0]!);
  return calls;
};

test('the late word that a create-call was accepted begins their count anew', async () => {
  const { call, dies, status } = await unanswered(placing);
  await dies(9);
  await verbs.recordCalls(now(), [{ call_id: call.call_id, outcome: 'accepted', provider_call_id: 'late' }]);
  engine.pass(12);
  await dies(3);
  expect(await status()).toBe('queued');
});

test('so does a direct call’s next fence, when its create-call was refused for the moment after all', async () => {
  const { call, dies, status } = await unanswered(async (owner) => {
    await verbs.requestDirectCall(owner.account, now(), randomUUID(), owner.agent, '+12125550100', null, {});
    return placing();
  });
  await dies(9);
  await verbs.recordCalls(now(), [{ call_id: call.call_id, outcome: 'refused', refusal: 'later', retry_after_seconds: 1 }]);
  engine.pass(1);
  await fence((await engine.claim(1))[0]!);
  engine.pass(12);
  await dies(3);
  expect(await status()).toBe('placing');
});

test('an analysis is still asked for, however many died asking about the call before its end', async () => {
  const { owner, campaign, call, asked, dies, answers } = await unanswered();
  await dies(9);
  await engine.tell(owner, call.call_id, 'completed');
  engine.pass(8);
  await dies(1);
  engine.pass(7); // the grace is over
  const before = asked.length;
  await answers();
  expect(asked.length).toBe(before + 1);
  expect((await verbs.getCampaign(owner.account, now(), campaign))!.status).toBe('completed');
});

test('a provider that hangs keeps nobody else from being dialled in the same tick, and those it was not asked about come first in the next', async () => {
  const quiet = await engine.account({ cap: 100 });
  const campaign = await engine.campaign(quiet);
  await engine.leads(quiet.account, campaign, phones(16));
  await verbs.startCampaign(quiet.account, now(), campaign);
  await engine.place(16);
  engine.pass(10);
  const other = await engine.account();
  const theirs = await engine.campaign(other);
  await engine.leads(other.account, theirs, phones(3, 500));
  await verbs.startCampaign(other.account, now(), theirs);
  const rig = dialRig(verbs, now);
  let elapsed = 0;
  let asked: string[] = [];
  rig.deps.elapsedMs = () => elapsed;
  const hang: Provider['readCall'] = async (_, id) => {
    asked.push(id);
    await new Promise((resolve) => setImmediate(resolve)); // all four are under way
    elapsed += 5000 / 4;
    return { state: 'failed', reason: 'no answer in time' };
  };
  Object.assign(rig.deps.providers.bolna, { name: 'bolna', readCall: hang });
  await tick(rig.deps);
  expect(asked).toHaveLength(8);
  expect(rig.dialled).toHaveLength(3);
  const before = new Set(asked);
  [asked, elapsed] = [[], 0];
  engine.pass(1);
  await tick(rig.deps);
  expect(asked).toHaveLength(8);
  expect(asked.filter((id) => before.has(id))).toEqual([]);
});
