/**
 * Dispatch. An outside effect is three steps: claim (commit the intent), act (ask the provider once), record (commit the
 * result). Whoever dies in between leaves a lease that the tick finds; nothing is ever asked twice.
 */
import type { Call } from './contract.ts';
import type { Deps } from './deps.ts';
import { Refusal } from './errors.ts';
import { openAgent, tagAgents, webhookUrl } from './provider-agents.ts';
import type { ProviderName } from './providers/table.ts';
import { sweepSoon } from './summarise.ts';
import type { AgentSecrets, CallOutcome, ClaimedCall, Refill } from './verb-shapes.ts';
import type { Verbs } from './verbs.ts';
import type * as z from 'zod';

/** Calls claimed, fenced and created together. With the database that makes five of the platform's six connections. */
const BATCH = 4;
/** Create-calls per invocation: with a direct call's own before it and the mails after it, 40 subrequests. */
const MAX_CREATES = 24;
/** Real milliseconds after which no new batch begins; one batch more takes at most 5 s. */
const MAX_MS = 15_000;
/** Rounds per invocation, so that reservations which the fence gives back cannot keep one busy. */
const MAX_ROUNDS = 40;
/** Real milliseconds from asking the fence to asking the provider: later than that, what the fence saw need no longer be true. */
const FENCE_MS = 8_000;
/** The longest nap, in the clock's milliseconds, for a pace that will allow the next call. */
const MAX_NAP_MS = 20_000;
/** How long it naps before it looks whether another campaign's slot has become free, in the clock's milliseconds. */
const NAP_MS = 1_000;

type Claim = Awaited<ReturnType<Verbs['claimCalls']>>;

export interface Dispatched {
  created: number;
  /** True when the invocation's limits ended it: the next tick goes on. */
  unfinished: boolean;
  /** True when all that is left to do is held by a pace for longer than an invocation may wait. */
  paced: boolean;
}

const variablesOf = (call: ClaimedCall): Record<string, unknown> => {
  const own = { name: call.name, email: call.email, company: call.company, timezone: call.timezone };
  return { ...call.variables, ...Object.fromEntries(Object.entries(own).filter(([, value]) => value !== null)) };
};

/**
 * Asks the provider for one call, once, unless `deadline` (in {@link Deps.elapsedMs}) has passed: then the call goes back undialled.
 * Never throws: what is not known is `unknown`.
 */
const createCall = async (deps: Deps, call: ClaimedCall, agent: AgentSecrets, deadline: number): Promise<CallOutcome> => {
  const context = { account_id: call.account_id, call_id: call.call_id, agent_id: call.agent_id, provider: agent.provider };
  let opened;
  try {
    opened = await openAgent(deps, agent);
  } catch (error) {
    deps.report('call_dispatch_failed', error, context);
    return {
      call_id: call.call_id,
      outcome: 'refused',
      refusal: 'account',
      reason: 'the credentials cannot be opened: set them again',
    };
  }
  const webhook = await webhookUrl(deps, call.account_id, { id: call.agent_id, provider: agent.provider });
  // A worker that stalled may find its call reconciled, its window closed, its number suppressed.
  if (deps.elapsedMs() > deadline) {
    return {
      call_id: call.call_id,
      outcome: 'refused',
      refusal: 'later',
      retry_after_seconds: 1,
      reason: 'the worker was too slow',
    };
  }
  const outcome = await deps.providers[agent.provider].createCall(opened, {
    attempt_id: call.call_id,
    campaign_id: call.campaign_id,
    lead_id: call.lead_id,
    to: call.phone,
    variables: variablesOf(call),
    webhook_url: webhook,
  });
  const expected = outcome.outcome === 'accepted' || outcome.refusal === 'later';
  if (!expected)
    deps.report('provider_api_failure', new Error(`create-call ${outcome.outcome}`), { ...context, outcome: outcome.outcome });
  return { call_id: call.call_id, ...outcome };
};

