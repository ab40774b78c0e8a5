/** The account and agent that a local system begins with; made through the API, once per data directory. */
import * as z from 'zod';
import { AccountCreated, AgentOut, page } from '../lib/contract.ts';
import { callApi } from './api-client.ts';
import type { State, StateFile } from './state.ts';

export const LOCAL_EMAIL = 'you@example.com';
/** The phone network takes any key that does not begin with `bad-`. */
const PHONE_NETWORK_KEY = 'local-phone-network';

type LocalAccount = NonNullable<State['account']>;

/** Keyed by the installation, so that a start cut short here makes no second account. */
const create = async (url: string, adminKey: string, installation: string): Promise<LocalAccount> => {
  const { api_key } = await callApi(url, {
    method: 'POST',
    path: '/v1/accounts',
    key: adminKey,
    headers: { 'idempotency-key': `${installation}-account` },
    body: { name: 'Local', email: LOCAL_EMAIL, max_concurrent_calls: 10 },
    answer: AccountCreated,
  });
  const agent = await callApi(url, {
    method: 'POST',
    path: '/v1/agents',
    key: api_key,
    headers: { 'idempotency-key': `${installation}-agent` },
    body: { name: 'Demo agent', provider: 'bolna', provider_agent_id: 'demo-agent', credentials: { api_key: PHONE_NETWORK_KEY } },
    answer: AgentOut,
  });
  return { api_key, agent_id: agent.id };
};

/** The worker's address may be new, and a new phone network knows no agents: naming an agent's provider id again registers its webhooks. */
const registerAgents = async (url: string, { api_key: key }: LocalAccount): Promise<void> => {
  let cursor: string | null = null;
  do {
    const query: string = cursor === null ? '' : `?cursor=${encodeURIComponent(cursor)}`;
    const agents: z.infer<ReturnType<typeof page<typeof AgentOut>>> = await callApi(url, {
      path: `/v1/agents${query}`,
      key,
      answer: page(AgentOut),
    });
    for (const { id, provider_agent_id } of agents.data) {
      await callApi(url, { method: 'PATCH', path: `/v1/agents/${id}`, key, body: { provider_agent_id }, answer: AgentOut });
    }
    cursor = agents.next_cursor;
  } while (cursor !== null);
};

/**
 * Sees to it that the account exists and that its agents' webhooks lead here.
 * @param adminKey the key that the worker really has, which the environment may have set
 * @throws {ApiError} what the worker said when it would not
 */
export const ensureAccount = async (url: string, adminKey: string, state: StateFile): Promise<LocalAccount> => {
  const known = state.value.account;
  if (known) {
    await registerAgents(url, known);
    return known;
  }
  const account = await create(url, adminKey, state.value.installation);
  state.set({ account });
  return account;
};
