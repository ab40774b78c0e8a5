/** Reconciliation: the provider is asked what became of a call that is quiet or whose create-call had no answer. Never asked to dial. */
import type { Deps } from './deps.ts';
import { openAgent, tagAgents } from './provider-agents.ts';
import { reportUnknown } from './receive-webhook.ts';
import type { Applied, CallToLookAt } from './verb-shapes.ts';

/** Calls asked about at the same time: with the database, five of the platform's six connections. */
const PARALLEL = 4;

/** Asks about one call and applies the answer with the same verb as a webhook. Null when the provider could not be asked. */
const lookAt = async (deps: Deps, look: CallToLookAt): Promise<Applied | null> => {
  const provider = deps.providers[look.agent.provider];
  const agent = await openAgent(deps, look.agent);
  const since = look.placing_at === null ? deps.now() : new Date(look.placing_at);
  const read =
    look.provider_call_id === null
      ? await provider.findCall(agent, { attempt_id: look.call_id, to: look.phone, since })
      : await provider.readCall(agent, look.provider_call_id);
  if (read.state === 'failed') {
    deps.report('provider_api_failure', new Error('a call could not be looked up'), {
      account_id: look.account_id,
      call_id: look.call_id,
      provider: provider.name,
    });
    await deps.verbs.noteUnasked(look.account_id, deps.now(), look.call_id);
    return null;
  }
  if (read.state === 'missing') return deps.verbs.noteUnfound(look.account_id, deps.now(), look.call_id);
  const fact = { ...read.fact, attempt_id: look.call_id };
  if (fact.account_refused) await tagAgents(deps, look.account_id, provider.name);
  const applied = await deps.verbs.applyFact(look.account_id, deps.now(), look.agent.agent_id, deps.newId(), fact);
  if (applied !== null) reportUnknown(deps, provider.name, fact, applied);
  return applied;
};

/**
 * Looks at each call; one that fails is reported and looked at again a minute later. True when a mail is due because of what was found.
 * Once `deadline` (in {@link Deps.elapsedMs}) has passed no more are begun: those come first in the next tick, and a provider that hangs
 * leaves time to dial.
 */
export const reconcile = async (deps: Deps, looks: readonly CallToLookAt[], deadline: number): Promise<boolean> => {
  let mailDue = false;
  for (let at = 0; at < looks.length && deps.elapsedMs() < deadline; at += PARALLEL) {
    const some = looks.slice(at, at + PARALLEL);
    const results = await Promise.allSettled(some.map((look) => lookAt(deps, look)));
    for (const [i, result] of results.entries()) {
      if (result.status === 'fulfilled') mailDue ||= result.value?.mail_due ?? false;
      else deps.report('provider_api_failure', result.reason, { account_id: some[i]!.account_id, call_id: some[i]!.call_id });
    }
  }
  return mailDue;
};
