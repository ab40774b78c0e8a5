/** An event that is told twice at one moment: a provider sends again what it has no answer for, and two workers hear it. */
import { randomUUID } from 'node:crypto';
import type { Client } from 'pg';
import { afterEach, describe, expect, test } from 'vitest';
import type { CallFact } from '../../lib/verb-shapes.ts';
import { testDatabase } from '../support/database.ts';
import { createEngine, phones } from '../support/engine.ts';
import { twoSessions } from './two-sessions.ts';

const db = await testDatabase();
const engine = createEngine(db);
const { verbs, now } = engine;
const { during, blocked } = twoSessions(db);
afterEach(() => engine.reset());

type Status = NonNullable<CallFact['status']>;

/** An account whose calls its provider has accepted; and what an event says of one. */
const onTheLine = async (leads: number) => {
  const owner = await engine.account({ cap: leads });
  const campaign = await engine.campaign(owner, { retry: { max_attempts: 1 } });
  await engine.leads(owner.account, campaign, phones(leads));
  await verbs.startCampaign(owner.account, now(), campaign);
  const calls = (await engine.place(leads)).map((call) => call.call_id);
  expect(calls).toHaveLength(leads);
  const told = (call: string, status: Status): CallFact => ({
    event_key: `event of ${call}`,
    attempt_id: call,
    provider_call_id: `x-${call}`,
    source: 'event',
    status,
  });
  const fates = async (call: string): Promise<string[]> => {
    const { rows } = await db.pool.query<{ fate: string }>(
      'select fate from ringleader.call_events where call_id = $1 and event_key like $2 order by fate',
      [call, 'event of %'],
    );
    return rows.map((row) => row.fate);
  };
  const holdCall = async (client: Client, call: string): Promise<void> => {
    await client.query(`select set_config('ringleader.account', $1, true)`, [owner.account]);
    expect((await client.query('select from ringleader.calls where id = $1 for no key update', [call])).rowCount).toBe(1);
  };
  return { ...owner, calls, told, fates, holdCall };
};

type Scene = Awaited<ReturnType<typeof onTheLine>>;

const byWorker = {
  'a worker': async ({ account, agent }: Scene, fact: CallFact): Promise<string> =>
    (await verbs.applyFact(account, now(), agent, randomUUID(), fact))!.fate,
  /** All of it in one value, which is taken the long way. */
  'a worker of an earlier release': async ({ account, agent }: Scene, fact: CallFact): Promise<string> => {
    const { rows } = await db.pool.query<{ fate: string }>(
      `select ringleader.apply_fact($1, $2, $3, $4, $5, $6, null) ->> 'fate' as fate`,
      [account, now(), agent, randomUUID(), fact, fact.attempt_id],
    );
    return rows[0].fate;
  },
};

/** What two tellers answer who both came while a call was locked, in the order in which they came. */
const whileLocked = async (scene: Scene, first: () => Promise<string>, second: () => Promise<string>) => {
  let both: Promise<string>[] = [];
  await during(
    (client) => scene.holdCall(client, scene.calls[0]),
    async () => {
      both = [first()];
      await blocked(1);
      both.push(second());
      await blocked(2);
    },
  );
  return Promise.allSettled(both);
};

describe('an event that two sessions tell at one moment', () => {
  const STATUSES = ['ringing', 'completed', 'no_answer', 'in_progress'] as const;

  test('is answered alike when its answer was lost and the statement is sent again: 300 pairs', { timeout: 60_000 }, async () => {
    const { account, agent, calls, told, fates } = await onTheLine(300);
    const tellTwice = async (call: string, status: Status): Promise<void> => {
      const id = randomUUID();
      const send = () => verbs.applyFact(account, now(), agent, id, told(call, status));
      const [one, other] = await Promise.all([send(), send()]);
      expect(one?.fate).toBe('applied');
      expect({ ...other, refill: other?.refill ?? null }).toEqual({ ...one, refill: one?.refill ?? null });
      expect(await fates(call)).toEqual(['applied']);
    };
    // Five pairs at a time: so many sessions want the two cores that one of a pair is overtaken anywhere.
    for (let i = 0; i < calls.length; i += 5) {
      await Promise.all(calls.slice(i, i + 5).map((call, n) => tellTwice(call, STATUSES[n % STATUSES.length])));
    }
  });

  const WORKERS = Object.keys(byWorker) as (keyof typeof byWorker)[];
  for (const status of STATUSES) {
    for (const first of WORKERS) {
      for (const second of WORKERS) {
        test(`counts once when ${first} and ${second} hear "${status}": neither waits for the other in a circle`, async () => {
          const scene = await onTheLine(1);
          const fact = scene.told(scene.calls[0], status);
          const answers = await whileLocked(
            scene,
            () => byWorker[first](scene, fact),
            () => byWorker[second](scene, fact),
          );
          expect(answers).toMatchObject([{ value: 'applied' }, { value: 'duplicate' }]);
          expect(await scene.fates(scene.calls[0])).toEqual(['applied', 'duplicate']);
        });
      }
    }
  }

  test('is one event when its key comes with two words: the second has no effect', async () => {
    const scene = await onTheLine(1);
    const tell = (status: Status) => byWorker['a worker'](scene, scene.told(scene.calls[0], status));
    const answers = await whileLocked(
      scene,
      () => tell('queued'),
      () => tell('ringing'),
    );
    expect(answers).toMatchObject([{ value: 'applied' }, { value: 'duplicate' }]);
    expect(await verbs.getCall(scene.account, now(), scene.calls[0])).toMatchObject({ status: 'queued' });
    expect(await scene.fates(scene.calls[0])).toEqual(['applied', 'duplicate']);
  });
});

