/** An account of its own for a test, made as an integrator would make it. */
import { randomUUID } from 'node:crypto';
import { inject } from 'vitest';
import * as z from 'zod';
import { callApi } from '../../local/api-client.ts';
import { AccountCreated, AgentOut, Campaign, ImportReport } from '../../lib/contract.ts';

export interface TestAccount {
  key: string;
  agentId: string;
  get<T>(path: string, answer: z.ZodType<T>): Promise<T>;
  /** A draft that may call at any hour. */
  campaign(name: string, more?: object): Promise<z.infer<typeof Campaign>>;
  upload(campaign: string, csv: string): Promise<z.infer<typeof ImportReport>>;
}

const ALWAYS = { days: [1, 2, 3, 4, 5, 6, 7], start: '00:00', end: '24:00' };

export const newAccount = async (timezone = 'Asia/Kolkata'): Promise<TestAccount> => {
  const { url, adminKey } = inject('stack');
  const made = await callApi(url, {
    method: 'POST',
    path: '/v1/accounts',
    key: adminKey,
    body: { name: 'Pages', email: `${randomUUID()}@example.com`, timezone },
    answer: AccountCreated,
  });
  const key = made.api_key;
  const body = { name: 'Voice', provider: 'bolna', provider_agent_id: randomUUID(), credentials: { api_key: 'local' } };
  const agent = await callApi(url, { method: 'POST', path: '/v1/agents', key, body, answer: AgentOut });
  return {
    key,
    agentId: agent.id,
    get: (path, answer) => callApi(url, { path, key, answer }),
    campaign: (name, more = {}) =>
      callApi(url, {
        method: 'POST',
        path: '/v1/campaigns',
        key,
        body: { name, agent_id: agent.id, window: ALWAYS, ...more },
        answer: Campaign,
      }),
    upload: (campaign, csv) =>
      callApi(url, {
        method: 'POST',
        path: `/v1/campaigns/${campaign}/leads`,
        key,
        csv: new Blob([csv]).stream(),
        answer: ImportReport,
      }),
  };
};
