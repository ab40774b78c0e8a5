/** What tests over refills begin with: campaigns in accounts with few slots, and calls that free one. */
import { randomUUID } from 'node:crypto';
import { lookUp } from '../sql/look-up.ts';
import type { Engine } from '../support/engine.ts';

export const slotsOf = (engine: Engine) => {
  const { verbs, now } = engine;
  const { begun } = lookUp(engine);
  return {
    running: (leads: number, cap: number, fields: object = {}) => begun(leads, fields, cap),
    live: async (account: string): Promise<number> => (await verbs.getAccount(account, now()))!.live_calls,
    /** The line is free; the end of the call is told later. */
    hangUp: (owner: { account: string; agent: string }, call: string, event = randomUUID()) =>
      verbs.applyFact(owner.account, now(), owner.agent, event, {
        event_key: `${call}:line`,
        attempt_id: call,
        provider_call_id: `x-${call}`,
        status: 'in_progress',
        line_free: true,
        source: 'event',
      }),
  };
};
