/** A campaign completes at the very fact that makes it true, whoever brings it, and owes one summary (classes 18, 19, 20, 24, 31, 37). */
import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import { testDatabase } from '../support/database.ts';
import { createEngine, phones, scored } from '../support/engine.ts';

const db = await testDatabase();
const engine = createEngine(db);
const { verbs, now } = engine;
afterEach(() => engine.reset());

const running = async (n: number, fields: object = {}) => {
  const owner = await engine.account({ cap: 100 });
  const campaign = await engine.campaign(owner, fields);
  const leads = await engine.leads(owner.account, campaign, phones(n));
  await verbs.startCampaign(owner.account, now(), campaign);
  return { ...owner, owner, campaign, leads };
};
type Scene = Awaited<ReturnType<typeof running>>;

const status = async ({ account, campaign }: Scene) => (await verbs.getCampaign(account, now(), campaign))!.status;
const owed = async ({ account }: Scene) =>
  (await verbs.listNotifications(account, now(), null, 100)).filter((mail) => mail.type === 'campaign_summary');
/** Claims and fences one call: the provider is being asked. */
const placing = async (): Promise<string> => {
  const [call] = await engine.claim(1);
  await verbs.fenceCalls(now(), randomUUID(), [call!.call_id]);
  return call!.call_id;
};
const refuse = (call_id: string, refusal: 'later' | 'invalid' | 'other') =>
  verbs.recordCalls(now(), [{ call_id, outcome: 'refused', refusal, reason: 'no' }]);
const tick = () => verbs.tick(now(), 100);

/** The fact before the last leaves it open; the last one completes it. Whoever brings the last says, where its verb can, that a mail is due. */
const LAST_FACTS: [
  what: string,
  fields: object,
  before: (scene: Scene) => Promise<unknown>,
  last: (scene: Scene) => Promise<unknown>,
][] = [
  [
    'the last call is answered and scored',
    {},
    async (s) => (await engine.place(), await engine.tell(s.owner, (await callOf(s)).id, 'in_progress')),
    async (s) => engine.tell(s.owner, (await callOf(s)).id, 'completed', scored(80)),
  ],
  ['the last call is refused by the provider', {}, () => placing(), async (s) => refuse((await callOf(s)).id, 'other')],
  ['the last number is impossible', {}, () => placing(), async (s) => refuse((await callOf(s)).id, 'invalid')],
  [
    'it is busy with a retry left, and busy again',
    { retry: { max_attempts: 2, busy_minutes: 5 } },
    async (s) => {
      await engine.place();
      await engine.tell(s.owner, (await callOf(s)).id, 'busy');
      expect(await status(s)).toBe('active');
      engine.pass(5);
      await engine.place();
    },
    async (s) => engine.tell(s.owner, (await callOf(s)).id, 'busy'),
  ],
  [
    'the last call is silent and reaped',
    {},
    async (s) => {
      const [call] = await engine.place();
      engine.pass(10);
      await tick();
      await verbs.noteUnasked(s.account, now(), call!.call_id);
      engine.pass(2);
    },
    () => tick(),
  ],
  [
    'the provider knows no such call',
    {},
    async () => {
      await verbs.recordCalls(now(), [{ call_id: await placing(), outcome: 'unknown' }]);
      engine.pass(10);
    },
    async (s) => verbs.noteUnfound(s.account, now(), (await callOf(s)).id),
  ],
  [
    'its end passes while the last lead waits',
    { ends_at: new Date(now().getTime() + 3_600_000).toISOString() },
    () => (engine.pass(59), tick()),
    () => (engine.pass(1), tick()),
  ],
  [
    'its end passes while it is paused',
    { ends_at: new Date(now().getTime() + 3_600_000).toISOString() },
    (s) => (engine.pass(59), verbs.pauseCampaign(s.account, now(), s.campaign)),
    () => (engine.pass(1), tick()),
  ],
  [
    'the last lead that waits is suppressed',
    {},
    () => tick(),
    async (s) => verbs.addSuppressions(s.account, now(), [{ phone: phones(1)[0], reason: null }]),
  ],
  [
    'the last lead is suppressed after it was claimed',
    {},
    async (s) => {
      await engine.claim(1);
      await verbs.addSuppressions(s.account, now(), [{ phone: phones(1)[0], reason: null }]);
    },
    async (s) => verbs.fenceCalls(now(), randomUUID(), [(await callOf(s)).id]),
  ],
  [
    'the last lead has had all the attempts that are left to it by a change',
    { retry: { max_attempts: 3, busy_minutes: 60 } },
    async (s) => (await engine.place(), await engine.tell(s.owner, (await callOf(s)).id, 'busy')),
    (s) => verbs.updateCampaign(s.account, now(), s.campaign, { retry: { max_attempts: 1 } }),
  ],
  [
    'the last call is taken back by a person before it was placed',
    {},
    () => engine.claim(1),
    async (s) => verbs.cancelCall(s.account, now(), (await callOf(s)).id),
  ],
  [
    'the import that kept it open ends',
    {},
    async (s) => {
      await verbs.beginImport(s.account, now(), IMPORT, s.campaign);
      await engine.place();
      await engine.tell(s.owner, (await callOf(s)).id, 'voicemail');
    },
    (s) => verbs.finishImport(s.account, now(), IMPORT, s.campaign),
  ],
  [
    'the worker of the import that kept it open is gone',
    {},
    async (s) => {
      await verbs.beginImport(s.account, now(), IMPORT, s.campaign);
      await engine.place();
      await engine.tell(s.owner, (await callOf(s)).id, 'voicemail');
      engine.pass(9);
      await tick();
    },
    () => (engine.pass(1), tick()),
  ],
  [
    'the analysis of the last call comes late',
    {},
    async (s) => {
      await engine.place();
      await engine.tell(s.owner, (await callOf(s)).id, 'completed');
      engine.pass(10);
      await tick();
    },
    async (s) => engine.tell(s.owner, (await callOf(s)).id, 'completed', { event_key: 'late', ...scored(75) }),
  ],
  [
    'the analysis of the last call is said to be absent',
    {},
    async (s) => (await engine.place(), await engine.tell(s.owner, (await callOf(s)).id, 'completed')),
    async (s) => engine.tell(s.owner, (await callOf(s)).id, 'completed', { event_key: 'none', analysis: { state: 'absent' } }),
  ],
  [
    'the analysis of the last call never comes',
    {},
    async (s) => {
      await engine.place();
      await engine.tell(s.owner, (await callOf(s)).id, 'completed');
      engine.pass(8);
      expect((await tick()).look_at).toHaveLength(1);
      await verbs.noteUnfound(s.account, now(), (await callOf(s)).id);
      engine.pass(6.9);
      await tick();
    },
    () => (engine.pass(0.1), tick()),
  ],
  [
    'the last answered call of a paused campaign is scored',
    {},
    async (s) => {
      await engine.place();
      await verbs.pauseCampaign(s.account, now(), s.campaign);
    },
    async (s) => engine.tell(s.owner, (await callOf(s)).id, 'completed', scored(10)),
  ],
];
const IMPORT = randomUUID();
const callOf = async ({ account }: Scene): Promise<{ id: string }> =>
  (await verbs.listCalls(account, now(), null, null, null, 1))[0]!;

