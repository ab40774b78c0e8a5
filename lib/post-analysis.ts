/** An analysis that the account's application posts, for calls whose provider makes none (or a worse one). */
import type * as z from 'zod';
import type { AnalysisIn } from './contract.ts';
import type { Deps } from './deps.ts';
import { analysisOf } from './providers/facts.ts';
import type { Mapping } from './domain/score.ts';
import { toBase64Url, utf8 } from './seal.ts';
import type { Applied, CallFact } from './verb-shapes.ts';

type Posted = z.infer<typeof AnalysisIn>;

/** What a posted body says: its own fields under their own names, `data` under those of the agent's mapping. */
export const postedFact = async ({ data, ...fields }: Posted, mapping: Mapping): Promise<CallFact> => {
  const payload = JSON.stringify(data === undefined ? fields : { data });
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', utf8(payload)));
  return {
    event_key: `posted:${toBase64Url(digest)}`,
    provider_status: 'analysis',
    source: 'posted',
    analysis: data === undefined ? analysisOf(fields, null) : analysisOf(data, mapping),
    payload,
  };
};

/**
 * Applies a posted analysis by the verb that applies a provider's: the same body twice in a row counts once; late, it reopens nothing.
 * Null: no such call.
 * @throws {Refusal} 409 when the call was never placed
 */
export const postAnalysis = async (deps: Deps, account: string, callId: string, posted: Posted): Promise<Applied | null> => {
  const agent = await deps.verbs.callAgent(account, deps.now(), callId);
  if (agent === null) return null;
  const fact = await postedFact(posted, agent.analysis_mapping);
  const key = `${callId}:${fact.event_key}`;
  // Said again after anything else was said, it is news: a correction may go back to an earlier one.
  const last = agent.last_event;
  const event_key = last?.source === 'posted' && last.event_key.startsWith(key) ? last.event_key : `${key}:${last?.id ?? ''}`;
  return deps.verbs.applyFact(account, deps.now(), agent.agent_id, deps.newId(), { ...fact, event_key, attempt_id: callId });
};
