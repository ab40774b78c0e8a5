/** The connection picture: what is counted outlives isolates, adds up over them, and is what the other end of the line saw. */
import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import type { Figure, FigureName, SlowVerb } from '../../lib/domain/connections.ts';
import { until } from './rig.ts';
import { startWorkerRig } from './worker-rig.ts';

const rig = await startWorkerRig();

interface Status {
  connections: Record<FigureName, Figure> & { hours: unknown[]; server: { state: string; count: number }[] };
  slow_verbs: SlowVerb[];
}
const status = async (): Promise<Status> =>
  (await rig.send('GET', '/v1/status', { key: rig.adminKey })).json() as Promise<Status>;
const account = async (): Promise<number> => (await rig.send('GET', '/v1/account', { key: rig.apiKey })).status;

test('the counts survive the death of every isolate, and add up to what the proxy saw', { timeout: 180_000 }, async () => {
  for (let i = 0; i < 10; i += 1) expect(await account()).toBe(200);
  rig.proxy.faults.refuseUpgrades(502, 2);
  expect(await account()).toBe(200);
  rig.proxy.faults.refuseStartups('53300', 'sorry, too many clients already', 1);
  expect(await account()).toBe(200);
  rig.proxy.faults.cutOn({ from: 'server', contains: 'max_concurrent_calls', how: 'reset' });
  expect(await account()).toBe(200);
  expect((await rig.send('GET', '/v1/account', { key: `rl_${randomUUID()}` })).status).toBe(401);
  expect(rig.proxy.counters().refused).toBe(3);

  /** The status once all connections before it, but so many, have told of themselves, which each does when it is closed. */
  const counted = async (untold = 0): Promise<Status> => {
    let seen = await status();
    await until('the count is what the proxy saw', async () => {
      await until('every tunnel is closed', () => rig.proxy.counters().openNow === 0);
      const asked = rig.proxy.counters().opened;
      seen = await status();
      const missing = asked - seen.connections.opened.last_48_hours;
      return missing >= 0 && missing <= untold;
    });
    return seen;
  };
  const before = await counted();
  expect(before.connections).toMatchObject({
    connect_failed: { last_48_hours: 3, goal: { at_most: 0 }, met: false },
    refused_full: { last_48_hours: 1, goal: { at_most: 0 }, met: false },
    lost_in_flight: { last_48_hours: 1 },
    retried: { last_48_hours: 4 },
    query_error_rate: { last_48_hours: 0, goal: { below: 0.01 }, met: true },
    mail_failures: { last_48_hours: 0, met: true },
  });
  await rig.kill(); // at worst before the last look at the status, which has a connection as well, could tell of it
  const after = await counted(1);
  for (const name of ['connect_failed', 'refused_full', 'lost_in_flight', 'retried'] as const)
    expect(after.connections[name].last_48_hours).toBe(before.connections[name].last_48_hours);
  for (let i = 0; i < 10; i += 1) expect(await account()).toBe(200);
  const { slow_verbs, connections } = await counted(1);
  expect(connections.opened.last_48_hours).toBeGreaterThan(25);
  const authenticate = slow_verbs.find(({ verb }) => verb === 'authenticate');
  expect(authenticate?.count).toBeGreaterThanOrEqual(24);
  expect(authenticate?.p99_ms).toBeGreaterThanOrEqual(authenticate?.p50_ms ?? Infinity);
  expect(connections.hours).toHaveLength(48);
  expect(connections.server.map(({ state }) => state)).toContain('active');
  expect(rig.uncaught()).toEqual([]);
});

test('looking at the page of the system takes the admin key', async () => {
  expect((await rig.send('GET', '/system', { key: rig.adminKey })).status).toBe(401);
  const form = (key: string): Promise<Response> =>
    fetch(`${rig.url}/sign-in`, {
      method: 'POST',
      redirect: 'manual',
      headers: { 'sec-fetch-site': 'same-origin', 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ key, next: '/' }),
    });
  const page = async (signedIn: Response): Promise<Response> =>
    fetch(`${rig.url}/system`, { headers: { cookie: (signedIn.headers.get('set-cookie') ?? '').split(';', 1)[0] } });
  const admin = await form(rig.adminKey);
  expect(admin.headers.get('location')).toBe('/system');
  expect(admin.headers.get('set-cookie')).toMatch(/HttpOnly.*SameSite=Strict|SameSite=Strict.*HttpOnly/i);
  expect(admin.headers.get('set-cookie')).not.toContain(rig.adminKey);
  const shown = await page(admin);
  expect(shown.status).toBe(200);
  const text = await shown.text();
  for (const words of [
    'Terminated idle',
    'Query error rate',
    '&lt; 1.00 %',
    'Refused full',
    'authenticate',
    'Sessions at the server',
  ])
    expect(text).toContain(words);
  expect((await page(await form(rig.apiKey))).status).toBe(401);
});
