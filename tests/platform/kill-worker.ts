/** Many requests to the real worker while its connections die at random: the same suite, short and long. */
import { expect, test } from 'vitest';
import { seeded } from '../edges/support.ts';
import { until } from './rig.ts';
import { startWorkerRig } from './worker-rig.ts';

const AT_ONCE = 10;
/** The verbs of the request; the second must not be sent twice. */
const VERBS = ['authenticate', 'create_api_key'];

/** `requests` requests, each of which writes a row, with one connection in twenty killed. */
export const killWorkerSuite = (requests: number, timeout: number): void => {
  test(
    `${requests} requests to workerd with one connection in twenty killed: answered, applied once or unknown, nothing left (classes 1, 2)`,
    { timeout },
    async () => {
      const rig = await startWorkerRig();
      rig.proxy.faults.killSome({ oneIn: 20, withinMs: 15, random: seeded(1) });
      const said = new Map<string, number>();
      const request = async (name: string): Promise<void> => {
        const response = await rig.send('POST', '/v1/api-keys', { key: rig.apiKey, body: { name } });
        await response.arrayBuffer();
        said.set(name, response.status);
      };
      const names = Array.from({ length: requests }, (_, i) => `kill-${i}`);
      for (let i = 0; i < requests; i += AT_ONCE) await Promise.all(names.slice(i, i + AT_ONCE).map(request));
      rig.proxy.faults.killSome(null);

      const failed = names.filter((name) => said.get(name) !== 201);
      const reports = async (): Promise<Record<string, unknown>[]> =>
        (await rig.events())
          .filter(({ level }) => level === 'error')
          .map(({ contexts }) => contexts['report'] as Record<string, unknown>)
          .filter(({ verb }) => VERBS.includes(String(verb)));
      await until('every failure is reported', async () => (await reports()).length >= failed.length);
      await until('no backend of ours is left', async () => (await rig.backends()) === 0);
      await until('every tunnel is closed', () => rig.proxy.counters().openNow === 0);

      const { rows } = await rig.database.pool.query<{ name: string; n: number }>(
        "select name, count(*)::int n from ringleader.api_keys where name like 'kill-%' group by name",
      );
      const applied = new Map(rows.map(({ name, n }) => [name, n]));
      expect(said.size).toBe(requests);
      expect(failed.map((name) => said.get(name))).toEqual(failed.map(() => 503));
      expect(names.filter((name) => said.get(name) === 201 && applied.get(name) !== 1)).toEqual([]);
      expect(rows.filter(({ n }) => n > 1)).toEqual([]);
      const found = await reports();
      const unknown = found.filter(({ outcome }) => outcome === 'unknown').length;
      const appliedUnawares = failed.filter((name) => applied.has(name)).length;
      expect(found).toHaveLength(failed.length);
      expect(appliedUnawares).toBeLessThanOrEqual(unknown);
      expect(rig.uncaught()).toEqual([]);
      const { killed } = rig.proxy.counters();
      expect(killed).toBeGreaterThan(requests / 100);
      console.log(
        `${requests} requests: ${killed} connections killed, ${failed.length} answered 503, ${unknown} reported unknown, ${appliedUnawares} of these applied`,
      );
    },
  );
};
