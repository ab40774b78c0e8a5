/** A provider's webhook, from raw body to committed fact. */
import { DISPOSITIONS } from './contract.ts';
import type { Deps } from './deps.ts';
import { Refusal } from './errors.ts';
import { openAgent } from './provider-agents.ts';
import type { Provider, ProviderAgent, WebhookRequest } from './providers/provider.ts';
import type { Applied, CallFact } from './verbs.ts';

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
 * Nobody signs for an unsigned provider's events, so one that would end a call is only a hint to read the call at the provider:
 * what the provider says there is applied.
 * @throws {Unconfirmed} when the provider cannot be asked or says otherwise
 */
const confirmed = async (provider: Provider, agent: ProviderAgent, fact: CallFact): Promise<CallFact> => {
  if (fact.provider_call_id === undefined) throw new Unconfirmed('the event names no call');
  const read = await provider.readCall(agent, fact.provider_call_id);
  if (read.state !== 'found') throw new Unconfirmed(read.state === 'missing' ? 'the provider knows no such call' : read.reason);
  if (!ends(read.fact)) throw new Unconfirmed('the provider says that the call goes on');
  const { event_key, payload } = fact;
  const own = payload === undefined ? { event_key } : { event_key, payload };
  return { ...fact, ...read.fact, ...own, source: 'event' };
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
  let agent: ProviderAgent | null = null;
  const opened = async (): Promise<ProviderAgent> => {
    const secrets = await deps.verbs.agentSecrets(accountId, deps.now(), agentId);
    if (secrets === null || secrets.provider !== provider.name) throw unknownWebhook();
    return openAgent(deps, secrets);
  };
  if (provider.signed) {
    agent = await opened();
    if (!(await provider.verifyWebhook(agent, request, deps.now()))) throw unknownWebhook();
  }
  let fact = provider.parseWebhook(agent, request);
  if (fact === null) return null;
  if (!provider.signed && ends(fact)) fact = await confirmed(provider, agent ?? (await opened()), fact);
  const applied = await deps.verbs.applyFact(accountId, deps.now(), agentId, deps.newId(), fact);
  if (applied === null) throw unknownWebhook();
  return applied;
};
