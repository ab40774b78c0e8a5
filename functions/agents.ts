/** Voice agents: who speaks, with whose credentials. Secrets are sealed before they reach the database and never come back out. */
import { AgentCreate, AgentOut, AgentPatch, page, type Agent } from '../lib/contract.ts';
import type { Deps } from '../lib/deps.ts';
import { wakeDispatch } from '../lib/dial.ts';
import { notFound, Refusal } from '../lib/errors.ts';
import { credentialsTag, openAgent, webhookUrl } from '../lib/provider-agents.ts';
import type { ProviderName } from '../lib/providers/table.ts';
import type * as z from 'zod';
import { found, paged } from './respond.ts';
import { accountOf, ById, PageQuery, route, type Route } from './route.ts';

const tag = 'Agents';
type AgentRow = z.infer<typeof Agent>;

const shown = async (deps: Deps, account: string, agent: AgentRow): Promise<z.infer<typeof AgentOut>> => ({
  ...agent,
  webhook_url: await webhookUrl(deps, account, agent),
});

interface Given {
  credentials?: Readonly<Record<string, string>> | undefined;
  from_number?: string | null | undefined;
  webhook_secrets?: readonly string[] | undefined;
}

/**
 * @param given what the request says; in a PATCH whatever is absent stays as it is
 * @throws {Refusal} 400 naming everything that the provider needs and the request lacks
 */
const requireParts = (deps: Deps, name: ProviderName, given: Given, whole: boolean): void => {
  const { requiredCredentials, requires } = deps.providers[name];
  const { credentials } = given;
  const missing = [
    ...requiredCredentials
      .filter((credential) => (whole || credentials) && !Object.hasOwn(credentials ?? {}, credential))
      .map((credential) => `credentials.${credential}`),
    ...requires.filter((field) => (whole || given[field] !== undefined) && !given[field]?.length),
  ];
  const details = missing.map((field) => ({ field, rule: 'is required' }));
  const first = details[0];
  if (first) throw new Refusal(400, 'validation', `${first.field}: ${first.rule}`, details);
};

/**
 * Points the provider's webhooks at us: an outside effect, hence after the commit. Failing leaves `webhook_registered` false and a
 * report; the agent can still be pointed at `webhook_url` by hand.
 */
const register = async (deps: Deps, account: string, agent: AgentRow): Promise<AgentRow> => {
  const secrets = await deps.verbs.agentSecrets(account, deps.now(), agent.id);
  if (!secrets) return agent;
  let registered = false;
  try {
    const opened = await openAgent(deps, secrets);
    registered = await deps.providers[agent.provider].registerWebhook(opened, await webhookUrl(deps, account, agent));
  } catch (error) {
    deps.report('provider_api_failure', error, { provider: agent.provider, agent_id: agent.id, task: 'register_webhook' });
  }
  await deps.verbs.setWebhookRegistered(account, deps.now(), agent.id, registered);
  return { ...agent, webhook_registered: registered };
};

const sealJson = (deps: Deps, value: unknown): Promise<string> => deps.sealer.seal(JSON.stringify(value));

/** The columns that a PATCH changes, secrets sealed. */
const sealedPatch = async (
  deps: Deps,
  provider: ProviderName,
  { credentials, webhook_secrets, ...plain }: z.infer<typeof AgentPatch>,
): Promise<Parameters<Deps['verbs']['updateAgent']>[3]> => ({
  ...Object.fromEntries(Object.entries(plain).filter(([, value]) => value !== undefined)),
  ...(credentials
    ? {
        credentials_sealed: await sealJson(deps, credentials),
        credentials_tag: await credentialsTag(deps, provider, credentials),
      }
    : {}),
  ...(webhook_secrets ? { webhook_secrets_sealed: await sealJson(deps, webhook_secrets) } : {}),
});

export const agentRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/agents',
    tag,
    summary: 'List agents',
    auth: 'account',
    query: PageQuery,
    responses: { 200: page(AgentOut) },
    handler: (call) => {
      const { deps } = call;
      return paged(call.query, async (after, limit) => {
        const rows = await deps.verbs.listAgents(accountOf(call), deps.now(), after, limit);
        return Promise.all(rows.map(async (row) => ({ ...(await shown(deps, accountOf(call), row)), seq: row.seq })));
      });
    },
  }),
  route({
    method: 'POST',
    path: '/v1/agents',
    tag,
    summary: 'Add a voice agent and point its webhooks here',
    auth: 'account',
    body: AgentCreate,
    creates: true,
    responses: { 201: AgentOut },
    async handler(call) {
      const { deps, body, mint } = call;
      const account = accountOf(call);
      requireParts(deps, body.provider, body, true);
      const agent = await deps.verbs.createAgent(account, deps.now(), {
        id: await mint.id('agent'),
        name: body.name,
        provider: body.provider,
        provider_agent_id: body.provider_agent_id,
        from_number: body.from_number ?? null,
        credentials_sealed: await sealJson(deps, body.credentials),
        credentials_tag: await credentialsTag(deps, body.provider, body.credentials),
        webhook_secrets_sealed: body.webhook_secrets ? await sealJson(deps, body.webhook_secrets) : null,
        analysis_mapping: body.analysis_mapping ?? null,
      });
      return { status: 201, body: await shown(deps, account, await register(deps, account, agent)) };
    },
  }),
  route({
    method: 'GET',
    path: '/v1/agents/:id',
    tag,
    summary: 'One agent',
    auth: 'account',
    params: ById,
    responses: { 200: AgentOut },
    async handler(call) {
      const { deps, params } = call;
      const agent = found(await deps.verbs.getAgent(accountOf(call), deps.now(), params.id));
      return { status: 200, body: await shown(deps, accountOf(call), agent) };
    },
  }),
  route({
    method: 'PATCH',
    path: '/v1/agents/:id',
    tag,
    summary: 'Change an agent; new credentials, or paused_reason null, lift its pause',
    auth: 'account',
    params: ById,
    body: AgentPatch,
    responses: { 200: AgentOut },
    async handler(call) {
      const { deps, params, body } = call;
      const account = accountOf(call);
      const before = found(await deps.verbs.getAgent(account, deps.now(), params.id));
      requireParts(deps, before.provider, body, false);
      const patch = await sealedPatch(deps, before.provider, body);
      // Whatever comes of it, this isolate no longer believes what it read before.
      const forget = (): void => deps.agentMemory.forget(account, params.id);
      const agent = found(await deps.verbs.updateAgent(account, deps.now(), params.id, patch).finally(forget));
      // What its pause held back, or that of an agent with the same credentials, may go now (class 17).
      if (body.credentials !== undefined || (before.paused_reason !== null && agent.paused_reason === null))
        wakeDispatch(deps, account);
      const moved = body.credentials !== undefined || body.provider_agent_id !== undefined;
      return { status: 200, body: await shown(deps, account, moved ? await register(deps, account, agent) : agent) };
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/agents/:id',
    tag,
    summary: 'Remove an agent that no running campaign uses',
    auth: 'account',
    params: ById,
    responses: { 204: null },
    refusals: [409],
    async handler(call) {
      const { deps, params } = call;
      if (!(await deps.verbs.deleteAgent(accountOf(call), deps.now(), params.id))) throw notFound();
      return { status: 204, body: undefined };
    },
  }),
];
