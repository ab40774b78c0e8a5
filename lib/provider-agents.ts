/** Agents on their way from the database to a provider: their secrets opened for one invocation, never kept. */
import * as z from 'zod';
import { webhookKey } from './auth.ts';
import type { ProviderName } from './contract.ts';
import type { Deps } from './deps.ts';
import type { ProviderAgent } from './providers/provider.ts';
import type { AgentSecrets } from './verbs.ts';

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
