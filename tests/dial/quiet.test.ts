/** What the tick does about a call that has fallen silent, over the real use cases (classes 4, 7, 28). */
import { afterEach, expect, test } from 'vitest';
import { tick } from '../../functions/dispatch.ts';
import type { Provider, ReadResult } from '../../lib/providers/provider.ts';
import { testDatabase } from '../support/database.ts';
import { createEngine, phones } from '../support/engine.ts';
import { dialRig } from './rig.ts';

const db = await testDatabase();
const engine = createEngine(db);
const { verbs, now } = engine;
afterEach(() => engine.reset());

/** A call whose lease has just ended, and a provider that answers what `read` says when it is asked about it. */
const silent = async (read: () => Promise<ReadResult>) => {
  const owner = await engine.account();
  const campaign = await engine.campaign(owner);
  await engine.leads(owner.account, campaign, phones(1));
  await verbs.startCampaign(owner.account, now(), campaign);
  const [call] = await engine.place();
  engine.pass(10);
  const rig = dialRig(verbs, now);
  const asked: string[] = [];
  const provider: Pick<Provider, 'name' | 'readCall'> = { name: 'bolna', readCall: (_, id) => (asked.push(id), read()) };
  Object.assign(rig.deps.providers.bolna, provider);
  const status = async (): Promise<string> => (await verbs.getCall(owner.account, now(), call!.call_id))!.status;
  return { rig, asked, status };
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
  let dead = true;
  const ended = { event_key: 'read', source: 'read', status: 'completed', analysis: { state: 'absent' } } as const;
  const { rig, asked, status } = await silent(() =>
    dead ? new Promise(() => undefined) : Promise.resolve({ state: 'found', fact: ended }),
  );
  for (let nth = 1; nth <= 4; nth += 1) {
    void tick(rig.deps); // never comes back
    await expect.poll(() => asked.length, { timeout: 30_000 }).toBe(nth);
    engine.pass(1);
  }
  expect(await status()).toBe('queued');
  dead = false;
  await tick(rig.deps);
  expect(await status()).toBe('completed');
});