test.each(LAST_FACTS)('when %s', async (_what, fields, before, last) => {
  const scene = await running(1, fields);
  await before(scene);
  expect(['active', 'paused']).toContain(await status(scene));
  expect(await owed(scene)).toEqual([]);
  const answer = await last(scene);
  expect(await status(scene)).toBe('completed');
  expect(await owed(scene)).toMatchObject([{ status: 'pending' }]);
  // The fast path sends it at once. Where a verb answers with what it changed, its caller always looks.
  const said = answer as { mail_due?: boolean; status?: string; call?: object; completed?: boolean };
  expect(said.mail_due === true || said.status === 'completed' || said.call !== undefined || said.completed === true).toBe(true);
  await tick();
  await verbs.sweepNotifications(now(), randomUUID(), 0, []);
  expect(await owed(scene)).toHaveLength(1);
});

test('all of that is eighteen ways', () => expect(LAST_FACTS).toHaveLength(18));

test('an analysis is not given up before the provider was asked for it, however late the tick', async () => {
  const scene = await running(1);
  const [call] = await engine.place();
  await engine.tell(scene.owner, call!.call_id, 'completed');
  engine.pass(600);
  expect((await tick()).look_at).toMatchObject([{ call_id: call!.call_id }]);
  expect(await status(scene)).toBe('active');
  await engine.tell(scene.owner, call!.call_id, 'completed', { source: 'read', event_key: 'read', ...scored(88) });
  expect(await status(scene)).toBe('completed');
  expect(await verbs.getCampaign(scene.account, now(), scene.campaign)).toMatchObject({ hot_leads: 1 });
});

test('a fact that nobody completed by is caught by the tick, not only by the sweep', async () => {
  const scene = await running(1);
  await db.pool.query(`update ringleader.leads set status = 'unreached', next_attempt_at = null where campaign_id = $1`, [
    scene.campaign,
  ]);
  expect(await tick()).toMatchObject({ completed: 1, mail_due: true });
  expect(await owed(scene)).toHaveLength(1);
});

