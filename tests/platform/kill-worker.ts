/** Many requests to the real worker while its connections die at random: the same suite, short and long. */
import { expect, test } from 'vitest';
import { seeded } from '../edges/support.ts';
import { until } from './rig.ts';
import { startWorkerRig } from './worker-rig.ts';

const AT_ONCE = 10;
/** Of the request. The second, which every other request has, must not be sent twice; the third may. */
const VERBS = ['authenticate', 'begin_idempotent', 'create_api_key'];

/** `requests` requests, each of which writes a row, with one connection in twenty killed. */
export const killWorkerSuite = (requests: number, timeout: number): void => {
  test(
    `${requests} requests to workerd with one connection in twenty killed: answered, applied once or unknown, nothing left (classes 1, 2)`,
    { timeout },
    async () => {
      const rig = await startWorkerRig();
      const { faults } = rig.proxy;
      faults.killSome({ oneIn: 20, withinMs: 40, random: seeded(1) });
      // Chance seldom hits the instant between a commit and its answer.
      for (const contains of ['"state"', '"kill-'])
        faults.cutOn({ from: 'server', contains, how: 'reset', every: 50, times: Infinity });
      const said = new Map<string, { status: number; id: string | null }>();
      const request = async (name: string, keyed: boolean): Promise<void> => {
        const headers: Record<string, string> = keyed ? { 'idempotency-key': name } : {};
        const response = await rig.send('POST', '/v1/api-keys', { key: rig.apiKey, body: { name }, headers });
        await response.arrayBuffer();
        said.set(name, { status: response.status, id: response.headers.get('x-request-id') });
      };
      const names = Array.from({ length: requests }, (_, i) => `kill-${i}`);
      for (let i = 0; i < requests; i += AT_ONCE)
        await Promise.all(names.slice(i, i + AT_ONCE).map((name, n) => request(name, n % 2 === 0)));
      faults.clear();

      const failed = names.filter((name) => said.get(name)?.status !== 201);
      const reports = async () =>
        (await rig.events()).filter(({ level, tags }) => level === 'error' && VERBS.includes(String(tags['verb'])));
      await until('every failure is reported', async () => (await reports()).length >= failed.length);
      await until('no backend of ours is left', async () => (await rig.backends()) === 0);
      await until('every tunnel is closed', () => rig.proxy.counters().openNow === 0);

      const count = async (column: string, table: string): Promise<Map<string, number>> => {
        const { rows } = await rig.database.pool.query<{ name: string; n: number }>(
          `select ${column} as name, count(*)::int n from ringleader.${table} where ${column} like 'kill-%' group by 1`,
        );
        return new Map(rows.map(({ name, n }) => [name, n]));
      };
      const [created, begun] = [await count('name', 'api_keys'), await count('key', 'idempotency_keys')];
      expect(said.size).toBe(requests);
      expect(failed.map((name) => said.get(name)?.status)).toEqual(failed.map(() => 503));
      expect(names.filter((name) => said.get(name)?.status === 201 && created.get(name) !== 1)).toEqual([]);
      expect([...created.values()].filter((n) => n > 1)).toEqual([]);
      const found = await reports();
      expect(found).toHaveLength(failed.length);
      expect(new Set(found.map(({ tags }) => tags['request_id']))).toEqual(new Set(failed.map((name) => said.get(name)?.id)));
      const unknown = found.filter(({ tags }) => tags['outcome'] === 'unknown').map(({ tags }) => tags['request_id']);
      const unawares = failed.filter((name) => created.has(name) || begun.has(name));
      expect(unawares.length).toBeGreaterThan(0);
      expect(unawares.filter((name) => !unknown.includes(said.get(name)?.id))).toEqual([]);
      expect(rig.uncaught()).toEqual([]);
      const { killed } = rig.proxy.counters();
      expect(killed).toBeGreaterThan(requests / 100);
      console.log(
        `${requests} requests: ${killed} connections killed, ${failed.length} answered 503, ${unknown.length} reported unknown, ${unawares.length} of these applied`,
      );
    },
  );
};
