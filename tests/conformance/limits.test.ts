/** What one invocation of the bundle asks of the platform, counted where its requests arrive (class 45; invariant 13). */
import { randomUUID } from 'node:crypto';
import { Pool } from 'pg';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { type CallOutcome } from '../../lib/verb-shapes.ts';
import { bindVerbs } from '../../lib/verbs.ts';
import { csvOf, HOSTS, type Owner, type Ran, startRig } from './rig.ts';

vi.setConfig({ testTimeout: 120_000 });

/** What we promise ourselves; the smallest plan of the platform allows 50, and six connections at once. */
const SUBREQUESTS = 40;
const CONNECTIONS = 6;

const rig = await startRig();
beforeAll(() => {
  // What is sent at once is open at once.
  rig.outside.gather(HOSTS.bolna, 4);
});

const figures: { what: string; subrequests: number; objects: number; openMost: number }[] = [];

/** Holds an invocation to the limits; what it sent, by host. */
const within = (what: string, { witnessed, passages, objects, openMost }: Ran<unknown>): Record<string, number> => {
  figures.push({ what, subrequests: passages.length, objects, openMost });
  expect(witnessed).toMatchObject({ outcome: 'ok', exceptions: [] });
  expect(passages.length).toBeLessThanOrEqual(SUBREQUESTS);
  expect(passages.length + objects).toBeLessThanOrEqual(50);
  expect(openMost).toBeLessThanOrEqual(CONNECTIONS);
  return Object.fromEntries([...Map.groupBy(passages, ({ host }) => host)].map(([host, sent]) => [host, sent.length]));
};
const dials = ({ passages }: Ran<unknown>): number =>
  passages.filter(({ host, method, path }) => host === HOSTS.bolna && method === 'POST' && path === '/call').length;

describe('a big campaign', () => {
  let owner: Owner;
  let campaign: string;
  const executions = async (): Promise<string[]> => {
    const { rows } = await rig.database.pool.query<{ id: string }>(
      'select provider_call_id as id from ringleader.calls where campaign_id = $1 and ended_at is null order by seq',
      [campaign],
    );
    return rows.map(({ id }) => id);
  };
  beforeAll(async () => {
    owner = await rig.account(100);
    campaign = await rig.campaign(owner, 3000, 0, { name: 'Big' });
  });

  test('started by hand: as many calls as one invocation may make, four at a time, the answer before them', async () => {
    const start = await rig.run(() => rig.send('POST', `/v1/campaigns/${campaign}/start`, { key: owner.key }));
    expect(start.answer.status).toBe(200);
    within('start of a campaign of 3,000', start);
    expect(dials(start)).toBe(24);
    // The database's connection and four create-calls.
    expect(start.openMost).toBe(5);
  });

  test('refilled by the webhook that frees a slot: confirmation, mail and a full refill together', async () => {
    rig.pass(60_000);
    const [ended] = await executions();
    const refill = await rig.run(() => rig.event(owner, ended!));
    expect([refill.answer.status, refill.answer.text]).toEqual([200, '{"received":true,"fate":"applied"}']);
    const sent = within('webhook with a full refill', refill);
    expect(dials(refill)).toBe(24);
    expect(sent[HOSTS.mail]).toBe(1);
  });

  test('refilled by the tick', async () => {
    const tick = await rig.run(() => rig.bundle.scheduled('* * * * *'));
    within('tick with free slots', tick);
    expect(dials(tick)).toBe(28);
  });

  test('uploaded: 20,000 rows on one connection', async () => {
    const { id } = await rig.json<{ id: string }>(201, 'POST', '/v1/campaigns', {
      key: owner.key,
      body: { name: 'Upload', agent_id: owner.agent, window: { days: [1], start: '00:00', end: '24:00' } },
    });
    const upload = await rig.run(() =>
      rig.send('POST', `/v1/campaigns/${id}/leads`, {
        key: owner.key,
        raw: csvOf(20_000, 10_000),
        headers: { 'content-type': 'text/csv' },
      }),
    );
    expect(JSON.parse(upload.answer.text)).toMatchObject({ rows: 20_000, imported: 20_000 });
    within('upload of 20,000 rows', upload);
    await rig.json(200, 'POST', `/v1/campaigns/${campaign}/pause`, { key: owner.key });
  });
});

