/** Agents on their way from the database to a provider: their secrets opened for one invocation, never kept. */
import * as z from 'zod';
import { webhookKey } from './auth.ts';
import type { Deps } from './deps.ts';
import type { ProviderAgent } from './providers/provider.ts';
import type { ProviderName } from './providers/table.ts';
import { tagOf, toBase64Url, utf8 } from './seal.ts';
import type { AgentSecrets } from './verb-shapes.ts';

const Credentials = z.record(z.string(), z.string());
const Secrets = z.array(z.string());

/** @throws when the secrets were sealed under another `SECRETS_KEY` */
export const openAgent = async (deps: Pick<Deps, 'sealer'>, agent: AgentSecrets): Promise<ProviderAgent> => ({
  provider_agent_id: agent.provider_agent_id,
  from_number: agent.from_number,
  credentials: Credentials.parse(JSON.parse(await deps.sealer.open(agent.credentials_sealed))),
  webhook_secrets:
    agent.webhook_secrets_sealed === null ? [] : Secrets.parse(JSON.parse(await deps.sealer.open(agent.webhook_secrets_sealed))),
  analysis_mapping: agent.analysis_mapping,
});

/** The address at which the provider reports on this agent's calls. */
export const webhookUrl = async (
  { config }: Pick<Deps, 'config'>,
  accountId: string,
  agent: { id: string; provider: ProviderName },
): Promise<string> =>
  `${config.publicUrl}/webhooks/${agent.provider}/${await webhookKey(config.secretsKey, accountId, agent.id)}`;

/** Equal for agents that share an account at the provider, and a guess for nobody. */
export const credentialsTag = async (
  { config, providers }: Pick<Deps, 'config' | 'providers'>,
  name: ProviderName,
  credentials: Readonly<Record<string, string>>,
): Promise<string> => {
  const proof = providers[name].accountCredentials.map((credential) => credentials[credential]);
  return toBase64Url(await tagOf(config.secretsKey, 'credentials', utf8(JSON.stringify([name, ...proof]))));
};

/**
 * Tags the agents that a release without tags left bare, so that whoever shares the account that is about to be refused is paused with
 * it. An agent whose secrets do not open stays bare: its own first call says so.
 */
export const tagAgents = async (
  deps: Pick<Deps, 'config' | 'providers' | 'sealer' | 'verbs' | 'now' | 'report'>,
  account: string,
  provider: ProviderName,
): Promise<void> => {
  const bare = await deps.verbs.tagAgents(account, deps.now(), provider, []);
  const tags = [];
  for (const agent of bare) {
    try {
      const { credentials } = await openAgent(deps, agent);
      const tag = await credentialsTag(deps, provider, credentials);
      tags.push({ agent_id: agent.agent_id, sealed: agent.credentials_sealed, tag });
    } catch (error) {
      deps.report('call_dispatch_failed', error, { account_id: account, agent_id: agent.agent_id, provider });
    }
  }
  if (tags.length > 0) await deps.verbs.tagAgents(account, deps.now(), provider, tags);
};