/** The accounts behind whose agents a provider has just refused everything, each with that provider. */
const refusing = (
  outcomes: readonly CallOutcome[],
  calls: readonly ClaimedCall[],
  agents: ReadonlyMap<string, AgentSecrets>,
): Map<string, { account: string; provider: ProviderName }> => {
  const refused = new Set(outcomes.filter(({ refusal }) => refusal === 'account').map(({ call_id }) => call_id));
  const pairs = calls
    .filter(({ call_id }) => refused.has(call_id))
    .map(({ account_id: account, agent_id }) => ({ account, provider: agents.get(agent_id)!.provider }));
  return new Map(pairs.map((pair) => [`${pair.account} ${pair.provider}`, pair]));
};

interface Placed {
  created: number;
  /** The refill that claimed them ended with their record. */
  over: boolean;
}

/** Fences, creates and records the calls of one claim. A refill whose claim found nothing more, and which dials all of it, may end with that. */
const placeCalls = async (deps: Deps, { calls, agents, dry }: Claim, mine: Refill | undefined): Promise<Placed> => {
  const deadline = deps.elapsedMs() + FENCE_MS;
  const known = new Map(agents.map((agent) => [agent.agent_id, agent]));
  const ids = calls.map((call) => call.call_id);
  const token = deps.newId();
  const fenced = await deps.verbs.fenceCalls(deps.now(), token, ids);
  const go = new Set(fenced.go);
  const outcomes = await Promise.all(
    calls.filter((call) => go.has(call.call_id)).map((call) => createCall(deps, call, known.get(call.agent_id)!, deadline)),
  );
  for (const { account, provider } of refusing(outcomes, calls, known).values()) await tagAgents(deps, account, provider);
  if (outcomes.length === 0) {
    if (fenced.mail_due) sweepSoon(deps);
    return { created: 0, over: false };
  }
  const last = dry && outcomes.length === calls.length ? mine : undefined;
  const told = outcomes.map((outcome) => ({ ...outcome, fence_token: token }));
  const recorded = await deps.verbs.recordCalls(deps.now(), told, last?.account_id ?? null, last?.token ?? null);
  if (recorded.mail_due) sweepSoon(deps);
  return { created: outcomes.length, over: recorded.refill_over };
};

/**
 * Dials whatever is due, for whomever it is fair, until nothing is due or this invocation's limits are reached.
 * A refill, which it may be, is given back with the calls of the last claim, or by a claim that finds none.
 */
export const dispatch = async (deps: Deps, maxCreates = MAX_CREATES, mine?: Refill): Promise<Dispatched> => {
  let created = 0;
  for (let round = 0; round < MAX_ROUNDS && created < maxCreates && deps.elapsedMs() < MAX_MS; round += 1) {
    const limit = Math.min(BATCH, maxCreates - created);
    const { systemMaxConcurrentCalls: cap } = deps.config;
    const [refillOf, token] = [mine?.account_id ?? null, mine?.token ?? null];
    const claim = await deps.verbs.claimCalls(deps.now(), deps.newId(), limit, cap, refillOf, token);
    if (claim.calls.length === 0) {
      const nap = claim.next_pace_at === null ? Infinity : Date.parse(claim.next_pace_at) - deps.now().getTime();
      if (nap > Math.min(MAX_NAP_MS, MAX_MS - deps.elapsedMs()))
        return { created, unfinished: nap < Infinity, paced: nap < Infinity };
      await deps.sleep(Math.min(Math.max(nap, 1), NAP_MS));
      continue;
    }
    try {
      const placed = await placeCalls(deps, claim, mine);
      created += placed.created;
      if (placed.over) return { created, unfinished: false, paced: false };
    } catch (error) {
      // Their leases bring them back.
      deps.report('call_dispatch_failed', error, { calls: claim.calls.length });
      created += claim.calls.length;
    }
  }
  return { created, unfinished: true, paced: false };
};