describe('an event without our id', () => {
  /** A call that the provider is being asked for, and what it tells of it at the address of an agent. */
  const placing = async () => {
    const owner = await engine.account();
    const campaign = await engine.campaign(owner, { retry: { max_attempts: 1 } });
    const [lead] = await engine.leads(owner.account, campaign, phones(1));
    await verbs.startCampaign(owner.account, now(), campaign);
    const [{ call_id: call }] = await engine.claim();
    await verbs.fenceCalls(now(), randomUUID(), [call]);
    const sister = randomUUID();
    const bea = { id: sister, name: 'Bea', provider: 'bolna', provider_agent_id: 'agent-1', from_number: null } as const;
    const secrets = { credentials_sealed: 'sealed', webhook_secrets_sealed: null, analysis_mapping: null };
    await verbs.createAgent(owner.account, now(), { ...bea, ...secrets });
    const busy = { event_key: 'busy', provider_call_id: 'conversation', source: 'event', status: 'busy' } as const;
    const tell = (agent: string, more: Partial<CallFact> = {}, event = randomUUID()) =>
      verbs.applyFact(owner.account, now(), agent, event, { ...busy, ...more });
    const accepted = [{ call_id: call, outcome: 'accepted' as const, provider_call_id: 'conversation' }];
    return { ...owner, sister, lead: lead!, call, tell, accepted };
  };
  const applied = (call: string) => ({ fate: 'applied', call_id: call, status: 'busy', released: true, completed: true });

  for (const [where, more] of [
    ['the address of its agent', {}],
    ['the address of another agent', {}],
    ['the one address of a workspace', { elsewhere: true }],
  ] as const) {
    test(`is applied when it comes to ${where} while the answer of its create-call is being recorded (class 10)`, async () => {
      const { account, agent, sister, lead, call, tell, accepted } = await placing();
      let told: Promise<unknown> = Promise.resolve();
      await during(
        (client) => client.query('select ringleader.record_calls($1, $2)', [now(), JSON.stringify(accepted)]),
        async () => {
          told = tell(where === 'the address of its agent' ? agent : sister, more);
          await blocked(1);
        },
      );
      expect(await told).toMatchObject(applied(call));
      expect(await verbs.getLead(account, now(), lead)).toMatchObject({ status: 'unreached' });
    });
  }

  test('is let in when its call is known, though it came to another agent; sent again, it says the same', async () => {
    const { account, sister, lead, call, tell, accepted } = await placing();
    const event = randomUUID();
    expect(await tell(sister, {}, event)).toMatchObject({ fate: 'parked', call_id: null });
    expect(await verbs.recordCalls(now(), accepted)).toMatchObject({ released: 1, completed: true });
    expect(await verbs.getLead(account, now(), lead)).toMatchObject({ status: 'unreached' });
    expect(await tell(sister, {}, event)).toMatchObject({ fate: 'applied', call_id: call, status: 'busy' });
  });
});

test('a score that is told while the thresholds are edited is judged by the new ones', async () => {
  const scene = await onTheLine(2);
  const { rows } = await db.pool.query<{ id: string; lead: string }>(
    'select campaign_id as id, lead_id as lead from ringleader.calls where id = $1',
    [scene.calls[0]],
  );
  const [{ id: campaign, lead }] = rows;
  const fact = { ...scene.told(scene.calls[0], 'completed'), analysis: { state: 'valid', score: 60, evidence: 'said so' } };
  let edited: Promise<unknown> = Promise.resolve();
  await during(
    (client) =>
      client.query('select ringleader.apply_fact($1, $2, $3, $4, $5, $6, null)', [
        scene.account,
        now(),
        scene.agent,
        randomUUID(),
        fact,
        scene.calls[0],
      ]),
    async () => {
      edited = verbs.updateCampaign(scene.account, now(), campaign, { name: 'Autumn', hot_score: 50 });
      await blocked(1);
    },
  );
  await edited;
  expect(await verbs.getLead(scene.account, now(), lead)).toMatchObject({ score: 60, temperature: 'hot' });
});

test('an edit of thresholds and the events of a call that are let in together wait for each other in no circle', async () => {
  const owner = await engine.account();
  const campaign = await engine.campaign(owner);
  await engine.leads(owner.account, campaign, phones(1));
  await verbs.startCampaign(owner.account, now(), campaign);
  const [{ call_id: call }] = await engine.claim();
  await verbs.fenceCalls(now(), randomUUID(), [call]);
  const said = { provider_call_id: 'conversation', source: 'event', status: 'completed' } as const;
  const scored = { analysis: { state: 'valid', score: 60, evidence: 'said so' } } as const;
  for (const fact of [
    { ...said, event_key: 'end' },
    { ...said, event_key: 'analysed', ...scored },
  ])
    await verbs.applyFact(owner.account, now(), owner.agent, randomUUID(), fact);
  let both: Promise<unknown>[] = [];
  await during(
    async (client) => {
      await client.query(`select set_config('ringleader.account', $1, true)`, [owner.account]);
      await client.query('select from ringleader.campaigns where id = $1 for no key update', [campaign]);
    },
    async () => {
      both = [verbs.recordCalls(now(), [{ call_id: call, outcome: 'accepted', provider_call_id: 'conversation' }])];
      await blocked(1);
      both.push(verbs.updateCampaign(owner.account, now(), campaign, { hot_score: 50 }).catch((error: unknown) => error));
      await blocked(2);
    },
  );
  const [recorded, edited] = await Promise.all(both);
  expect(recorded).toMatchObject({ completed: true });
  expect(edited).toMatchObject({ code: 'campaign_closed' });
});
