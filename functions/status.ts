/** What is going on: in an account for its key, in the whole system for the admin's. */
import * as z from 'zod';
import { AccountStatus, Instant } from '../lib/contract.ts';
import type { Deps } from '../lib/deps.ts';
import { COUNTS, FIGURES, pictureOf, type Measured } from '../lib/domain/connections.ts';
import { offTypes } from '../lib/summarise.ts';
import { SystemStatus } from '../lib/verb-shapes.ts';
import { route, type Route } from './route.ts';

const Goal = z.union([z.object({ at_most: z.number() }), z.object({ below: z.number() })]).nullable();
const Figure = z.object({
  current: z.number(),
  last_48_hours: z.number(),
  goal: Goal,
  met: z.boolean().nullable(),
});
const figures = Object.fromEntries(FIGURES.map((name) => [name, Figure]));
const times = { count: z.int(), slow: z.int(), p50_ms: z.int(), p99_ms: z.int() };
const hourly = Object.fromEntries(COUNTS.map((name) => [name, z.int()]));

const SystemStatusOut = z.object({
  ...SystemStatus.shape,
  /** What connections went through: this hour, the last 48, and the goals; null when the counts cannot be read. */
  connections: z.object({
    ...z.object(figures).partial().shape,
    hours: z.array(z.object({ at: Instant, ...hourly })).optional(),
    /** The server's own view: sessions of this application by state. */
    server: z.array(z.object({ state: z.string().nullable(), count: z.int() })),
  }),
  /** Of the last 48 hours, and of this one; null when the counts cannot be read. */
  slow_verbs: z
    .array(z.object({ verb: z.string(), ...times, current: z.object(times), goal: Goal, met: z.boolean() }))
    .nullable(),
  system_max_concurrent_calls: z.int(),
  summary_mails: z.enum(['on', 'off']),
  mail_webhook: z.enum(['on', 'off']),
});

/** The whole system, with the picture of its connections. */
export const systemStatusOf = async (deps: Pick<Deps, 'verbs' | 'config' | 'now'>, measured: Measured | null) => {
  const { config } = deps;
  const system = await deps.verbs.systemStatus(deps.now(), config.systemMaxConcurrentCalls);
  const server = await deps.verbs.serverSessions(deps.now());
  const picture = measured && pictureOf(measured);
  return {
    ...system,
    connections: { ...picture?.figures, ...(picture ? { hours: picture.hours } : {}), server },
    slow_verbs: picture && picture.verbs,
    system_max_concurrent_calls: config.systemMaxConcurrentCalls,
    summary_mails: config.summaryEnabled ? ('on' as const) : ('off' as const),
    mail_webhook: config.postmarkWebhookSecret === undefined ? ('off' as const) : ('on' as const),
  };
};

export const statusRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/status',
    tag: 'Status',
    summary: 'Queue, live calls, next due and mails switched off; with the admin key, of the whole system',
    auth: 'either',
    responses: { 200: z.union([AccountStatus, SystemStatusOut]) },
    async handler({ deps, account, measured }) {
      if (account !== null) {
        return { status: 200, body: await deps.verbs.accountStatus(account, deps.now(), offTypes(deps.config)) };
      }
      return { status: 200, body: await systemStatusOf(deps, await measured()) };
    },
  }),
];
