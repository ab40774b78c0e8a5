/** A system of its own, driven through the HTTP API alone, as an integrator would. */
import fs from 'node:fs';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import type { Ready } from '../../local/ready-file.ts';
import { testDirectory } from '../support/directory.ts';
import { type Started, startSystem } from '../support/system.ts';

export interface LeadOut {
  id: string;
  phone: string;
  name: string | null;
  status: string;
  disposition: string | null;
  attempts: number;
  score: number | null;
  temperature: string | null;
  variables: Record<string, unknown>;
}
export interface CampaignOut {
  id: string;
  status: string;
  progress: number;
  hot_leads: number;
  counts: { leads: Record<string, number>; calls: Record<string, number> };
}
export interface MailOut {
  To: string;
  Subject: string;
  HtmlBody: string;
  TextBody: string;
  Metadata: Record<string, string>;
  Attachments: { Name: string; ContentType: string; Content: string }[];
}
export interface Stats {
  calls_created: number;
  live: number;
  max_live: number;
  ceiling_violations: number;
  duplicate_creates: number;
  dials_while_on_a_call: number;
  webhooks: { sent: number; repeated: number; dropped: number };
  by_agent: Record<string, { calls_created: number; max_live: number }>;
}
interface Page<T> {
  data: T[];
  next_cursor: string | null;
}

export interface Scene {
  ready: Ready;
  /** The process that started it, ancestor of all the others, and what it printed. */
  started: Pick<Started, 'pid' | 'output'>;
  dataDir: string;
  /** One request as the local account. @throws when it is not answered 2xx */
  api<T>(method: string, path: string, body?: unknown): Promise<T>;
  /** All pages of a list. */
  all<T>(path: string): Promise<T[]>;
  /** A campaign with these numbers, started. */
  campaign(name: string, phones: readonly string[], fields: object): Promise<string>;
  /** Resolves when all of them have the status. @throws with where they stand, at the deadline (real ms) */
  until(ids: readonly string[], status: string, ms: number): Promise<void>;
  /** What a path of the phone network shows. */
  network<T>(path: string): Promise<T>;
  stats(): Promise<Stats>;
  mails(): Promise<MailOut[]>;
  summaries(): Promise<MailOut[]>;
}

/** A scene whose system is a process of its own. */
export interface StartedScene extends Scene {
  started: Started;
}

const json = async <T>(answer: Response): Promise<T> => {
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${answer.url} answered ${answer.status}: ${text.slice(0, 500)}`);
  return (text === '' ? null : JSON.parse(text)) as T;
};
const nap = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Starts it, with `npm start`'s own program; it ends with the calling test. */
export const openScene = (...args: string[]): Promise<StartedScene> => openSceneIn(testDirectory('journey'), args);

/** Kills the supervisor as nobody can prevent, and starts on the same data again. */
export const reopenScene = async (scene: StartedScene, ...args: string[]): Promise<StartedScene> => {
  scene.started.child.kill('SIGKILL');
  await scene.started.exited;
  return openSceneIn(scene.dataDir, args);
};

const openSceneIn = async (dataDir: string, args: readonly string[]): Promise<StartedScene> => {
  const started = startSystem(path.join(dataDir, 'data'), ['--port', '0', ...args]);
  onTestFinished(async () => {
    const { exitCode, signalCode } = started.child;
    if (exitCode === null && signalCode === null) process.kill(-started.pid, 'SIGINT');
    await started.exited;
    fs.rmSync(dataDir, { recursive: true, force: true });
  }, 30_000);
  return { ...sceneOf({ ready: await started.ready(), started, dataDir }), started };
};

/** What an integrator does with a system that is up. */
export const sceneOf = ({ ready, started, dataDir }: Pick<Scene, 'ready' | 'started' | 'dataDir'>): Scene => {
  /** A busy or restarting system answers 503 or not at all; an integrator asks again. */
  const api = async <T>(method: string, route: string, body?: unknown): Promise<T> => {
    const key = crypto.randomUUID();
    for (let attempt = 1; ; attempt += 1) {
      try {
        const answer = await fetch(`${ready.url}${route}`, {
          method,
          headers: { authorization: `Bearer ${ready.api_key}`, 'content-type': 'application/json', 'idempotency-key': key },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
        if (answer.status < 500 || attempt === 20) return await json<T>(answer);
      } catch (error) {
        if (attempt === 20 || !(error instanceof TypeError)) throw error;
      }
      await nap(250);
    }
  };
  const get = async <T>(url: string): Promise<T> => json<T>(await fetch(url));
  const mails = (): Promise<MailOut[]> => get(`${ready.inbox_url}/messages`);

  return {
    ready,
    started,
    dataDir,
    api,
    async all<T>(route: string) {
      const rows: T[] = [];
      let cursor: string | null = null;
      do {
        const page: Page<T> = await api('GET', `${route}?limit=200${cursor === null ? '' : `&cursor=${cursor}`}`);
        rows.push(...page.data);
        cursor = page.next_cursor;
      } while (cursor !== null);
      return rows;
    },
    async campaign(name, phones, fields) {
      const { id } = await api<{ id: string }>('POST', '/v1/campaigns', {
        name,
        agent_id: ready.agent_id,
        window: { days: [1, 2, 3, 4, 5, 6, 7], start: '00:00', end: '24:00' },
        ...fields,
      });
      await api('POST', `/v1/campaigns/${id}/leads`, {
        leads: phones.map((phone, i) => ({ phone, name: `Lead ${i}`, variables: { i } })),
      });
      await api('POST', `/v1/campaigns/${id}/start`);
      return id;
    },
    async until(ids, status, ms) {
      const deadline = Date.now() + ms;
      for (;;) {
        const campaigns = await Promise.all(ids.map((id) => api<CampaignOut>('GET', `/v1/campaigns/${id}`)));
        if (campaigns.every((campaign) => campaign.status === status)) return;
        if (Date.now() > deadline) throw new Error(`not ${status} in time: ${JSON.stringify(campaigns)}\n${started.output()}`);
        await nap(500);
      }
    },
    network: (route) => get(`${ready.phone_network_url}${route}`),
    stats: () => get<Stats>(`${ready.phone_network_url}/stats`),
    mails,
    summaries: async () => (await mails()).filter((mail) => mail.Metadata.type === 'campaign_summary'),
  };
};

/** The campaign of the demo, which makes it once the system is ready. @throws after a minute */
export const demoOf = async (scene: Scene): Promise<CampaignOut> => {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const [campaign] = await scene.all<CampaignOut>('/v1/campaigns');
    if (campaign !== undefined) return campaign;
    if (Date.now() > deadline) throw new Error(`the demo made no campaign\n${scene.started.output()}`);
    await nap(100);
  }
};

/** The summary mails of a campaign, once there is one. @throws at the deadline (real ms) */
export const summaryOf = async (scene: Scene, campaign: string, ms: number): Promise<MailOut[]> => {
  const deadline = Date.now() + ms;
  for (;;) {
    const mails = (await scene.summaries()).filter((mail) => mail.Metadata.campaign_id === campaign);
    if (mails.length > 0) return mails;
    if (Date.now() > deadline) throw new Error(`no mail for ${campaign}\n${scene.started.output()}`);
    await nap(500);
  }
};
