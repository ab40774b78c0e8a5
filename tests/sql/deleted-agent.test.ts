/** From the moment at which an agent is deleted, nobody is dialled in its name. */
import { randomUUID } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import { testDatabase } from '../support/database.ts';
import { createEngine, phones } from '../support/engine.ts';
import { lookUp, type Owner } from './look-up.ts';
import { twoSessions } from './two-sessions.ts';

const db = await testDatabase();
const engine = createEngine(db);
const { verbs, now } = engine;
const { leadOf, running } = lookUp(engine);
const { during, blocked } = twoSessions(db);
afterEach(() => engine.reset());

const [PHONE, OTHER] = phones(2);
const direct = async ({ account, agent }: Owner, phone: string): Promise<string> => {
  const id = randomUUID();
  await verbs.requestDirectCall(account, now(), id, agent, phone, null, {});
  return id;
};
const anotherAgent = async ({ account }: Owner): Promise<string> => {
  const id = randomUUID();
  const agent = { id, name: 'Bea', provider: 'bolna', provider_agent_id: 'agent-2', from_number: null } as const;
  const secrets = { credentials_sealed: 'sealed', webhook_secrets_sealed: null, analysis_mapping: null };
  await verbs.createAgent(account, now(), { ...agent, ...secrets });
  return id;
};

test('a direct call that waits for it is canceled, one that was claimed has failed at the fence, and neither holds a slot', async () => {
  const owner = await engine.account({ cap: 1 });
  const [claimed, waits] = [await direct(owner, PHONE), await direct(owner, OTHER)];
  expect((await engine.claim()).map((call) => call.call_id)).toEqual([claimed]);
  expect(await verbs.deleteAgent(owner.account, now(), owner.agent)).toBe(true);
  expect(await verbs.getCall(owner.account, now(), waits)).toMatchObject({ status: 'canceled', reason: 'the agent was deleted' });
  expect((await verbs.fenceCalls(now(), randomUUID(), [claimed])).go).toEqual([]);
  expect(await verbs.getCall(owner.account, now(), claimed)).toMatchObject({ status: 'failed', reason: 'the agent was deleted' });
  expect(await engine.claim()).toEqual([]);
  expect(await verbs.getAccount(owner.account, now())).toMatchObject({ live_calls: 0 });
});

test('a lead that was claimed for it goes back at no cost when its campaign has another by then, which dials it', async () => {
  const owner = await engine.account();
  const { campaign, leads } = await running(owner, [PHONE]);
  const [{ call_id: claimed }] = await engine.claim();
  const agent = await anotherAgent(owner);
  await verbs.updateCampaign(owner.account, now(), campaign, { agent_id: agent });
  expect(await verbs.deleteAgent(owner.account, now(), owner.agent)).toBe(true);
  expect((await verbs.fenceCalls(now(), randomUUID(), [claimed])).held).toEqual([
    { call_id: claimed, reason: 'the agent was deleted' },
  ]);
  expect(await leadOf(owner.account, leads[0]!)).toMatchObject({ status: 'waiting', attempts: 0 });
  expect(await engine.place()).toMatchObject([{ agent_id: agent, attempt: 1 }]);
});

test('a campaign that is given it at that moment keeps it: it is in use', async () => {
  const owner = await engine.account();
  const agent = await anotherAgent(owner);
  const { campaign } = await running(owner, [PHONE]);
  let refused: Promise<void> | undefined;
  await during(
    (client) =>
      client.query('select ringleader.update_campaign($1, $2, $3, $4)', [owner.account, now(), campaign, { agent_id: agent }]),
    () => {
      refused = expect(verbs.deleteAgent(owner.account, now(), agent)).rejects.toMatchObject({ code: 'agent_in_use' });
      return blocked();
    },
  );
  await refused;
});

test('neither a campaign nor a direct call is given it while it is being deleted', async () => {
  const owner = await engine.account();
  const agent = await anotherAgent(owner);
  const { campaign } = await running(owner, [PHONE]);
  const refused: Promise<void>[] = [];
  await during(
    (client) => client.query('select ringleader.delete_agent($1, $2, $3)', [owner.account, now(), agent]),
    async () => {
      const edit = verbs.updateCampaign(owner.account, now(), campaign, { agent_id: agent });
      refused.push(expect(edit).rejects.toMatchObject({ status: 400 }));
      await blocked();
      refused.push(expect(direct({ ...owner, agent }, OTHER)).rejects.toMatchObject({ status: 400 }));
      await blocked(2);
    },
  );
  await Promise.all(refused);
});