/** Calls on the line of which nothing was heard for long, known to the provider: `n` of them in a campaign that runs. */
const quietCalls = async (owner: Owner, n: number): Promise<void> => {
  const campaign = await rig.campaign(owner, n + 100, 40_000, { name: 'Quiet' });
  const pool = new Pool({ connectionString: rig.database.appUrl });
  const verbs = bindVerbs({ query: (text, params) => pool.query(text, [...params]) });
  try {
    await verbs.startCampaign(owner.account, new Date(), campaign);
    const { calls } = await verbs.claimCalls(new Date(), randomUUID(), n, 1000);
    const ids = calls.map(({ call_id }) => call_id);
    const { go } = await verbs.fenceCalls(new Date(), randomUUID(), ids);
    expect(go).toHaveLength(n);
    const outcomes: CallOutcome[] = [];
    for (const call_id of go) outcomes.push({ call_id, outcome: 'accepted', provider_call_id: await execution() });
    await verbs.recordCalls(new Date(), outcomes);
    await rig.database.pool.query("update ringleader.calls set look_at = now() - interval '1 minute' where campaign_id = $1", [
      campaign,
    ]);
  } finally {
    await pool.end();
  }
};
/** A call at the provider; its id there. */
const execution = async (): Promise<string> => {
  const answer = await fetch(`${rig.phoneUrl}/call`, {
    method: 'POST',
    headers: { authorization: 'Bearer key-of-conformance' },
    body: JSON.stringify({ agent_id: 'any', recipient_phone_number: '+14155550100', user_data: {} }),
  });
  return ((await answer.json()) as { execution_id: string }).execution_id;
};

test('a tick with 300 quiet calls, all of them ended meanwhile: asks about some, dials some, mails, and leaves the rest to the next', async () => {
  const owner = await rig.account(300);
  await quietCalls(owner, 300);
  rig.pass(60_000);
  const tick = await rig.run(() => rig.bundle.scheduled('* * * * *'));
  within('tick with 300 quiet calls', tick);
  const asked = tick.passages.filter(({ method, path }) => method === 'GET' && path.startsWith('/executions/'));
  expect(asked).toHaveLength(16);
  expect(dials(tick)).toBe(12);
  expect(tick.openMost).toBe(5);
  const ended = await rig.database.pool.query<{ n: number }>(
    "select count(*)::int as n from ringleader.calls where account_id = $1 and disposition = 'completed'",
    [owner.account],
  );
  expect(ended.rows[0]!.n).toBe(16);
});

test('an outbox with 300 mails: one connection, one mail at a time, as many as one invocation may send', async () => {
  const owner = await rig.account();
  const campaign = await rig.campaign(owner, 1, 0);
  await rig.database.pool.query(
    `insert into ringleader.notifications (id, account_id, type, campaign_id, idempotency_key, status, recipient, detail, next_attempt_at, created_at)
     select gen_random_uuid(), $1, 'campaign_paused', $2, $3 || n, 'pending', 'owner@ringleader.test', 'a test', now(), now() from generate_series(1, 300) n`,
    [owner.account, campaign, randomUUID()],
  );
  const before = (await rig.mails()).length;
  const sweep = await rig.run(() => rig.bundle.scheduled('*/5 * * * *'));
  const sent = within('sweep of 300 mails', sweep);
  expect(sent[HOSTS.mail]).toBe(30);
  expect((await rig.mails()).length - before).toBe(30);
  expect(sweep.openMost).toBe(2);
});

test('nothing went wrong on the way, and the figures', async () => {
  expect(await rig.sentry()).toEqual([]);
  expect(figures).toHaveLength(6);
  for (const { what, subrequests, objects, openMost } of figures)
    console.log(`${what}: ${subrequests} subrequests, ${objects} to Durable Objects, at most ${openMost} connections open`);
});
