/** The events of one call in many orders, doubled and dropped, through the real verbs: what remains must always be the same. */
import { randomUUID } from 'node:crypto';
import { expect } from 'vitest';
import type { Deps } from '../../lib/deps.ts';
import { postedFact } from '../../lib/post-analysis.ts';
import type { Provider } from '../../lib/providers/provider.ts';
import type { ProviderName } from '../../lib/providers/table.ts';
import { reconcile } from '../../lib/reconcile.ts';
import type { CallFact } from '../../lib/verb-shapes.ts';
import type { Engine } from '../support/engine.ts';
import { phones } from '../support/engine.ts';
import type { TestDatabase } from '../support/database.ts';
import { apiOf, DIALECTS, type Sample, samplesOf, webhook } from './dialects.ts';
import type { LocalApi } from './local-api.ts';

export interface Scenario {
  name: string;
  provider: ProviderName;
  /** Samples by name, in the order in which the provider sends them. */
  events: readonly string[];
  /** The read that a reconciliation gets; without one nothing is dropped. */
  read?: string;
  /** What the provider says in one event alone: lost with it. */
  only?: Readonly<Record<string, string>>;
  /** A lead calls back: there is no create-call, and nothing of ours is echoed. */
  inbound?: true;
}
/** Not the provider's: the account's application posts that the person asked not to be called. */
export const POSTED = 'posted-do-not-call';
/** The events that a reconciliation makes up for. */
export const droppable = ({ events, read }: Scenario): readonly string[] =>
  read === undefined ? [] : events.filter((event) => event !== POSTED);

type Step = { event: string } | 'accepted';
/** One way in which things come in; `dropped` is followed by a reconciliation. */
interface Way {
  steps: readonly Step[];
  dropped?: string;
}

/** Every order of a few things. */
export const permutations = <T>(items: readonly T[]): T[][] =>
  items.length <= 1
    ? [[...items]]
    : items.flatMap((item, i) => permutations(items.filter((_, j) => j !== i)).map((rest) => [item, ...rest]));

/** The same numbers every time (mulberry32). */
const seeded = (seed: number) => (): number => {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
};
const shuffled = <T>(items: readonly T[], random: () => number): T[] => {
  const all = [...items];
  for (let i = all.length - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1));
    [all[i], all[j]] = [all[j], all[i]];
  }
  return all;
};

/** All orders up to five events; above, all swaps of neighbours and `shuffles` seeded shuffles. */
const ordersOf = (events: readonly string[], shuffles: number, random: () => number): string[][] => {
  if (events.length <= 5) return permutations(events);
  const swaps = events.slice(1).map((_, i) => events.with(i, events[i + 1]).with(i + 1, events[i]));
  return [...swaps, ...Array.from({ length: shuffles }, () => shuffled(events, random))];
};

/** Each order plain, with every event a second time somewhere, and with each event dropped; the create-call answer at every place. */
const waysOf = (scenario: Scenario, shuffles: number, seed: number): Way[] => {
  const { events, inbound } = scenario;
  const random = seeded(seed);
  const steps = (order: readonly string[]): Step[] => order.map((event) => ({ event }));
  const placed = (order: readonly string[]): Way => ({ steps: [...(inbound ? [] : (['accepted'] as const)), ...steps(order)] });
  const orders = ordersOf(events, shuffles, random);
  const dropping = (order: readonly string[], dropped: string): Way => ({
    ...placed(order.filter((event) => event !== dropped)),
    dropped,
  });
  return [
    placed(events), // the clean one, which all others must match
    ...orders.map(placed),
    ...orders.map((order) => placed(shuffled([...order, ...order], random))),
    ...orders.flatMap((order) => droppable(scenario).map((event) => dropping(order, event))),
    ...(inbound ? [] : events).flatMap((_, i) => [
      { steps: steps(events).toSpliced(i + 1, 0, 'accepted') },
      { steps: steps(shuffled(events, random)).toSpliced(i + 1, 0, 'accepted') },
    ]),
  ];
};

/** A lead whose call a way is about, by the id that the provider gives the call. */
interface Party {
  /** The call that is being placed; null when the lead calls. */
  attempt: string | null;
  provider_call_id: string;
  phone: string;
}

