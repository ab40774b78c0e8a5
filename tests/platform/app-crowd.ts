/** Many requests that fail at once: each is reported, and as what it was. The same suite in Node and in workerd. */
import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { createApp } from '../../functions/app.ts';
import { webhookKey } from '../../lib/auth.ts';
import type { AppRig } from './app-rig.ts';
import { until } from './rig.ts';

const CROWD = 200;

/** A request, and what its report must say of it and of no other. */
interface Request {
  method: string;
  path: string;
  about: Readonly<Record<string, string>>;
}

/** Every route that an account reads, in turn; each names other ids. */
const reads = createApp().routes.filter((route) => 'handler' in route && route.method === 'GET' && route.auth === 'account');
const readOf = (n: number): Request => {
  const { method, path } = reads[n % reads.length]!;
  const about = { route: `${method} ${path}`, verb: 'authenticate' };
  return { method, path: path.replaceAll(/:\w+/g, () => randomUUID()), about };
};
/** Each for an account and an agent of its own. */
const webhookFor = async (secretsKey: string): Promise<Request> => {
  const [account_id, agent_id] = [randomUUID(), randomUUID()];
  const about = {
    route: 'POST /webhooks/:provider/:webhook_key',
    verb: 'agent_secrets',
    provider: 'bolna',
    account_id,
    agent_id,
  };
  return { method: 'POST', path: `/webhooks/bolna/${await webhookKey(secretsKey, account_id, agent_id)}`, about };
};

export const crowdSuite = (rig: AppRig): void => {
  test('two hundred failing requests at once: two hundred reports, each with what its own request was about', async () => {
    const requests = await Promise.all(
      Array.from({ length: CROWD }, (_, i) => (i % 2 === 0 ? Promise.resolve(readOf(i / 2)) : webhookFor(rig.secretsKey))),
    );
    await rig.forgetEvents();
    rig.proxy.faults.refuseStartups('28P01', 'password authentication failed', 1e9);
    const answers = await Promise.all(
      requests.map(({ method, path }) =>
        rig.send(method, path, { key: rig.apiKey, ...(method === 'GET' ? {} : { body: { id: 'x', status: 'completed' } }) }),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual(requests.map(() => 503));
    await until('all reports are in', () => rig.reported() >= CROWD);
    rig.proxy.faults.clear();
    await until('every tunnel is closed', () => rig.proxy.counters().openNow === 0);

    const events = await rig.events();
    expect(events).toHaveLength(CROWD);
    const reports = new Map(events.map((event) => [event.tags['request_id'], event]));
    const ids = answers.map(({ headers }) => headers.get('x-request-id') ?? '');
    expect(new Set(ids).size).toBe(CROWD);
    for (const [i, { about }] of requests.entries()) {
      const { tags, contexts } = reports.get(ids[i])!;
      expect(tags).toEqual({
        error_type: 'database_connection_error',
        connection_terminated: false,
        outcome: 'not_applied',
        verb: about['verb'],
        request_id: ids[i],
      });
      const { route, verb, provider, account_id, agent_id } = contexts['report'] as Record<string, unknown>;
      expect({ route, verb, provider, account_id, agent_id }).toEqual({ ...about });
    }
    expect(rig.uncaught()).toEqual([]);
  });
};