/**
 * Fills the free slots of an account, as its one refill: it ends when nothing is left to dial, and what it leaves at this
 * invocation's limits is the next tick's. Should it die, its lease ends within a minute.
 */
export const refill = async (deps: Deps, mine: Refill): Promise<void> => {
  const { unfinished } = await dispatch(deps, MAX_CREATES, mine);
  if (!unfinished) return;
  await deps.verbs.endRefill(mine.account_id, deps.now(), mine.token);
  await deps.handOver();
};

/** Once the answer has gone, dials what it has just let go, unless a refill of the account is under way: that one will see it. */
export const wakeDispatch = (deps: Deps, account: string): void =>
  deps.background('refill', async (own) => {
    const mine = { account_id: account, token: own.newId() };
    if (await own.verbs.beginRefill(account, own.now(), mine.token)) await refill(own, mine);
  });

type CallRow = z.infer<typeof Call>;

export interface PlacedDirectCall {
  call: CallRow;
  /** Its place in the account's queue; null once the provider has accepted it. 0 while it is being placed. */
  position: number | null;
  /** It will not be dialled, and why. */
  refused?: { status: 409 | 422; code: string; message: string };
}

/** Dials a direct call that was just requested, if a slot is free, and says where it stands. */
export const placeDirectCall = async (deps: Deps, account: string, callId: string): Promise<PlacedDirectCall> => {
  await dispatch(deps, BATCH);
  wakeDispatch(deps, account);
  const call = await deps.verbs.getCall(account, deps.now(), callId);
  if (call === null) throw new Error('a direct call vanished');
  if (call.status === 'failed') {
    return {
      call,
      position: null,
      refused: { status: 422, code: 'provider_refused', message: call.reason ?? 'the provider refused the call' },
    };
  }
  if (call.status === 'canceled' && call.placed_at === null) {
    const [code, message] =
      call.reason === 'suppressed'
        ? ['suppressed', 'the number is on the suppression list']
        : ['wrong_state', 'the call was canceled before it was placed'];
    return { call, position: null, refused: { status: 409, code, message } };
  }
  if (call.status === 'waiting' || call.status === 'reserved' || call.status === 'placing') {
    return { call, position: call.status === 'waiting' ? await deps.verbs.directPosition(account, deps.now(), callId) : 0 };
  }
  return { call, position: null };
};

/**
 * Cancels a call: at once when it is not on the line yet, else by asking the provider, whose event then ends it. Null: no such call.
 * @throws {Refusal} 409 when the call has ended, or the provider does not stop it
 */
export const cancelCall = async (deps: Deps, account: string, callId: string): Promise<CallRow | null> => {
  const canceled = await deps.verbs.cancelCall(account, deps.now(), callId);
  if (canceled === null) return null;
  if (canceled.stop === null) {
    sweepSoon(deps); // it may have been the last of its campaign
    return canceled.call;
  }
  const agent = await deps.verbs.agentSecrets(account, deps.now(), canceled.stop.agent_id);
  let stopped = false;
  try {
    if (agent !== null)
      stopped = await deps.providers[agent.provider].stopCall(await openAgent(deps, agent), canceled.stop.provider_call_id);
  } catch (error) {
    deps.report('provider_api_failure', error, { account_id: account, call_id: callId, provider: agent?.provider });
  }
  const call = await deps.verbs.getCall(account, deps.now(), callId);
  // The end may have crossed the question: then there was nothing left to stop.
  if (stopped || call === null || call.status === 'canceled') return call;
  if (call.ended_at !== null || call.released_at !== null) {
    throw new Refusal(409, 'wrong_state', `the call was over first (${call.status}): there is nothing to cancel`);
  }
  throw new Refusal(409, 'not_stopped', 'The provider does not stop this call: it goes on until somebody hangs up.');
};