/** Calls that are being placed, each for a lead of its own; or leads that were called in vain, wait for another attempt, and call back. */
const partiesOf = async (engine: Engine, n: number, inbound: boolean) => {
  const { verbs, now } = engine;
  const owner = await engine.account({ cap: n });
  const campaign = await engine.campaign(owner, { retry: { max_attempts: 3 } });
  await engine.leads(owner.account, campaign, phones(n));
  await verbs.startCampaign(owner.account, now(), campaign);
  const calls = await engine.claim(n, n);
  const ids = calls.map((call) => call.call_id);
  const { go } = await verbs.fenceCalls(now(), randomUUID(), ids);
  expect(go).toHaveLength(n);
  if (inbound) for (const id of ids) await engine.tell(owner, id, 'no_answer', { provider_call_id: `first-${id}` });
  const parties = calls.map(({ call_id, phone }): Party => {
    const own = inbound ? randomUUID() : call_id;
    return { attempt: inbound ? null : call_id, provider_call_id: `x-${own}`, phone };
  });
  return { ...owner, parties };
};

/**
 * The call, its results and its lead without ids and without what only says when something was received, or is looked at next. `ended_at` is
 * as the provider stated it, or the moment of receipt where it stated none.
 */
const remains = async (
  db: TestDatabase,
  { provider_call_id }: Party,
  endTimes: ReadonlySet<string>,
): Promise<Record<string, unknown>> => {
  const { rows } = await db.pool.query<Record<string, unknown>>(
    `select c.direction, c.status, c.disposition, c.reason, c.answered_at, c.ended_at, c.duration_seconds, c.cost, c.score, c.temperature, c.evidence,
       c.placed_at is not null as placed, c.released_at is not null as released, c.lease_until, c.analysis_due_at, c.look_at is not null as looked_after, c.attempt,
       r.transcript, r.recording_url, r.analysis, r.analysis_reason,
       l.status as lead_status, l.disposition as lead_disposition, l.attempts, l.next_attempt_at, l.score as lead_score, l.temperature as lead_temperature,
       l.evidence as lead_evidence, exists (select from ringleader.suppressions s where s.account_id = c.account_id and s.phone = c.phone) as do_not_call, (select count(*)::int from ringleader.call_events e where e.call_id = c.id and e.fate = 'parked') as parked
     from ringleader.calls c join ringleader.leads l on l.id = c.lead_id left join ringleader.call_results r on r.call_id = c.id where c.provider_call_id = $1`,
    [provider_call_id],
  );
  expect(rows).toHaveLength(1);
  const [{ ended_at, ...row }] = rows;
  expect(endTimes, 'ended_at').toContain((ended_at as Date).toISOString());
  return JSON.parse(JSON.stringify(row).replaceAll(provider_call_id, 'call')) as Record<string, unknown>;
};

