import { Client } from 'pg';
import { expect, test } from 'vitest';
import { allProcesses, commandOf } from '../../local/process-table.ts';
import { openScene, type Scene } from './scene.ts';
import { compareLeads, compareMail, numbers } from './table.ts';
import { familyOf } from '../support/system.ts';

/** Ends every session of the worker once a second; answers how many it ended when told to stop. */
const terminateBackends = (databaseUrl: string): (() => Promise<number>) => {
  let ended = 0;
  const stopping = new AbortController();
  const loop = (async () => {
    const client = new Client({ connectionString: databaseUrl });
    await client.connect();
    while (!stopping.signal.aborted) {
      const { rows } = await client.query<{ n: number }>(
        `select count(pg_terminate_backend(pid))::int as n from pg_stat_activity where usename = 'ringleader_app'`,
      );
      ended += rows[0].n;
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    await client.end();
  })();
  return async () => {
    stopping.abort();
    await loop;
    return ended;
  };
};

/** Kills the runtime that serves the worker; wrangler brings up another. */
const killWorkerd = (scene: Scene): number => {
  const family = new Set(familyOf(scene.started.pid).map((known) => known.pid));
  const victims = allProcesses().filter((one) => family.has(one.pid) && /workerd/.test(commandOf(one.pid)));
  for (const victim of victims) process.kill(victim.pid, 'SIGKILL');
  return victims.length;
};

test('the same table when webhooks are lost, doubled and reordered, the provider queues, backends are terminated and workerd is killed', async () => {
  const scene = await openScene('--no-demo');
  await scene.api('PATCH', '/v1/account', { max_concurrent_calls: 7 });
  const control = await fetch(`${scene.ready.phone_network_url}/control`, {
    method: 'PUT',
    body: JSON.stringify({ drop: 0.2, duplicate: 0.3, reorder: 0.5, ceiling: 4 }),
  });
  expect(control.status).toBe(200);
  const retry = { max_attempts: 4, unknown_minutes: 5 };
  const rules = { maxAttempts: 4, noAnswer: true, busy: true, unknown: true };
  const ids = [
    await scene.campaign('Five', numbers('+1415555', 150), { max_concurrent_calls: 5, retry }),
    await scene.campaign('Three', numbers('+1415556', 150), { max_concurrent_calls: 3, retry }),
  ];
  const stop = terminateBackends(scene.ready.database_url);
  let killed = 0;
  for (const seconds of [15, 20, 25]) {
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    killed += killWorkerd(scene);
  }
  await scene.until(ids, 'completed', 1_500_000);
  const ended = await stop();
  const stats = await scene.stats();
  console.log(JSON.stringify({ ...stats, backends_terminated: ended, workerd_killed: killed }));
  expect(killed).toBeGreaterThanOrEqual(3);
  expect(ended).toBeGreaterThan(10);
  expect(stats.webhooks.dropped).toBeGreaterThan(20);
  expect(await compareLeads(scene, ids[0], rules, false)).toBe(150);
  expect(await compareLeads(scene, ids[1], rules, false)).toBe(150);
  // The provider's ceiling is below the account's cap, so calls queue there; that is counted and is no fault.
  expect(stats).toMatchObject({ duplicate_creates: 0, dials_while_on_a_call: 0 });
  expect(stats.max_live).toBeLessThanOrEqual(4);
  for (const id of ids) await compareMail(scene, id);
  expect(await scene.summaries()).toHaveLength(2);
}, 1_800_000);
