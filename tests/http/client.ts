/** Speaks to the API as any integrator does, and holds every JSON answer to the schema that the contract gives for it. */
import { randomUUID } from 'node:crypto';
import { inject } from 'vitest';
import type * as z from 'zod';
import type { ErrorOut } from '../../lib/contract.ts';
import { holdToSchema } from '../support/contract.ts';

export { mounted, routes } from '../support/contract.ts';
export const stack = inject('stack');

export interface Answer<T = Record<string, unknown>> {
  status: number;
  headers: Headers;
  text: string;
  body: T;
}
export interface Sent {
  body?: unknown;
  /** As it is, with its own content type. */
  raw?: BodyInit;
  headers?: Record<string, string>;
}

/** One request; `key` null sends none. */
export const call = async <T = Record<string, unknown>>(
  key: string | null,
  method: string,
  path: string,
  { body, raw, headers = {} }: Sent = {},
): Promise<Answer<T>> => {
  const response = await fetch(stack.url + path, {
    method,
    redirect: 'manual',
    headers: {
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(raw === undefined ? {} : { body: raw, duplex: 'half' as const }),
  });
  const text = await response.text();
  const isJson = text !== '' && (response.headers.get('content-type') ?? '').startsWith('application/json');
  const parsed: unknown = isJson ? JSON.parse(text) : undefined;
  if (isJson) holdToSchema(method, path.split('?', 1)[0], response.status, parsed);
  return { status: response.status, headers: response.headers, text, body: parsed as T };
};

/** The fields that an error names. */
export const fieldsOf = (answer: Answer): string[] => {
  const { error } = answer.body as unknown as z.infer<typeof ErrorOut>;
  return (error.details ?? []).map(({ field }) => field);
};
export const codeOf = (answer: Answer): string => (answer.body as unknown as z.infer<typeof ErrorOut>).error.code;

export interface Tenant {
  key: string;
  account: string;
  agent: string;
}

/** A new account with an agent: no test sees another's rows. */
export const createTenant = async (name = 'Tenant', cap = 10): Promise<Tenant> => {
  const opened = await call<{ account: { id: string }; api_key: string }>(stack.adminKey, 'POST', '/v1/accounts', {
    body: { name, email: 'owner@example.com', max_concurrent_calls: cap },
  });
  const key = opened.body.api_key;
  const agent = await call<{ id: string }>(key, 'POST', '/v1/agents', { body: agentBody() });
  if (agent.status !== 201) throw new Error(agent.text);
  return { key, account: opened.body.account.id, agent: agent.body.id };
};

export const agentBody = (more: object = {}): Record<string, unknown> => ({
  name: 'Ann',
  provider: 'bolna',
  // A provider sends an agent's webhooks to one address: no two of ours may share one of its agents.
  provider_agent_id: `agent-${randomUUID()}`,
  credentials: { api_key: 'key-of-tests' },
  ...more,
});
export const campaignBody = (agent: string, more: object = {}): Record<string, unknown> => ({
  name: 'Spring',
  agent_id: agent,
  default_country: 'US',
  window: { days: [1, 2, 3, 4, 5, 6, 7], start: '00:00', end: '24:00' },
  ...more,
});

/** A draft campaign; its id. */
export const createCampaign = async ({ key, agent }: Tenant, more: object = {}): Promise<string> => {
  const made = await call<{ id: string }>(key, 'POST', '/v1/campaigns', { body: campaignBody(agent, more) });
  if (made.status !== 201) throw new Error(made.text);
  return made.body.id;
};

/** Polls until `done`, at most `ms` real milliseconds. */
export const until = async <T>(read: () => Promise<T>, done: (value: T) => boolean, ms = 30_000): Promise<T> => {
  const deadline = Date.now() + ms;
  for (;;) {
    const value = await read();
    if (done(value)) return value;
    if (Date.now() > deadline) throw new Error(`not in ${ms} ms: ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
};
