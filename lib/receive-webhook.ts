/** A provider's webhook, from raw body to committed fact, for the first time and, when an administrator asks, again. */
import { type Replayed } from './contract.ts';
import { DISPOSITIONS } from './domain/vocabulary.ts';
import type { Deps } from './deps.ts';
import { Refusal } from './errors.ts';
import { postedFact } from './post-analysis.ts';
import { openAgent, tagAgents, webhookUrl } from './provider-agents.ts';
import type { Provider, ProviderAgent, WebhookRequest } from './providers/provider.ts';
import type { ProviderName } from './providers/table.ts';
import type { AgentSecrets, Applied, CallFact, EventToReplay } from './verb-shapes.ts';
import type * as z from 'zod';

export interface Incoming {
  accountId: string;
  agentId: string;
  provider: Provider;
  request: WebhookRequest;
}

/** The provider could not confirm an event (yet): it is answered 5xx, so that it comes again. */
export class Unconfirmed extends Error {
  override name = 'Unconfirmed';
}

const ends = (fact: CallFact): boolean => fact.status !== undefined && (DISPOSITIONS as readonly string[]).includes(fact.status);

const unknownWebhook = (): Refusal => new Refusal(401, 'unauthorized', 'This webhook address is not known.');

/**
 * Nobody signs for an unsigned provider's events, so one that would end a call, or take a lead for a caller, is only a hint to read the
 * call at the provider: what the provider says there is applied.
 * @throws {Unconfirmed} when the provider cannot be asked or says otherwise
 */
const confirmed = async (provider: Provider, agent: ProviderAgent, fact: CallFact): Promise<CallFact> => {
  if (fact.provider_call_id === undefined) throw new Unconfirmed('the event names no call');
  const read = await provider.readCall(agent, fact.provider_call_id);
  if (read.state !== 'found') throw new Unconfirmed(read.state === 'missing' ? 'the provider knows no such call' : read.reason);
  if (ends(fact) && !ends(read.fact)) throw new Unconfirmed('the provider says that the call goes on');
  if (fact.direction !== read.fact.direction) throw new Unconfirmed('the provider says that the call went the other way');
  const { event_key, payload } = fact;
  const own = payload === undefined ? { event_key } : { event_key, payload };
  return { ...fact, ...read.fact, ...own, source: 'event' };
};

const needsProof = (provider: Provider, fact: CallFact): boolean =>
  !provider.signed && (ends(fact) || fact.direction === 'inbound');

/** A word for the state that nobody here knows moves nothing; somebody should hear of it, once for each event. */
export const reportUnknown = (deps: Pick<Deps, 'report'>, provider: ProviderName, fact: CallFact, applied: Applied): void => {
  if (applied.fate !== 'unknown') return;
  deps.report('webhook_processing_failed', new Error('a provider sent a status that nobody knows'), {
    provider,
    provider_status: fact.provider_status,
    call_id: applied.call_id,
  });
};

/**
 * Does `work`, which changes nothing, with the agent that a webhook is for as this isolate remembers it; should that fail, once more with the
 * agent as it has become.
 * @throws {Refusal} 401 for an unknown agent
 */
const withAgent = async <T>(deps: Deps, incoming: Incoming, work: (agent: ProviderAgent) => Promise<T>): Promise<T> => {
  const { accountId, agentId, provider } = incoming;
  const current = async (): Promise<AgentSecrets> => {
    const secrets = await deps.agentMemory.learn(accountId, agentId, deps.now(), deps.verbs.agentSecrets);
    if (secrets === null || secrets.provider !== provider.name) throw unknownWebhook();
    return secrets;
  };
  const remembered = deps.agentMemory.recall(accountId, agentId, deps.now());
  if (remembered === null || remembered.provider !== provider.name) return work(await openAgent(deps, await current()));
  try {
    return await work(await openAgent(deps, remembered));
  } catch (error) {
    const secrets = await current();
    if (JSON.stringify(secrets) === JSON.stringify(remembered)) throw error;
    return work(await openAgent(deps, secrets));
  }
};

/** What an event says that is another agent's than the one at whose address it came: read by the mapping of the agent of its call, if that is ours. */
const asTheirs = async (deps: Deps, incoming: Incoming, heard: CallFact, request: WebhookRequest): Promise<CallFact> => {
  const { accountId, agentId, provider } = incoming;
  const theirs = await deps.verbs.agentOfCall(accountId, deps.now(), agentId, heard);
  return (theirs && provider.parseWebhook(await openAgent(deps, theirs), request)) ?? heard;
};

