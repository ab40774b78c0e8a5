/** One account, an agent at each of three providers, one campaign each at the same time: every wire protocol to its end. */
import { expect } from 'vitest';
import { openScene, type Scene, type Stats } from './scene.ts';
import { compareLeads, compareMail } from './table.ts';

const SECRET = 'what-our-webhooks-are-signed-with';
const FROM = '+14155550199';
const CAMPAIGN_CAP = 4;
const ACCOUNT_CAP = 9;

/** A credential as a deployer makes one in Vapi's dashboard; answers its id. */
const makeCredential = async ({ ready }: Scene): Promise<string> => {
  const answer = await fetch(`${ready.phone_network_url}/vapi/credential`, {
    method: 'POST',
    headers: { authorization: 'Bearer vapi-key' },
    body: JSON.stringify({
      provider: 'webhook',
      authenticationPlan: { type: 'hmac', algorithm: 'sha256', secretKey: SECRET },
    }),
  });
  expect(answer.status).toBe(201);
  return ((await answer.json()) as { id: string }).id;
};

/** The agents, by provider; each with what its provider needs. */
const makeAgents = async (scene: Scene): Promise<Record<string, string>> => {
  const vapi = { api_key: 'vapi-key', phone_number_id: 'number-1', webhook_credential_id: await makeCredential(scene) };
  const bodies = [
    { provider: 'bolna', credentials: { api_key: 'bolna-key' } },
    { provider: 'vapi', credentials: vapi, webhook_secrets: [SECRET] },
    { provider: 'retell', credentials: { api_key: 'retell-key' }, from_number: FROM },
  ];
  const made = await Promise.all(
    bodies.map(async (body) => {
      const fields = { name: `At ${body.provider}`, provider_agent_id: `${body.provider}-agent`, ...body };
      const { id } = await scene.api<{ id: string }>('POST', '/v1/agents', fields);
      return [body.provider, id] as const;
    }),
  );
  return Object.fromEntries(made);
};

/**
 * Runs the table on all three wires and compares every lead, every count and every mail.
 * @param digits the rows of the number table that are dialled on each wire
 * @param ms real milliseconds that it may take
 */
export const runThreeWires = async (digits: readonly number[], retry: object, ms: number): Promise<Stats> => {
  const scene = await openScene('--no-demo');
  await scene.api('PATCH', '/v1/account', { max_concurrent_calls: ACCOUNT_CAP });
  const agents = Object.entries(await makeAgents(scene));
  const ids = await Promise.all(
    agents.map(([provider, agent_id], i) => {
      const phones = digits.map((n) => `+1415555${i}1${String(n).padStart(2, '0')}`);
      return scene.campaign(`By ${provider}`, phones, { agent_id, max_concurrent_calls: CAMPAIGN_CAP, retry });
    }),
  );
  await scene.until(ids, 'completed', ms);
  const rules = { maxAttempts: 3, noAnswer: true, busy: true, unknown: false };
  for (const id of ids) expect(await compareLeads(scene, id, rules, true)).toBe(digits.length);
  const stats = await scene.stats();
  expect(stats).toMatchObject({ ceiling_violations: 0, duplicate_creates: 0, dials_while_on_a_call: 0 });
  expect(stats.max_live).toBeLessThanOrEqual(ACCOUNT_CAP);
  const used = agents.map(([provider]) => `${provider}-agent`).toSorted();
  expect(Object.keys(stats.by_agent).toSorted()).toEqual(used);
  for (const { calls_created, max_live } of Object.values(stats.by_agent)) {
    expect(calls_created).toBeGreaterThanOrEqual(digits.length - 1); // 98 makes no call
    expect(max_live).toBeLessThanOrEqual(CAMPAIGN_CAP);
  }
  for (const id of ids) await compareMail(scene, id);
  expect(await scene.summaries()).toHaveLength(3);
  return stats;
};
