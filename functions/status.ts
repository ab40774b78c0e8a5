/** What is going on: in an account for its key, in the whole system for the admin's. */
import * as z from 'zod';
import { AccountStatus, Instant } from '../lib/contract.ts';
import { offTypes } from '../lib/summarise.ts';
import { route, type Route } from './route.ts';

const SystemStatus = z.object({
  accounts: z.int(),
  live_calls: z.int(),
  waiting_leads: z.int(),
  waiting_direct_calls: z.int(),
  notifications: z.record(z.string(), z.int()),
  unknown_events: z.int(),
  connections: z.array(z.object({ state: z.string().nullable(), count: z.int() })),
  next_due_at: Instant.nullable(),
  system_max_concurrent_calls: z.int(),
  summary_mails: z.enum(['on', 'off']),
  mail_webhook: z.enum(['on', 'off']),
});

export const statusRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/status',
    tag: 'Status',
    summary: 'Queue, live calls, next due and mails switched off; with the admin key, of the whole system',
    auth: 'either',
    responses: { 200: z.union([AccountStatus, SystemStatus]) },
    async handler({ deps, account }) {
      const { config } = deps;
      if (account !== null) {
        return { status: 200, body: await deps.verbs.accountStatus(account, deps.now(), offTypes(config)) };
      }
      const system = await deps.verbs.systemStatus(deps.now(), config.systemMaxConcurrentCalls);
      return {
        status: 200,
        body: {
          ...system,
          system_max_concurrent_calls: config.systemMaxConcurrentCalls,
          summary_mails: config.summaryEnabled ? 'on' : 'off',
          mail_webhook: config.postmarkWebhookSecret === undefined ? 'off' : 'on',
        },
      };
    },
  }),
];
