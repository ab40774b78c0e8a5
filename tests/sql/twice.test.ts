/** Every verb, applied twice with the same arguments, as after a lost answer: what it declares of itself in `lib/verbs.ts` holds. */
import { randomUUID } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import { Refusal } from '../../lib/errors.ts';
import { VERBS, type Verbs } from '../../lib/verbs.ts';
import { testDatabase } from '../support/database.ts';
import { createEngine, phones, scored } from '../support/engine.ts';

const db = await testDatabase();
const engine = createEngine(db);
const { verbs, now } = engine;
afterEach(() => engine.reset());

const NEW = { id: randomUUID(), phone: '+14155559999' };
const leadRow = {
  id: NEW.id,
  row: 2,
  phone: NEW.phone,
  name: null,
  email: null,
  company: null,
  timezone: null,
  variables: {},
};

/** An account with a draft, an active and a finished campaign, calls in several states, and mails of every end. */
const scene = async () => {
  const owner = await engine.account({ cap: 100 });
  const { account, agent } = owner;
  const done = await engine.campaign(owner);
  const [hot] = await engine.leads(account, done, phones(1, 900));
  await verbs.startCampaign(account, now(), done);
  const [ended] = await engine.place();
  await engine.tell(owner, ended.call_id, 'completed', scored(90));
  const active = await engine.campaign(owner);
  const leads = await engine.leads(account, active, phones(3));
  await verbs.startCampaign(account, now(), active);
  const [placed] = await engine.place(1);
  const [reserved] = await engine.claim(1);
  const draft = await engine.campaign(owner);
  await engine.leads(account, draft, phones(1, 500));
  const empty = await engine.campaign(owner);
  const spare = randomUUID();
  await verbs.createAgent(account, now(), { ...agentNamed(spare) });
  const apiKey = randomUUID();
  await verbs.createApiKey(account, now(), apiKey, 'spare', 'spare-hash');
  await verbs.addSuppressions(account, now(), [{ phone: '+14155558888', reason: null }]);
  const importId = randomUUID();
  await verbs.beginImport(account, now(), importId, draft);
  const token = randomUUID();
  const { taken } = await verbs.sweepNotifications(now(), token, 10, []);
  const mail = taken[0].id;
  await verbs.beginIdempotent(account, now(), 'used', 'POST /x', 'hash');
  return {
    owner,
    account,
    agent,
    done,
    hot,
    ended,
    active,
    leads,
    placed,
    reserved,
    draft,
    empty,
    spare,
    apiKey,
    importId,
    mail,
  };
};
type Scene = Awaited<ReturnType<typeof scene>>;
const agentNamed = (id: string) => ({
  id,
  name: 'Spare',
  provider: 'bolna' as const,
  provider_agent_id: 'agent-2',
  from_number: null,
  credentials_sealed: 'sealed',
  webhook_secrets_sealed: null,
  analysis_mapping: null,
});
const T = '2026-03-02T10:00:00.000Z';
const fact = (s: Scene) => ({
  event_key: 'twice',
  attempt_id: s.placed.call_id,
  status: 'completed' as const,
  source: 'event' as const,
});

type Case<K extends keyof Verbs> = {
  /** Whether it changes anything: then the first application must. */
  does: 'read' | 'write';
  /** What has to be so before. */
  first?: (s: Scene) => Promise<unknown>;
  args: (s: Scene) => Parameters<Verbs[K]>;
};
const fail = (s: Scene): Promise<unknown> => verbs.recordNotification(s.account, now(), s.mail, 'failed', 'no', null);
const unsure = (s: Scene): Promise<unknown> => verbs.recordNotification(s.account, now(), s.mail, 'unknown', 'no answer', null);