/** Runs a scenario in all its ways on fresh calls; answers how many ways there were. */
export const runScenario = async (
  { db, engine, api, shuffles, seed }: { db: TestDatabase; engine: Engine; api: LocalApi; shuffles: number; seed: number },
  scenario: Scenario,
): Promise<number> => {
  const { verbs, now } = engine;
  const { provider } = api;
  const { agent } = DIALECTS[scenario.provider];
  const ways = waysOf(scenario, shuffles, seed);
  const owner = await partiesOf(engine, ways.length, scenario.inbound === true);
  const idsOf = ({ attempt, provider_call_id: call, phone: caller }: Party) => ({
    call,
    caller,
    ...(attempt === null ? {} : { attempt }),
  });
  const byId = new Map(owner.parties.map((party) => [party.provider_call_id, party]));
  api.does(({ path }, response) => {
    const party = byId.get(/x-[0-9a-f-]{36}/.exec(path)?.[0] ?? '')!;
    const read = apiOf(scenario.provider, idsOf(party)).reads.find(({ name }) => name === scenario.read);
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(read?.body));
  });
  const deps = depsFor(engine, provider);

  const factOf = async (event: string, { attempt }: Party, samples: ReadonlyMap<string, Sample>): Promise<CallFact> => {
    if (event !== POSTED) return provider.parseWebhook(agent, webhook(scenario.provider, samples.get(event)!))!;
    return { ...(await postedFact({ do_not_call: true }, null)), event_key: `${attempt}:posted`, attempt_id: attempt! };
  };
  const callOf = async ({ attempt, provider_call_id }: Party): Promise<string> => {
    if (attempt !== null) return attempt;
    const sql = 'select id from ringleader.calls where provider_call_id = $1';
    return (await db.pool.query<{ id: string }>(sql, [provider_call_id])).rows[0].id;
  };
  const play = async ({ steps, dropped }: Way, party: Party): Promise<Record<string, unknown>> => {
    const samples = new Map(samplesOf(scenario.provider, idsOf(party)).map((sample) => [sample.name, sample]));
    const { provider_call_id } = party;
    const ends = new Set([now().toISOString()]);
    for (const step of steps) {
      if (step === 'accepted') {
        await verbs.recordCalls(now(), [{ call_id: party.attempt!, outcome: 'accepted', provider_call_id }]);
        continue;
      }
      const fact = await factOf(step.event, party, samples);
      if (fact.ended_at !== undefined) ends.add(fact.ended_at);
      await verbs.applyFact(owner.account, now(), owner.agent, randomUUID(), fact);
    }
    if (dropped !== undefined) {
      const read = await provider.readCall(agent, provider_call_id);
      if (read.state === 'found' && read.fact.ended_at !== undefined) ends.add(read.fact.ended_at);
      await reconcile(deps, [lookAt(owner, scenario.provider, await callOf(party), provider_call_id, now())], Infinity);
    }
    return remains(db, party, ends);
  };

  const clean = await play(ways[0], owner.parties[0]);
  expect(clean).toMatchObject({ parked: 0, direction: scenario.inbound ? 'inbound' : 'outbound' });
  if (scenario.inbound) expect(clean).toMatchObject({ lead_status: 'reached', attempts: 1, next_attempt_at: null });
  if (scenario.name === 'not dialled') expect(clean).toMatchObject({ disposition: null, lead_status: 'waiting', attempts: 0 });
  expect(clean.do_not_call).toBe(scenario.name.includes('not to be called'));
  const expected = (way: Way): Record<string, unknown> => {
    const lost = Object.entries(scenario.only ?? {}).filter(([, event]) => event === way.dropped);
    return { ...clean, ...Object.fromEntries(lost.map(([field]) => [field, null])) };
  };
  const others = ways.slice(1).map((way, i) => ({ way, party: owner.parties[i + 1] }));
  const PARALLEL = 8;
  for (let at = 0; at < others.length; at += PARALLEL) {
    const some = others.slice(at, at + PARALLEL);
    const rows = await Promise.all(some.map(({ way, party }) => play(way, party)));
    for (const [i, row] of rows.entries())
      expect(row, `${scenario.name}: ${JSON.stringify(some[i].way)}`).toEqual(expected(some[i].way));
  }
  return ways.length;
};

const lookAt = (owner: { account: string; agent: string }, provider: ProviderName, call: string, id: string, now: Date) => ({
  account_id: owner.account,
  call_id: call,
  agent: {
    account_id: owner.account,
    agent_id: owner.agent,
    provider,
    provider_agent_id: DIALECTS[provider].agent.provider_agent_id,
    from_number: DIALECTS[provider].agent.from_number,
    credentials_sealed: JSON.stringify(DIALECTS[provider].agent.credentials),
    webhook_secrets_sealed: null,
    analysis_mapping: null,
  },
  provider_call_id: id,
  status: 'in_progress' as const,
  phone: '+12025550123',
  placing_at: now.toISOString(),
});

/** What reconciliation needs, and nothing else. */
const depsFor = (engine: Engine, provider: Provider): Deps =>
  ({
    verbs: engine.verbs,
    now: () => engine.now(),
    newId: () => randomUUID(),
    providers: { [provider.name]: provider },
    sealer: { seal: (plain: string) => Promise.resolve(plain), open: (sealed: string) => Promise.resolve(sealed) },
    elapsedMs: () => 0,
    report: (type: string, error: unknown) => {
      throw new Error(`${type} was reported`, { cause: error });
    },
  }) as unknown as Deps;

