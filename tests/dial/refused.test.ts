/** A provider that refuses the account: whoever shares it is paused, also agents that an earlier release made. */
import { randomUUID } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import { dispatch } from '../../lib/dial.ts';
import { testDatabase } from '../support/database.ts';
import { createEngine, phones } from '../support/engine.ts';
import { dialRig } from './rig.ts';

const db = await testDatabase();
const engine = createEngine(db);
const { verbs, now } = engine;
afterEach(() => engine.reset());

test('agents without a tag are tagged before it is recorded, so that those of the same account are paused together', async () => {
  const owner = await engine.account();
  const agentWith = async (key: string | null): Promise<string> => {
    const id = randomUUID();
    await verbs.createAgent(owner.account, now(), {
      id,
      name: 'Ann',
      provider: 'bolna',
      provider_agent_id: id,
      from_number: null,
      credentials_sealed: key === null ? 'broken' : JSON.stringify({ api_key: key }),
      webhook_secrets_sealed: null,
      analysis_mapping: null,
    });
    return id;
  };
  const [own, sister, stranger, broken] = [
    await agentWith('k1'),
    await agentWith('k1'),
    await agentWith('k2'),
    await agentWith(null),
  ];
  const rig = dialRig(verbs, now);
  const asked: string[] = [];
  Object.assign(rig.deps, {
    sealer: {
      open: (sealed: string) => (sealed === 'broken' ? Promise.reject(new Error('altered')) : Promise.resolve(sealed)),
    },
    providers: {
      bolna: {
        accountCredentials: ['api_key'],
        createCall: (agent: { provider_agent_id: string }) => {
          asked.push(agent.provider_agent_id);
          return Promise.resolve({ outcome: 'refused', refusal: 'account', reason: '402: no credit' });
        },
      },
    },
  });
  const call = randomUUID();
  await verbs.requestDirectCall(owner.account, now(), call, own, phones(1)[0], null, {});
  await dispatch(rig.deps);
  expect(asked).toEqual([own]);
  const paused = async (id: string) => (await verbs.getAgent(owner.account, now(), id))!.paused_reason;
  expect(await Promise.all([own, sister, stranger, broken].map(paused))).toEqual([
    '402: no credit',
    '402: no credit',
    null,
    null,
  ]);
  // The engine's own agent and the broken one are left bare; only the broken one is a failure.
  expect(rig.reports).toContain('call_dispatch_failed');
  expect((await verbs.tagAgents(owner.account, now(), 'bolna', [])).map((agent) => agent.agent_id)).toContain(broken);
});