/** One line for each verb; a verb without one does not compile. */
const CASES: { [K in keyof Verbs]: Case<K> } = {
  authenticate: { does: 'read', args: () => [now(), 'spare-hash'] },
  claimCalls: { does: 'write', args: () => [now(), NEW.id, 10, 1000] },
  tick: { does: 'write', first: () => Promise.resolve(engine.pass(30)), args: () => [now(), 16] },
  eventToReplay: { does: 'read', args: () => [now(), NEW.id] },
  sweepNotifications: {
    does: 'write',
    first: async (s) => (await fail(s), verbs.requestSend(s.account, now(), s.mail)),
    args: () => [now(), NEW.id, 10, []],
  },
  noteBounce: { does: 'write', args: (s) => [now(), s.mail, 'owner@example.com', 'bounced'] },
  systemStatus: { does: 'read', args: () => [now(), 100] },
  serverSessions: { does: 'read', args: () => [now()] },
  nextDue: { does: 'read', args: () => [now()] },
  createAccount: { does: 'write', args: () => [NEW.id, now(), 'New', 'new@example.com', 'UTC', 10, NEW.id, 'new-hash'] },
  getAccount: { does: 'read', args: (s) => [s.account, now()] },
  updateAccount: { does: 'write', args: (s) => [s.account, now(), { name: 'Renamed' }] },
  createApiKey: { does: 'write', args: (s) => [s.account, now(), NEW.id, 'k', 'k-hash'] },
  listApiKeys: { does: 'read', args: (s) => [s.account, now(), null, 10] },
  revokeApiKey: { does: 'write', args: (s) => [s.account, now(), s.apiKey] },
  getPreferences: { does: 'read', args: (s) => [s.account, now()] },
  putPreferences: {
    does: 'write',
    args: (s) => [
      s.account,
      now(),
      { campaign_summary_emails: false, hot_lead_emails: true, campaign_paused_emails: true, nothing_dialled_emails: true },
    ],
  },
  setPreference: { does: 'write', args: (s) => [s.account, now(), 'hot_lead', false] },
  accountStatus: { does: 'read', args: (s) => [s.account, now(), []] },
  createAgent: { does: 'write', args: (s) => [s.account, now(), agentNamed(NEW.id)] },
  listAgents: { does: 'read', args: (s) => [s.account, now(), null, 10] },
  getAgent: { does: 'read', args: (s) => [s.account, now(), s.agent] },
  updateAgent: { does: 'write', args: (s) => [s.account, now(), s.spare, { name: 'Renamed' }] },
  setWebhookRegistered: { does: 'write', args: (s) => [s.account, now(), s.spare, true] },
  deleteAgent: { does: 'write', args: (s) => [s.account, now(), s.spare] },
  tagAgents: {
    does: 'write',
    args: (s) => [s.account, now(), 'bolna', [{ agent_id: s.spare, sealed: 'sealed', tag: 'tag' }]],
  },
  agentSecrets: { does: 'read', args: (s) => [s.account, now(), s.agent] },
  createCampaign: {
    does: 'write',
    args: (s) => [
      s.account,
      now(),
      NEW.id,
      { name: 'New', agent_id: s.agent, window: { days: [1], start: '09:00', end: '17:00' } },
    ],
  },
  listCampaigns: { does: 'read', args: (s) => [s.account, now(), null, 10] },
  getCampaign: { does: 'read', args: (s) => [s.account, now(), s.active] },
  updateCampaign: { does: 'write', args: (s) => [s.account, now(), s.draft, { name: 'Renamed' }] },
  deleteCampaign: { does: 'write', args: (s) => [s.account, now(), s.empty] },
  startCampaign: { does: 'write', args: (s) => [s.account, now(), s.draft] },
  pauseCampaign: { does: 'write', args: (s) => [s.account, now(), s.active] },
  resumeCampaign: {
    does: 'write',
    first: (s) => verbs.pauseCampaign(s.account, now(), s.active),
    args: (s) => [s.account, now(), s.active],
  },
  cancelCampaign: { does: 'write', args: (s) => [s.account, now(), s.active] },
  preflightCampaign: { does: 'read', args: (s) => [s.account, now(), s.active, 100] },
  beginImport: { does: 'write', args: (s) => [s.account, now(), NEW.id, s.draft] },
  importLeads: {
    does: 'write',
    args: (s) => [
      s.account,
      now(),
      s.importId,
      s.draft,
      [leadRow],
      [{ row: 3, column: null, code: 'bad', message: 'bad', cells: {} }],
    ],
  },
  finishImport: { does: 'write', args: (s) => [s.account, now(), s.importId, s.draft] },
  listLeads: { does: 'read', args: (s) => [s.account, now(), s.active, null, null, null, 10, 'created'] },
  getLead: { does: 'read', args: (s) => [s.account, now(), s.hot] },
  explainLead: { does: 'read', args: (s) => [s.account, now(), s.hot, 100] },
  exportLeads: { does: 'read', args: (s) => [s.account, now(), s.active, null, 10] },
  listImportErrors: { does: 'read', args: (s) => [s.account, now(), s.active, null, 10] },
  fenceCalls: { does: 'write', args: (s) => [now(), NEW.id, [s.reserved.call_id]] },
  recordCalls: {
    does: 'write',
    first: (s) => (
      engine.pass(2),
      verbs.beginRefill(s.account, now(), NEW.id),
      verbs.fenceCalls(now(), NEW.id, [s.reserved.call_id])
    ),
    args: (s) => [now(), [{ call_id: s.reserved.call_id, outcome: 'accepted', provider_call_id: 'x' }], s.account, NEW.id],
  },
  applyFact: { does: 'write', args: (s) => [s.account, now(), s.agent, NEW.id, fact(s)] },
  beginRefill: { does: 'write', first: () => Promise.resolve(engine.pass(2)), args: (s) => [s.account, now(), NEW.id] },
  endRefill: {
    does: 'write',
    first: (s) => (engine.pass(2), verbs.beginRefill(s.account, now(), NEW.id)),
    args: (s) => [s.account, now(), NEW.id],
  },
  noteUnfound: {
    does: 'write',
    first: () => Promise.resolve(engine.pass(300)),
    args: (s) => [s.account, now(), s.placed.call_id],
  },
  noteUnasked: { does: 'write', first: () => Promise.resolve(engine.pass(2)), args: (s) => [s.account, now(), s.placed.call_id] },
  requestDirectCall: { does: 'write', args: (s) => [s.account, now(), NEW.id, s.agent, NEW.phone, null, {}] },
  directPosition: { does: 'read', args: (s) => [s.account, now(), NEW.id] },
  listCalls: { does: 'read', args: (s) => [s.account, now(), null, null, null, 10] },
  getCall: { does: 'read', args: (s) => [s.account, now(), s.ended.call_id] },
  listCallEvents: { does: 'read', args: (s) => [s.account, now(), s.ended.call_id, null, 10] },
  agentOfCall: {
    does: 'read',
    args: (s) => [s.account, now(), s.agent, { event_key: 'x', source: 'event', attempt_id: s.ended.call_id }],
  },
  callAgent: { does: 'read', args: (s) => [s.account, now(), s.ended.call_id] },
  cancelCall: { does: 'write', args: (s) => [s.account, now(), s.reserved.call_id] },
  addSuppressions: { does: 'write', args: (s) => [s.account, now(), [{ phone: NEW.phone, reason: 'asked' }]] },
  listSuppressions: { does: 'read', args: (s) => [s.account, now(), null, 10] },
  deleteSuppression: { does: 'write', args: (s) => [s.account, now(), '+14155558888'] },
  listNotifications: { does: 'read', args: (s) => [s.account, now(), null, 10] },
  requestSend: { does: 'write', first: fail, args: (s) => [s.account, now(), s.mail] },
  recordNotification: { does: 'write', args: (s) => [s.account, now(), s.mail, 'sent', null, 'm'] },
  noteLookup: { does: 'write', first: unsure, args: (s) => [s.account, now(), s.mail, 0, false] },
  summaryData: { does: 'read', args: (s) => [s.account, now(), s.done] },
  noticeData: { does: 'read', args: (s) => [s.account, now(), s.mail] },
  listHotLeads: { does: 'read', args: (s) => [s.account, now(), s.done, null, 10] },
  beginIdempotent: { does: 'write', args: (s) => [s.account, now(), 'k', 'POST /x', 'hash'] },
  finishIdempotent: { does: 'write', args: (s) => [s.account, now(), 'used', 'POST /x', 201, { id: T }] },
};

