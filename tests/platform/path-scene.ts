/** What every path of a request is walked in: an account, the outside it talks to, and what must not leak on the way. */
import { randomUUID } from 'node:crypto';
import type { ErrorType } from '../../lib/errors.ts';
import { json, serve, type Edge, type Reply } from '../../local/edge-server.ts';
import type { AppRig } from './app-rig.ts';

/** What must not be found in any report nor in any log line. */
export const CANARIES = {
  name: 'Maria Canary-Lopez',
  email: 'maria.canary@example.com',
  transcript: 'Hello, this is the Canary transcript of a call.',
  providerKey: 'bn-Canary-Provider-Key-1',
  webhookSecret: 'Canary-Webhook-Secret-1',
  forgedKey: 'rl_CanaryKeyCanaryKeyCanaryKeyCanaryKeyCanary',
  password: 'Canary-Password-1',
} as const;
/** Different numbers that all begin alike. */
export const PHONES = '+141555501';
export const phone = (n: number): string => PHONES + String(n).padStart(2, '0');
export const ECHO = `${phone(0)} ${Object.values(CANARIES).join(' ')}`;

/** The provider and the mail provider: each question is answered as was said last, and all are noted. */
export interface Outside extends Edge {
  asked: string[];
  /** Answers `method path` so, its ids left out: `GET /executions`. */
  says(question: string, reply: Says): void;
}
export type Says = Reply | ((body: Readonly<Record<string, unknown>>) => Reply);
export const startOutside = async (): Promise<Outside> => {
  const replies = new Map<string, Says>();
  const asked: string[] = [];
  const edge = await serve({ port: 0, maxBody: 1e7 }, ({ method, path, body }) => {
    const [, first = '', ...rest] = path.split('/');
    const question = `${method} /${rest.at(-1) === 'stop' ? 'stop' : first}`;
    asked.push(question);
    const said = replies.get(question) ?? json(200, {});
    return typeof said === 'function' ? said(JSON.parse(body.toString('utf8')) as Record<string, unknown>) : said;
  });
  return { ...edge, asked, says: (question, reply) => void replies.set(question, reply) };
};

export interface Path {
  path: string;
  ask: () => Promise<Response>;
  status: number;
  /** The `error.code` of its body; null for what is no error of the API. */
  code: string | null;
  /** Whatever is reported of it, its background work included; none when the caller's fault is answered and that is all. */
  reports: readonly ErrorType[];
  /** What the outside must have been asked. */
  asked?: string;
  /** Once it is over. */
  mend?: () => Promise<unknown> | void;
}

/** What the paths need of an account. */
export interface Scene {
  rig: AppRig;
  outside: Outside;
  agent: { id: string; webhook_url: string };
}

export const createScene = async (rig: AppRig, outside: Outside): Promise<Scene> => ({
  rig,
  outside,
  agent: await agentOf(rig),
});
export const agentOf = async (rig: AppRig, apiKey: string = CANARIES.providerKey): Promise<Scene['agent']> => {
  const body = { name: 'Ann', provider: 'bolna', provider_agent_id: `agent-${randomUUID()}`, credentials: { api_key: apiKey } };
  return (await (await rig.send('POST', '/v1/agents', { key: rig.apiKey, body })).json()) as Scene['agent'];
};
const idOf = async (response: Response): Promise<string> => ((await response.json()) as { id: string }).id;
export const draft = async ({ rig, agent }: Scene): Promise<string> => {
  const window = { days: [1, 2, 3, 4, 5, 6, 7], start: '00:00', end: '24:00' };
  return idOf(
    await rig.send('POST', '/v1/campaigns', { key: rig.apiKey, body: { name: CANARIES.name, agent_id: agent.id, window } }),
  );
};
