/** A campaign under fire: everything is killed again and again while the phone network misbehaves, and it must end right. */
import fs from 'node:fs';
import path from 'node:path';
import { expect } from 'vitest';
import type { CallRecord } from '../../local/phone-network/exchange.ts';
import { seeded } from '../edges/support.ts';
import { type Disturbances, disturbances } from '../journey/disturbances.ts';
import { type CampaignOut, type Scene, type Stats, summaryOf } from '../journey/scene.ts';
import { numbers } from '../journey/table.ts';
import { judge, type Verdict } from './judge.ts';
import { killPostgres, killWorkerd, type Killer, type Pause } from './killers.ts';
import { Operator } from './operator.ts';
import { openRig, type Rig } from './rig.ts';

/** How often each was hit, by the logs of those who hit. */
export interface Hits extends Disturbances {
  postgres: number;
  /** Of these: one of its processes was stuck and outlived the postmaster. */
  postgres_leaving_one_stuck: number;
  workerd: number;
  /** Connections cut while signed in, between a statement and its answer, and otherwise. */
  connections_in_flight: number;
  connections_idle: number;
}

export interface Size {
  leads: number;
  maxAttempts: number;
  /** The least of each. The killing goes on until there were so many kills. */
  hits: Hits;
  /** Calls at a time while there is killing: few, so that the campaign outlasts it. */
  capUnderFire: number;
  /** A connection is cut with one in so many statements, and with one in so many answers. */
  cutOneIn: number;
  /** Real milliseconds between two kills. */
  pause: { postgres: Pause; workerd: Pause };
  /** Real milliseconds within which the killing must be done, and within which the campaign must then end. */
  patience: { fire: number; peace: number };
}

const CAP_IN_PEACE = 25;
/** Virtual seconds. */
const DELAY = 5;
const FAULTS = { drop: 0.1, duplicate: 0.2, reorder: 0.3, delay_seconds: DELAY };
const PEACE = { drop: 0, duplicate: 0, reorder: 0, delay_seconds: 0 };
/** A connection is cut within so many real milliseconds after a statement or an answer: about as long as either lasts. */
const CUT_WITHIN_MS = 15;
/** Minutes of the local clock, so that retries come within seconds; an end that nobody knows is tried again, too. */
const RETRY = { no_answer_minutes: 3, busy_minutes: 2, unknown_minutes: 3 };

const control = async (scene: Scene, faults: object): Promise<void> => {
  const answer = await fetch(`${scene.ready.phone_network_url}/control`, { method: 'PUT', body: JSON.stringify(faults) });
  expect(answer.status).toBe(200);
  await answer.arrayBuffer();
};

/** How often Postgres's own log says that it came up after a crash. */
const recoveries = (scene: Scene): number =>
  fs.readFileSync(path.join(scene.dataDir, 'data', 'logs', 'postgres.log'), 'utf8').split('automatic recovery in progress')
    .length - 1;

const reported = async (scene: Scene): Promise<Record<string, number>> => {
  const events = (await (await fetch(`${scene.ready.sentry_url}/events`)).json()) as { error_type: string }[];
  return Object.fromEntries([...Map.groupBy(events, (event) => event.error_type)].map(([type, of]) => [type, of.length]));
};

/** Everybody who kills. */
class Firing {
  readonly #rig: Rig;
  readonly #postgres: Killer;
  readonly #workerd: Killer;

  constructor(rig: Rig, { pause, cutOneIn }: Size) {
    this.#rig = rig;
    this.#postgres = killPostgres(rig, pause.postgres);
    this.#workerd = killWorkerd(rig, pause.workerd);
    rig.neon.faults.killSome({ oneIn: cutOneIn, withinMs: CUT_WITHIN_MS, random: seeded(7), everyFlight: true });
  }

  hits(): Omit<Hits, keyof Disturbances> {
    const { killedInFlight, killedIdle } = this.#rig.neon.counters();
    return {
      postgres: this.#postgres.log.length,
      postgres_leaving_one_stuck: this.#postgres.log.filter(({ how }) => how === 'leaving one stuck').length,
      workerd: this.#workerd.log.length,
      connections_in_flight: killedInFlight,
      connections_idle: killedIdle,
    };
  }

  /** Whether there was as much as that of each. */
  enough(wanted: Hits): boolean {
    return Object.entries(this.hits()).every(([kind, n]) => n >= wanted[kind as keyof Hits]);
  }

  async cease(): Promise<void> {
    this.#rig.neon.faults.clear();
    await Promise.all([this.#postgres.stop(), this.#workerd.stop()]);
  }
}

export interface Report extends Verdict {
  leads: number;
  seconds: { under_fire: number; in_peace: number };
  hits: Hits;
  recoveries: number;
  /** Where the campaign stood when the killing ended. */
  under_fire: CampaignOut['counts'] | undefined;
  webhooks: Stats['webhooks'];
  calls_created: number;
  max_live: number;
  resumed_by_the_operator: number;
  looks_unanswered: number;
  reports: Record<string, number>;
}

/** Runs it and judges its end; the answer holds the figures. */
export const runUnderFire = async (size: Size): Promise<Report> => {
  const { leads, maxAttempts, capUnderFire, patience } = size;
  const from = Date.now();
  const rig = await openRig();
  await rig.api('PATCH', '/v1/account', { max_concurrent_calls: capUnderFire });
  // The provider's ceiling is our cap: one call too many at any moment is counted by the one who would have to carry it.
  await control(rig, { ...FAULTS, ceiling: capUnderFire });
  const fields = { max_concurrent_calls: CAP_IN_PEACE, retry: { ...RETRY, max_attempts: maxAttempts } };
  // The last digits first: those that end unknown take the longest.
  const campaign = await rig.campaign('Under fire', numbers('+1415555', leads).toReversed(), fields);
  const operator = new Operator(rig, campaign);
  const firing = new Firing(rig, size);
  try {
    await operator.until(
      () => firing.enough(size.hits),
      patience.fire,
      () => firing.hits(),
    );
  } finally {
    await firing.cease();
  }
  const [fire, under_fire] = [Date.now(), operator.last?.counts];
  // Faults off: from here on everything must come to its end.
  await control(rig, { ...PEACE, ceiling: CAP_IN_PEACE });
  await operator.raiseCap(CAP_IN_PEACE);
  await operator.until(() => operator.last?.status === 'completed', patience.peace);
  await summaryOf(rig, campaign, 180_000);

  const { webhooks, calls_created, max_live } = await rig.stats();
  const hits = { ...firing.hits(), ...disturbances(await rig.network<CallRecord[]>('/calls'), DELAY) };
  const figures = {
    leads,
    seconds: { under_fire: Math.round((fire - from) / 1000), in_peace: Math.round((Date.now() - fire) / 1000) },
    hits,
    recoveries: recoveries(rig),
    under_fire,
    webhooks,
    calls_created,
    max_live,
    resumed_by_the_operator: operator.reasons.length,
    looks_unanswered: operator.unanswered,
    reports: await reported(rig),
  };
  console.log(JSON.stringify(figures), operator.reasons);
  for (const [kind, n] of Object.entries(size.hits)) expect(hits[kind as keyof Hits], kind).toBeGreaterThanOrEqual(n as number);
  expect(figures.recoveries).toBeGreaterThanOrEqual(hits.postgres);
  // It was not over before the killing was.
  expect((under_fire?.leads['waiting'] ?? 0) + (under_fire?.leads['calling'] ?? 0)).toBeGreaterThan(0);
  const verdict = await judge(rig, campaign, leads, maxAttempts);
  console.log(JSON.stringify(verdict));
  return { ...figures, ...verdict };
};