/**
 * Verifies, parses and applies one webhook. Null: none of our business, to be acknowledged.
 * @throws {Refusal} 401 for a bad signature or an unknown agent, 400 for a body that is not this provider's
 * @throws {Unconfirmed} when it must come again
 */
export const receiveWebhook = async (deps: Deps, incoming: Incoming): Promise<Applied | null> => {
  const { accountId, agentId, provider } = incoming;
  // Whatever stands in front of the worker, the provider called (and signed) the public address.
  const { pathname, search } = new URL(incoming.request.url);
  const request = { ...incoming.request, url: `${deps.config.publicUrl}${pathname}${search}` };
  const proven = async (agent: ProviderAgent): Promise<ProviderAgent> => {
    if (!(await provider.verifyWebhook(agent, request, deps.now()))) throw unknownWebhook();
    return agent;
  };
  const heard = provider.parseWebhook(provider.signed ? await withAgent(deps, incoming, proven) : null, request);
  if (heard === null) return null;
  const said = heard.elsewhere ? await asTheirs(deps, incoming, heard, request) : heard;
  const fact = needsProof(provider, said) ? await withAgent(deps, incoming, (agent) => confirmed(provider, agent, said)) : said;
  if (fact.account_refused) await tagAgents(deps, accountId, provider.name);
  const applied = await deps.verbs.applyFact(accountId, deps.now(), agentId, deps.newId(), fact);
  if (applied === null) throw unknownWebhook();
  reportUnknown(deps, provider.name, fact, applied);
  return applied;
};

/** @throws {Refusal} 409 when nothing can be read out of it any more */
const factOfStored = async (
  deps: Deps,
  { account_id, agent: secrets, source, payload, attempt_id }: EventToReplay,
): Promise<CallFact> => {
  if (payload === null) throw new Refusal(409, 'not_replayable', 'The event has no payload, or it is no longer kept.');
  if (source === 'posted') return postedFact(JSON.parse(payload), secrets.analysis_mapping);
  const provider = deps.providers[secrets.provider];
  const agent = await openAgent(deps, secrets);
  const url = await webhookUrl(deps, account_id, { id: secrets.agent_id, provider: provider.name });
  const fact = provider.parseWebhook(agent, {
    url,
    body: payload,
    headers: new Headers({ 'content-type': provider.contentType }),
  });
  if (fact === null) throw new Refusal(409, 'not_replayable', 'The event is none of our business.');
  const whole = attempt_id === null ? fact : { ...fact, attempt_id };
  return needsProof(provider, whole) ? confirmed(provider, agent, whole) : whole;
};

/**
 * Applies a stored event once more, parsed anew, by the same verb; an event of its own records when and with what fate. The signature
 * was verified when it came; what needed the provider's word then needs it again. Null: no such event.
 * @throws {Refusal} 409 when it cannot be applied again, 422 when the provider does not confirm it
 */
export const replayEvent = async (
  deps: Deps,
  eventId: string,
): Promise<{ applied: Applied; replayed: z.infer<typeof Replayed> } | null> => {
  const event = await deps.verbs.eventToReplay(deps.now(), eventId);
  if (event === null) return null;
  let fact: CallFact;
  try {
    fact = await factOfStored(deps, event);
  } catch (error) {
    if (error instanceof Unconfirmed)
      throw new Refusal(422, 'unconfirmed', `The provider does not confirm the event: ${error.message}.`);
    if (error instanceof Refusal && error.status !== 409) {
      throw new Refusal(409, 'not_replayable', `The event cannot be read: ${error.message}.`);
    }
    throw error;
  }
  const id = deps.newId();
  const { payload: _kept, ...said } = fact;
  const again: CallFact = { ...said, event_key: `replay:${id}`, source: 'replay', replay_of: eventId };
  const applied = await deps.verbs.applyFact(event.account_id, deps.now(), event.agent.agent_id, id, again);
  if (applied === null || applied.fate === 'ignored')
    throw new Refusal(409, 'not_replayable', 'The event concerns nobody who is known.');
  reportUnknown(deps, event.agent.provider, again, applied);
  return { applied, replayed: { event_id: id, replay_of: eventId, call_id: applied.call_id, fate: applied.fate } };
};