/** Calls as each provider tells them. */
export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'answered',
    provider: 'bolna',
    events: ['queued', 'initiated', 'ringing', 'in-progress', 'disconnected', 'completed'],
    read: 'answered',
    only: { answered_at: 'in-progress' },
  },
  {
    name: 'asked not to be called',
    provider: 'bolna',
    events: ['initiated', 'in-progress', 'disconnected', 'asked-not-to-be-called'],
    read: 'asked-not-to-be-called',
    only: { answered_at: 'in-progress' },
  },
  {
    name: 'asked not to be called',
    provider: 'vapi',
    events: ['in-progress', 'ended', 'asked-not-to-be-called'],
    read: 'asked-not-to-be-called',
  },
  {
    name: 'asked not to be called',
    provider: 'retell',
    events: ['started', 'ended', 'asked-not-to-be-called'],
    read: 'asked-not-to-be-called',
  },
  {
    name: 'asked not to be called',
    provider: 'elevenlabs',
    events: ['asked-not-to-be-called'],
    read: 'asked-not-to-be-called',
  },
  {
    name: 'asked not to be called',
    provider: 'twilio',
    events: ['initiated', 'answered', 'completed', POSTED],
    read: 'answered',
  },
  {
    name: 'called back',
    provider: 'bolna',
    inbound: true,
    events: ['inbound-answered', 'inbound-disconnected', 'inbound'],
    read: 'inbound',
    only: { answered_at: 'inbound-answered' },
  },
  {
    name: 'called back',
    provider: 'vapi',
    inbound: true,
    events: ['inbound-answered', 'inbound-ended', 'inbound'],
    read: 'inbound',
  },
  {
    name: 'called back',
    provider: 'retell',
    inbound: true,
    events: ['inbound-answered', 'inbound-ended', 'inbound'],
    read: 'inbound',
  },
  {
    name: 'called back',
    provider: 'twilio',
    inbound: true,
    events: ['inbound-ringing', 'inbound-answered', 'inbound'],
    read: 'inbound',
  },
  // Its only event: lost, nobody knows that there was a call.
  { name: 'called back', provider: 'elevenlabs', inbound: true, events: ['inbound'] },
  { name: 'busy', provider: 'bolna', events: ['queued', 'initiated', 'ringing', 'busy'], read: 'busy' },
  { name: 'answered', provider: 'vapi', events: ['queued', 'ringing', 'in-progress', 'ended', 'report'], read: 'answered' },
  {
    name: 'unanswered',
    provider: 'vapi',
    events: ['queued', 'ringing', 'ended-unanswered', 'report-unanswered'],
    read: 'unanswered',
  },
  {
    name: 'ended without a reason',
    provider: 'vapi',
    events: ['in-progress', 'ended-without-reason', 'report'],
    read: 'answered',
  },
  { name: 'not dialled', provider: 'retell', events: ['ended-undialled', 'analyzed-undialled'], read: 'undialled' },
  { name: 'not dialled', provider: 'vapi', events: ['queued', 'ended-undialled', 'report-undialled'], read: 'undialled' },
  {
    name: 'voicemail found by the analysis',
    provider: 'retell',
    events: ['started', 'ended', 'analyzed-voicemail'],
    read: 'voicemail',
  },
  { name: 'answered', provider: 'retell', events: ['started', 'ended', 'analyzed'], read: 'answered' },
  { name: 'unanswered', provider: 'retell', events: ['ended-unanswered', 'analyzed-unanswered'], read: 'unanswered' },
  { name: 'answered', provider: 'twilio', events: ['initiated', 'ringing', 'answered', 'completed'], read: 'answered' },
  {
    name: 'recorded',
    provider: 'twilio',
    events: ['initiated', 'ringing', 'answered', 'completed', 'recording'],
    read: 'answered',
    only: { recording_url: 'recording' },
  },
  { name: 'voicemail', provider: 'twilio', events: ['initiated', 'ringing', 'answered', 'completed-machine'], read: 'voicemail' },
  {
    name: 'unanswered',
    provider: 'twilio',
    events: ['initiated', 'ringing', 'unanswered'],
    read: 'unanswered',
    only: { reason: 'unanswered' },
  },
  { name: 'answered', provider: 'elevenlabs', events: ['transcription'], read: 'answered' },
  { name: 'busy', provider: 'elevenlabs', events: ['failure'], read: 'busy' },
];
