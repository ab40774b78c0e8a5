/** A campaign under fire: Postgres and workerd are killed again and again while the phone network misbehaves, and it must end right. */
import fs from 'node:fs';
import path from 'node:path';
import { Client } from 'pg';
import { expect } from 'vitest';
import type { CallRecord } from '../../local/phone-network/exchange.ts';
import { type CampaignOut, openScene, type Scene, type Stats, summaryOf } from '../journey/scene.ts';
import { compareMail, deviations, numbers } from '../journey/table.ts';
import { killPostgres, killWorkerd, type Killer } from './killers.ts';

export interface Size {
  leads: number;
  maxAttempts: number;
  /** At least so many kills of each kind. */
  kills: { postgres: number; workerd: number };
  /** Calls at a time while there is killing: few, so that the campaign outlasts it. */
  capUnderFire: number;
  /** Real milliseconds between two kills, from and to. */
  pause: { postgres: readonly [number, number]; workerd: readonly [number, number] };
  /** Real milliseconds within which the killing must be done, and within which the campaign must then end. */
  patience: { fire: number; peace: number };
}

const CAP_IN_PEACE = 50;
const FAULTS = { drop: 0.1, duplicate: 0.2, reorder: 0.3, delay_seconds: 5 };
const PEACE = { drop: 0, duplicate: 0, reorder: 0, delay_seconds: 0 };
/** Minutes of the local clock, so that retries come within seconds; an end that nobody knows is tried again, too. */
const RETRY = { no_answer_minutes: 3, busy_minutes: 2, unknown_minutes: 3 };
/** What need not hold of more leads than this share: that the create-call of their last attempt got to the phone network at all. */
const NEVER_ASKED = 0.02;

const nap = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const control = async (scene: Scene, faults: object): Promise<void> => {
  const answer = await fetch(`${scene.ready.phone_network_url}/control`, { method: 'PUT', body: JSON.stringify(faults) });
  expect(answer.status).toBe(200);
  await answer.arrayBuffer();
};

/** What an operator does: looks, and resumes what the breaker has paused. While things are being killed he may get no answer. */
class Operator {
  readonly #scene: Scene;
  readonly #campaign: string;
  readonly reasons: string[] = [];
  unanswered = 0;
  last: CampaignOut | undefined;

  constructor(scene: Scene, campaign: string) {
    this.#scene = scene;
    this.#campaign = campaign;
  }

  async look(): Promise<void> {
    try {
      const route = `/v1/campaigns/${this.#campaign}`;
      const seen = await this.#scene.api<CampaignOut & { pause_reason: string | null }>('GET', route);
      this.last = seen;
      if (seen.status !== 'paused') return;
      await this.#scene.api('POST', `${route}/resume`);
      this.reasons.push(seen.pause_reason ?? '');
    } catch (error) {
      if (!/answered 5\d\d|fetch failed/.test(String(error))) throw error;
      this.unanswered += 1;
    }
  }

  /** Raises the account's cap, as soon as the system answers again. @throws when it does not within a minute */
  async raiseCap(cap: number): Promise<void> {
    for (const end = Date.now() + 60_000; ;) {
      try {
        return await this.#scene.api('PATCH', '/v1/account', { max_concurrent_calls: cap });
      } catch (error) {
        if (Date.now() > end) throw error;
        this.unanswered += 1;
      }
    }
  }

  /** Looks every second until `done`. @throws with where the campaign stands, after `ms` real milliseconds */
  async until(done: () => boolean, ms: number): Promise<void> {
    const end = Date.now() + ms;
    while (!done()) {
      if (Date.now() > end) throw new Error(`not in time: ${JSON.stringify(this.last)}\n${this.#scene.started.output()}`);
      await this.look();
      await nap(1000);
    }
  }
}

/** How often Postgres's own log says that it came up after a crash. */
const recoveries = (scene: Scene): number =>
  fs.readFileSync(path.join(scene.dataDir, 'data', 'logs', 'postgres.log'), 'utf8').split('automatic recovery in progress')
    .length - 1;

/** What must be nought when all is over. */
const leftBehind = async (scene: Scene): Promise<object> => {
  const client = new Client({ connectionString: scene.ready.database_url });
  await client.connect();
  try {
    const { rows } = await client.query<object>(`select
      (select count(*)::int from ringleader.calls where ended_at is null) as calls_open,
      (select count(*)::int from ringleader.calls where reserved_at is not null and released_at is null) as slots_held,
      (select count(*)::int from ringleader.leads where status in ('waiting', 'calling')) as leads_open,
      (select count(*)::int from ringleader.leads l where l.attempts <> (select count(*) from ringleader.calls c where c.lead_id = l.id and c.disposition is not null)) as attempts_wrong,
      (select count(*)::int from ringleader.notifications where status in ('pending', 'sending')) as mails_open`);
    return rows[0];
  } finally {
    await client.end();
  }
};