test('no read changes anything, though a campaign could be completed (class 20)', async () => {
  const scene = await running(2);
  const calls = await engine.place();
  for (const call of calls) await engine.tell(scene.owner, call.call_id, 'completed');
  const [notice] = await verbs
    .sweepNotifications(now(), randomUUID(), 0, [])
    .then(() => verbs.listNotifications(scene.account, now(), null, 1));
  await db.pool.query(`update ringleader.calls set analysis_due_at = null, look_at = null`);
  const contents = async (): Promise<unknown> => {
    const { rows } = await db.pool.query<{ name: string }>(
      `select relname as name from pg_class where relnamespace = 'ringleader'::regnamespace and relkind = 'r' order by 1`,
    );
    expect(rows.length).toBeGreaterThan(12);
    return Promise.all(
      rows.map(({ name }) => db.pool.query(`select * from ringleader.${name} t order by t`).then((all) => all.rows)),
    );
  };
  const before = await contents();
  const { account, campaign, leads } = scene;
  const call = calls[0]!.call_id;
  const reads = [
    verbs.getAccount(account, now()),
    verbs.getPreferences(account, now()),
    verbs.accountStatus(account, now(), []),
    verbs.systemStatus(now(), 100),
    verbs.nextDue(now()),
    verbs.listCampaigns(account, now(), null, 10),
    verbs.getCampaign(account, now(), campaign),
    verbs.listLeads(account, now(), campaign, null, null, null, 10, 'created'),
    verbs.getLead(account, now(), leads[0]!),
    verbs.explainLead(account, now(), leads[0]!, 100),
    verbs.exportLeads(account, now(), campaign, null, 10),
    verbs.listImportErrors(account, now(), campaign, null, 10),
    verbs.listCalls(account, now(), campaign, null, null, 10),
    verbs.getCall(account, now(), call),
    verbs.listCallEvents(account, now(), call, null, 10),
    verbs.listSuppressions(account, now(), null, 10),
    verbs.listNotifications(account, now(), null, 10),
    verbs.summaryData(account, now(), campaign),
    verbs.listHotLeads(account, now(), campaign, null, 10),
    verbs.noticeData(account, now(), notice?.id ?? randomUUID()),
    verbs.listAgents(account, now(), null, 10),
    verbs.listApiKeys(account, now(), null, 10),
  ];
  await Promise.all(reads);
  expect(reads).toHaveLength(22);
  expect(await contents()).toEqual(before);
  expect(await tick()).toMatchObject({ completed: 1 });
});

describe('a mail and its campaign', () => {
  const complete = async (): Promise<Scene> => {
    const scene = await running(1);
    await engine.place();
    await engine.tell(scene.owner, (await callOf(scene)).id, 'voicemail');
    return scene;
  };
  const sweepOnce = async () => (await verbs.sweepNotifications(now(), randomUUID(), 10, [])).taken;

  test('that is deleted is told no more: what waits is skipped with that reason, what ended is not sent again', async () => {
    const waiting = await complete();
    await verbs.deleteCampaign(waiting.account, now(), waiting.campaign);
    expect(await owed(waiting)).toMatchObject([{ status: 'skipped', reason: 'the campaign was deleted first' }]);
    expect(await sweepOnce()).toEqual([]);
    const [mail] = await owed(waiting);
    await expect(verbs.requestSend(waiting.account, now(), mail!.id)).rejects.toMatchObject({ code: 'campaign_deleted' });
    const lost = await complete();
    const [taken] = await sweepOnce();
    await verbs.recordNotification(lost.account, now(), taken!.id, 'unknown', 'lost', null);
    await verbs.deleteCampaign(lost.account, now(), lost.campaign);
    engine.pass(1);
    expect((await verbs.sweepNotifications(now(), randomUUID(), 10, [])).look_up).toMatchObject([{ id: taken!.id }]);
  });

  test('that is asked for by many at once is sent once, and found after all it is not sent', async () => {
    const scene = await complete();
    const [taken] = await sweepOnce();
    await verbs.recordNotification(scene.account, now(), taken!.id, 'unknown', 'lost', null);
    const asked = await Promise.allSettled(Array.from({ length: 10 }, () => verbs.requestSend(scene.account, now(), taken!.id)));
    expect(asked.filter((one) => one.status === 'fulfilled')).toHaveLength(1);
    // The look-up that was under way finds it.
    expect(await verbs.recordNotification(scene.account, now(), taken!.id, 'sent', null, 'm-1')).toBe('sent');
    expect(await sweepOnce()).toEqual([]);
    expect(await owed(scene)).toMatchObject([{ status: 'sent', provider_message_id: 'm-1' }]);
  });

  test('bears the key of its account, type and campaign', async () => {
    const scene = await complete();
    const { rows } = await db.pool.query<{ idempotency_key: string }>('select idempotency_key from ringleader.notifications');
    expect(rows).toEqual([{ idempotency_key: `${scene.account}:campaign_summary:${scene.campaign}` }]);
  });
});