/** Every row of every table; `rev` only makes whoever works on a lane look again, and may do so once too often. */
const everything = async (): Promise<Record<string, unknown[]>> => {
  const { rows } = await db.pool.query<{ name: string }>(
    "select relname as name from pg_class where relnamespace = 'ringleader'::regnamespace and relkind = 'r' order by 1",
  );
  const state: Record<string, unknown[]> = {};
  for (const { name } of rows) {
    const found = await db.pool.query<{ row: unknown }>(
      `select to_jsonb(t) - 'rev' as row from ringleader.${name} t order by to_jsonb(t)::text`,
    );
    state[name] = found.rows.map(({ row }) => row);
  }
  return state;
};
const apply = async (name: keyof Verbs, args: readonly unknown[]): Promise<unknown> => {
  const verb = verbs[name] as (...args: readonly unknown[]) => Promise<unknown>;
  return verb(...args).catch((error: unknown) => {
    if (error instanceof Refusal) return { refused: error.code };
    throw error;
  });
};

test.each(Object.keys(CASES) as (keyof Verbs)[])('%s', async (name) => {
  const one: { does: string; first?: (s: Scene) => Promise<unknown>; args: (s: Scene) => readonly unknown[] } = CASES[name];
  const s = await scene();
  await one.first?.(s);
  const args = one.args(s);
  const before = await everything();
  const answer = await apply(name, args);
  const after = await everything();
  if (one.does === 'write') expect(after).not.toEqual(before);
  else expect(after).toEqual(before);
  const again = await apply(name, args);
  const twice = await everything();
  if (VERBS[name].retry === 'idempotent') expect(twice).toEqual(after);
  else expect({ answer: again, state: twice }).not.toEqual({ answer, state: after });
});
test('every verb was applied twice', () => expect(Object.keys(CASES).toSorted()).toEqual(Object.keys(VERBS).toSorted()));