/** Of those that ended otherwise than the table says: the ones whose last create-call, by the phone network's own record, never got there. */
const neverAsked = async (scene: Scene, leads: readonly string[], maxAttempts: number): Promise<string[]> => {
  const calls = (await (await fetch(`${scene.ready.phone_network_url}/calls`)).json()) as CallRecord[];
  const asked = new Set(calls.map(({ body }) => (body as { user_data: { attempt_id: string } }).user_data.attempt_id));
  const lost: string[] = [];
  for (const lead of leads) {
    const { calls: own } = await scene.api<{ calls: { id: string; attempt: number; disposition: string }[] }>(
      'GET',
      `/v1/leads/${lead}`,
    );
    const last = own.toSorted((a, b) => a.attempt - b.attempt).at(-1);
    if (last?.disposition === 'unknown' && last.attempt === maxAttempts && !asked.has(last.id)) lost.push(lead);
  }
  return lost;
};

export interface Report {
  leads: number;
  seconds: { under_fire: number; in_peace: number };
  /** Where the campaign stood when the killing ended. */
  under_fire: CampaignOut['counts'] | undefined;
  kills: { postgres: number; postgres_processes: number; workerd: number; workerd_processes: number };
  recoveries: number;
  webhooks: Stats['webhooks'];
  calls_created: number;
  max_live: number;
  resumed_by_the_operator: number;
  looks_unanswered: number;
  last_call_never_asked: number;
  reports: Record<string, number>;
}

const reported = async (scene: Scene): Promise<Record<string, number>> => {
  const events = (await (await fetch(`${scene.ready.sentry_url}/events`)).json()) as { error_type: string }[];
  return Object.fromEntries([...Map.groupBy(events, (event) => event.error_type)].map(([type, of]) => [type, of.length]));
};

/** Runs it and judges its end; the answer holds the figures. */
export const runUnderFire = async ({ leads, maxAttempts, kills, capUnderFire, pause, patience }: Size): Promise<Report> => {
  const from = Date.now();
  const scene = await openScene('--no-demo');
  await scene.api('PATCH', '/v1/account', { max_concurrent_calls: capUnderFire });
  await control(scene, FAULTS);
  const fields = { max_concurrent_calls: CAP_IN_PEACE, retry: { ...RETRY, max_attempts: maxAttempts } };
  // The last digits first: those that end unknown take the longest.
  const campaign = await scene.campaign('Under fire', numbers('+1415555', leads).toReversed(), fields);
  const operator = new Operator(scene, campaign);
  const killers: Record<'postgres' | 'workerd', Killer> = {
    postgres: killPostgres(scene, pause.postgres),
    workerd: killWorkerd(scene, pause.workerd),
  };
  const enough = (): boolean => killers.postgres.log.length >= kills.postgres && killers.workerd.log.length >= kills.workerd;
  try {
    await operator.until(enough, patience.fire);
  } finally {
    await Promise.all([killers.postgres.stop(), killers.workerd.stop()]);
  }
  const [fire, under_fire] = [Date.now(), operator.last?.counts];
  // Faults off: from here on everything must come to its end.
  await control(scene, PEACE);
  await operator.raiseCap(CAP_IN_PEACE);
  await operator.until(() => operator.last?.status === 'completed', patience.peace);
  await summaryOf(scene, campaign, 180_000);

  const stats = await scene.stats();
  const { compared, wrong } = await deviations(
    scene,
    campaign,
    { maxAttempts, noAnswer: true, busy: true, unknown: true },
    false,
  );
  const lost = new Set(
    await neverAsked(
      scene,
      wrong.map(({ lead }) => lead),
      maxAttempts,
    ),
  );
  const sum = (killer: Killer): number => killer.log.reduce((n, one) => n + one.processes, 0);
  const report: Report = {
    leads: compared,
    seconds: { under_fire: Math.round((fire - from) / 1000), in_peace: Math.round((Date.now() - fire) / 1000) },
    under_fire,
    kills: {
      postgres: killers.postgres.log.length,
      postgres_processes: sum(killers.postgres),
      workerd: killers.workerd.log.length,
      workerd_processes: sum(killers.workerd),
    },
    recoveries: recoveries(scene),
    webhooks: stats.webhooks,
    calls_created: stats.calls_created,
    max_live: stats.max_live,
    resumed_by_the_operator: operator.reasons.length,
    looks_unanswered: operator.unanswered,
    last_call_never_asked: lost.size,
    reports: await reported(scene),
  };
  console.log(JSON.stringify(report), operator.reasons);
  expect(wrong.filter(({ lead }) => !lost.has(lead))).toEqual([]);
  expect(lost.size).toBeLessThanOrEqual(leads * NEVER_ASKED);
  expect(compared).toBe(leads);
  expect(stats.max_live).toBeLessThanOrEqual(CAP_IN_PEACE);
  expect(stats).toMatchObject({ duplicate_creates: 0, dials_while_on_a_call: 0 });
  expect(await leftBehind(scene)).toEqual({ calls_open: 0, slots_held: 0, leads_open: 0, attempts_wrong: 0, mails_open: 0 });
  await compareMail(scene, campaign);
  expect(await scene.summaries()).toHaveLength(1);
  return report;
};
