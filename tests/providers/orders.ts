/** The events of one call in many orders, doubled and dropped, through the real verbs: what remains must always be the same. */
import { randomUUID } from 'node:crypto';
import { expect } from 'vitest';
import type { ProviderName } from '../../lib/contract.ts';
import type { Deps } from '../../lib/deps.ts';
import type { Provider } from '../../lib/providers/provider.ts';
import { reconcile } from '../../lib/reconcile.ts';
import type { Engine } from '../support/engine.ts';
import { phones } from '../support/engine.ts';
import type { TestDatabase } from '../support/database.ts';
import { apiOf, DIALECTS, samplesOf, webhook } from './dialects.ts';
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
}

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
const waysOf = ({ events, read }: Scenario, shuffles: number, seed: number): Way[] => {
  const random = seeded(seed);
  const steps = (order: readonly string[]): Step[] => order.map((event) => ({ event }));
  const placed = (order: readonly string[]): Way => ({ steps: ['accepted', ...steps(order)] });
  const orders = ordersOf(events, shuffles, random);
  const dropping = (order: readonly string[], dropped: string): Way => ({
    ...placed(order.filter((event) => event !== dropped)),
    dropped,
  });
  return [
    ...orders.map(placed),
    ...orders.map((order) => placed(shuffled([...order, ...order], random))),
    ...(read === undefined ? [] : orders.flatMap((order) => events.map((event) => dropping(order, event)))),
    ...events.flatMap((_, i) => [
      { steps: steps(events).toSpliced(i + 1, 0, 'accepted') },
      { steps: steps(shuffled(events, random)).toSpliced(i + 1, 0, 'accepted') },
    ]),
  ];
};

/** Calls that are being placed, each for a lead of its own. */
const placing = async (engine: Engine, n: number) => {
  const { verbs, now } = engine;
  const owner = await engine.account({ cap: n });
  const campaign = await engine.campaign(owner, { retry: { max_attempts: 3 } });
  await engine.leads(owner.account, campaign, phones(n));
  await verbs.startCampaign(owner.account, now(), campaign);
  const claimed = await engine.claim(n, n);
  const ids = claimed.map((call) => call.call_id);
  const { go } = await verbs.fenceCalls(owner.account, now(), randomUUID(), ids);
  expect(go).toHaveLength(n);
  return { ...owner, calls: claimed };
};

/**
 * The call, its results and its lead without ids and without what only says when something was received, or is looked at next. `ended_at` is
 * as the provider stated it, or the moment of receipt where it stated none.
 */
const remains = async (db: TestDatabase, callId: string, endTimes: ReadonlySet<string>): Promise<Record<string, unknown>> => {
  const { rows } = await db.pool.query<Record<string, unknown>>(
    `select c.status, c.disposition, c.reason, c.answered_at, c.ended_at, c.duration_seconds, c.cost, c.score, c.temperature, c.evidence,
       c.placed_at is not null as placed, c.released_at is not null as released, c.lease_until, c.analysis_due_at, c.look_at is not null as looked_after, c.attempt,
       r.transcript, r.recording_url, r.analysis, r.analysis_reason,
       l.status as lead_status, l.disposition as lead_disposition, l.attempts, l.next_attempt_at, l.score as lead_score, l.temperature as lead_temperature,
       l.evidence as lead_evidence, exists (select from ringleader.suppressions s where s.account_id = c.account_id and s.phone = c.phone) as do_not_call, (select count(*)::int from ringleader.call_events e where e.call_id = c.id and e.fate = 'parked') as parked
     from ringleader.calls c join ringleader.leads l on l.id = c.lead_id left join ringleader.call_results r on r.call_id = c.id where c.id = $1`,
    [callId],
  );
  const [{ ended_at, ...row }] = rows;
  expect(endTimes, 'ended_at').toContain((ended_at as Date).toISOString());
  return JSON.parse(JSON.stringify(row).replaceAll(callId, 'call')) as Record<string, unknown>;
};

/** Runs a scenario in all its ways on fresh calls; answers how many ways there were. */
export const runScenario = async (
  { db, engine, api, shuffles, seed }: { db: TestDatabase; engine: Engine; api: LocalApi; shuffles: number; seed: number },
  scenario: Scenario,
): Promise<number> => {
  const { verbs, now } = engine;
  const { provider } = api;
  const { agent } = DIALECTS[scenario.provider];
  const ways: Way[] = [
    { steps: ['accepted', ...scenario.events.map((event) => ({ event }))] }, // the clean one, which all others must match
    ...waysOf(scenario, shuffles, seed),
  ];
  const owner = await placing(engine, ways.length);
  const idOf = (call: string): string => `x-${call}`;
  const readOf = (call: string): unknown =>
    apiOf(scenario.provider, { call: idOf(call), attempt: call }).reads.find((read) => read.name === scenario.read)?.body;
  api.does(({ path }, response) => {
    const call = /x-([0-9a-f-]{36})/.exec(path)?.[1] ?? '';
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(readOf(call)));
  });
  const deps = depsFor(engine, provider);

  const play = async ({ steps, dropped }: Way, call: string): Promise<Record<string, unknown>> => {
    const samples = new Map(
      samplesOf(scenario.provider, { call: idOf(call), attempt: call }).map((sample) => [sample.name, sample]),
    );
    const ends = new Set([now().toISOString()]);
    for (const step of steps) {
      if (step === 'accepted') {
        await verbs.recordCalls(owner.account, now(), [{ call_id: call, outcome: 'accepted', provider_call_id: idOf(call) }]);
        continue;
      }
      const fact = provider.parseWebhook(agent, webhook(scenario.provider, samples.get(step.event)!))!;
      if (fact.ended_at !== undefined) ends.add(fact.ended_at);
      await verbs.applyFact(owner.account, now(), owner.agent, randomUUID(), fact);
    }
    if (dropped !== undefined) {
      const read = await provider.readCall(agent, idOf(call));
      if (read.state === 'found' && read.fact.ended_at !== undefined) ends.add(read.fact.ended_at);
      await reconcile(deps, [lookAt(owner, scenario.provider, call, idOf(call), now())]);
    }
    return remains(db, call, ends);
  };

  const clean = await play(ways[0], owner.calls[0].call_id);
  expect(clean.parked).toBe(0);
  const expected = (way: Way): Record<string, unknown> => {
    const lost = Object.entries(scenario.only ?? {}).filter(([, event]) => event === way.dropped);
    return { ...clean, ...Object.fromEntries(lost.map(([field]) => [field, null])) };
  };
  const others = ways.slice(1).map((way, i) => ({ way, call: owner.calls[i + 1].call_id }));
  const PARALLEL = 8;
  for (let at = 0; at < others.length; at += PARALLEL) {
    const some = others.slice(at, at + PARALLEL);
    const rows = await Promise.all(some.map(({ way, call }) => play(way, call)));
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
  { name: 'asked not to be called', provider: 'vapi', events: ['in-progress', 'ended', 'asked-not-to-be-called'] },
  { name: 'asked not to be called', provider: 'retell', events: ['started', 'ended', 'asked-not-to-be-called'] },
  { name: 'asked not to be called', provider: 'elevenlabs', events: ['asked-not-to-be-called'] },
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
